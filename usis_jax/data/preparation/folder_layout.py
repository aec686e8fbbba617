"""How the files of a user's folders lie: splits, names, and what tells one state from another.

Files lie in folders `train`, `val` or `validation`, and `test`, at any depth inside them; or there
is no folder of such a name, and then all files, at any depth, are the split train.
"""

import hashlib
import os
import pathlib

from usis_jax.config import suggestions
from usis_jax.data.images import image_files
from usis_jax.data.specs import label_spec, lookup
from usis_jax.errors import UserError
from usis_jax.storage import paths

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


def list_files(source, kind: str) -> dict[str, dict[str, pathlib.Path]]:
    """Files of one kind in a folder data set, which has photos/ (or images/) and labels/.

    Args:
      source: the folder.
      kind: "photos" or "labels".

    Returns:
      As `split_files`.

    Raises:
      FileNotFoundError: the folder or its photos/ or labels/ is missing.
      UserError: it is empty, mixes layouts, or two files have one name.
    """
    return split_files(_kind_folder(paths.of(source, "data folder"), kind), kind)


def split_files(root: pathlib.Path, kind: str) -> dict[str, dict[str, pathlib.Path]]:
    """Files of a folder of photos or of label maps.

    Args:
      root: the folder.
      kind: what it must hold, for messages.

    Returns:
      For each split, path by name (path without suffix), sorted by name.

    Raises:
      FileNotFoundError: there is no such folder.
      UserError: it has no image files, has some outside its split folders, or two of one name.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"folder of {kind} {root} does not exist or is no folder")
    check_one_kind(root, kind)
    entries = sorted(p for p in root.iterdir() if not image_files.is_hidden(p.name))
    folders = [p for p in entries if p.is_dir()]
    named = [p for p in folders if p.name.lower() in SPLITS]
    if not named:
        return {"train": _by_name(root, kind)}
    stray = [p for p in entries if p.is_file() and image_files.is_image(p)]
    stray += [p for p in folders if p not in named and image_files.find(p)]
    if stray:
        raise UserError(
            f"{root} has {stray[0].name} beside the split folder {named[0].name}/; keep all "
            f"{kind} in folders train/, val/ and test/, or none of them in such folders"
        )
    splits = {}
    for folder in named:
        split = SPLITS[folder.name.lower()]
        if split in splits:
            raise UserError(f"{root} has two folders of the split {split}; keep one of them")
        splits[split] = _by_name(folder, kind)
    return splits


def check_apart(photos, labels) -> None:
    """ValueError where a folder of photos and one of label maps are one, or one is in the other."""
    if photos is None or labels is None:
        return
    if paths.is_inside(photos, labels) or paths.is_inside(labels, photos):
        raise UserError(
            f"photos in {photos} and label maps in {labels} lie in each other; each must have a "
            "folder of its own"
        )


def spec_beside(labels) -> pathlib.Path | None:
    """File of the label spec in a folder of label maps, or around it; None where there is none.

    Of a folder that is a link, it may lie beside the link as well as beside what it leads to.
    """
    labels = pathlib.Path(os.path.abspath(labels))
    for folder in (labels, labels.parent, paths.real(labels).parent):
        for name in label_spec.FILE_NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def find_spec(source) -> label_spec.LabelSpec:
    """Label spec that lies in a folder data set.

    Raises:
      FileNotFoundError: there is none.
    """
    for name in label_spec.FILE_NAMES:
        path = paths.of(source, "data folder") / name
        if path.is_file():
            return lookup.read_own(path)
    raise FileNotFoundError(
        f"{source} has no label spec; write {label_spec.FILE_NAMES[0]} there, which "
        f"{suggestions.command_line('inspect', source)} drafts, or give "
        "--config.data.label_spec=FILE"
    )


def fingerprint(files: dict[str, dict[str, pathlib.Path]]) -> dict:
    """What tells one state of a folder's files from another: count and hash of each split.

    The hash is of names, sizes and times of change, not of contents.
    """
    result = {}
    for split, named in files.items():
        digest = hashlib.sha256()
        for name, path in named.items():
            try:
                stat = path.stat()
                state = f"{stat.st_size}\0{stat.st_mtime_ns}"
            except OSError as error:  # a link to nothing, which reading will name
                state = str(error.errno)
            digest.update(f"{name}\0{path.suffix}\0{state}\n".encode())
        result[split] = {"count": len(named), "hash": digest.hexdigest()[:16]}
    return result


def check_one_kind(root: pathlib.Path, kind: str) -> None:
    """UserError where a folder of one kind has folders of both, so that they would be mixed."""
    inside = {name: kind_folder(root, name) for name in FOLDERS}
    if all(inside.values()):
        raise UserError(
            f"{root} has the folders {inside['photos'].name}/ and "
            f"{inside['labels'].name}/; give {inside[kind]} for the {kind}"
        )


def kind_folder(source: pathlib.Path, kind: str) -> pathlib.Path | None:
    """The folder of photos or of label maps in a folder data set, in small letters or not."""
    inside = {path.name.lower(): path for path in sorted(source.iterdir()) if path.is_dir()}
    return next((inside[name] for name in FOLDERS[kind] if name in inside), None)


def _kind_folder(source: pathlib.Path, kind: str) -> pathlib.Path:
    if not source.is_dir():
        raise FileNotFoundError(f"data folder {source} does not exist")
    found = kind_folder(source, kind)
    if found:
        return found
    wanted = " or ".join(f"{name}/" for name in FOLDERS[kind])
    raise FileNotFoundError(f"{source} has no folder {wanted}")


def _by_name(root: pathlib.Path, kind: str) -> dict[str, pathlib.Path]:
    found = image_files.by_name(root)
    if not found:
        raise UserError(f"{root} has no image files; it must hold {kind}")
    return dict(sorted(found.items()))
