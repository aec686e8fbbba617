"""How the files of a user's folders lie: splits, names, and what tells one state from another.

Files lie in folders `train`, `val` or `validation`, and `test`, at any depth inside them; or there
is no folder of such a name, and then all files, at any depth, are the split train.
"""

import hashlib
import os
import pathlib

from usis_jax.data.specs import label_spec

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
FOLDERS = {"photos": ("photos", "images"), "labels": ("labels",)}
LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".jp2")


def list_files(source, kind: str) -> dict[str, dict[str, pathlib.Path]]:
    """Files of one kind in a folder data set, which has photos/ (or images/) and labels/.

    Args:
      source: the folder.
      kind: "photos" or "labels".

    Returns:
      As `split_files`.

    Raises:
      FileNotFoundError: the folder or its photos/ or labels/ is missing.
      ValueError: it is empty, mixes layouts, or two files have one name.
    """
    return split_files(_kind_folder(pathlib.Path(source).expanduser(), kind), kind)


def split_files(root: pathlib.Path, kind: str) -> dict[str, dict[str, pathlib.Path]]:
    """Files of a folder of photos or of label maps.

    Args:
      root: the folder.
      kind: what it must hold, for messages.

    Returns:
      For each split, path by name (path without suffix), sorted by name.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it has no image files, has some outside its split folders, or two of one name.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"folder of {kind} {root} does not exist or is no folder")
    entries = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    folders = [p for p in entries if p.is_dir()]
    named = [p for p in folders if p.name.lower() in SPLITS]
    if not named:
        paths = find_images(root)
        if not paths:
            raise ValueError(f"{root} has no image files; it must hold {kind}")
        return {"train": _by_name(root, paths)}
    stray = [p for p in entries if p.is_file() and is_image(p)]
    stray += [p for p in folders if p not in named and find_images(p)]
    if stray:
        raise ValueError(
            f"{root} has {stray[0].name} beside the split folder {named[0].name}/; keep all "
            f"{kind} in folders train/, val/ and test/, or none of them in such folders"
        )
    splits = {}
    for folder in named:
        split = SPLITS[folder.name.lower()]
        if split in splits:
            raise ValueError(f"{root} has two folders of the split {split}; keep one of them")
        paths = find_images(folder)
        if not paths:
            raise ValueError(f"{folder} has no image files; it must hold {kind}")
        splits[split] = _by_name(folder, paths)
    return splits


def find_images(root) -> list[pathlib.Path]:
    """Image files of a folder at any depth, sorted; hidden files and folders are left out.

    Links are followed, each folder once.
    """
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:  # links that lead back would be walked for ever
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [pathlib.Path(folder, name) for name in files]
    return sorted(path for path in found if is_image(path))


def check_apart(photos, labels) -> None:
    """ValueError where a folder of photos and one of label maps are one, or one is in the other."""
    if photos is None or labels is None:
        return
    a, b = pathlib.Path(photos).resolve(), pathlib.Path(labels).resolve()
    if a == b or a in b.parents or b in a.parents:
        raise ValueError(
            f"photos in {photos} and label maps in {labels} lie in each other; each must have a "
            "folder of its own"
        )


def is_image(path: pathlib.Path) -> bool:
    """Whether a file's name is that of a picture that is not hidden."""
    return not path.name.startswith(".") and path.suffix.lower() in LOSSLESS + LOSSY


def find_spec(source) -> label_spec.LabelSpec:
    """Label spec that lies in a folder data set.

    Raises:
      FileNotFoundError: there is none.
    """
    for name in label_spec.FILE_NAMES:
        path = pathlib.Path(source).expanduser() / name
        if path.is_file():
            return label_spec.LabelSpec.load(path)
    raise FileNotFoundError(
        f"{source} has no label spec; write {label_spec.FILE_NAMES[0]} there, or give "
        "--config.data.label_spec=FILE"
    )


def fingerprint(files: dict[str, dict[str, pathlib.Path]]) -> dict:
    """What tells one state of a folder's files from another: count and hash of each split.

    The hash is of names, sizes and times of change, not of contents.
    """
    result = {}
    for split, paths in files.items():
        digest = hashlib.sha256()
        for name, path in paths.items():
            stat = path.stat()
            digest.update(f"{name}\0{path.suffix}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        result[split] = {"count": len(paths), "hash": digest.hexdigest()[:16]}
    return result


def _kind_folder(source: pathlib.Path, kind: str) -> pathlib.Path:
    if not source.is_dir():
        raise FileNotFoundError(f"data folder {source} does not exist")
    for name in FOLDERS[kind]:
        if (source / name).is_dir():
            return source / name
    wanted = " or ".join(f"{name}/" for name in FOLDERS[kind])
    raise FileNotFoundError(f"{source} has no folder {wanted}")


def _by_name(root: pathlib.Path, paths) -> dict[str, pathlib.Path]:
    result = {}
    for path in paths:
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in result:
            raise ValueError(f"{path} and {result[name].name} have the same name; rename one")
        result[name] = path
    return dict(sorted(result.items()))
