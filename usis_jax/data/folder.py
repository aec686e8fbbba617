"""Data set of a user's folder: `photos/`, `labels/` and a label spec.

Files lie directly in `photos/` and `labels/` (all are then the split train), or in folders `train`,
`val` or `validation`, and `test` inside them, at any depth. Photos and label maps need not belong
together; where a photo and a label map have the same name (path without suffix), they are a pair
that measuring may use.
"""

import functools
import hashlib
import pathlib

from usis_jax.data import label_spec, preprocess
from usis_jax.data.builder import ImageBuilder

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
FOLDERS = {"photos": ("photos", "images"), "labels": ("labels",)}
_LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic")


class Folder(ImageBuilder, skip_registration=True):
    """Photos or label maps of a folder; `named` gives the class for a data set's name."""

    def images(self):
        """For each split, names and loaders of the folder's files."""
        config = self.builder_config
        size = (config.height, config.width)
        if config.kind == "photos":
            load = functools.partial(preprocess.load_photo, height=size[0], width=size[1])
        else:
            load = functools.partial(
                preprocess.load_label, height=size[0], width=size[1], spec=config.spec
            )
        return {
            split: [(name, functools.partial(load, path)) for name, path in files.items()]
            for split, files in list_files(config.source, config.kind).items()
        }


def named(name: str) -> type[Folder]:
    """Class of the builder for a folder data set of that name."""

    class Named(Folder, skip_registration=True):
        pass

    Named.name = name
    Named.__name__ = Named.__qualname__ = name.title().replace("_", "")
    return Named


def list_files(source, kind: str) -> dict[str, dict[str, pathlib.Path]]:
    """Files of one kind in a folder data set.

    Args:
      source: the folder.
      kind: "photos" or "labels".

    Returns:
      For each split, path by name (path without suffix), sorted by name.

    Raises:
      FileNotFoundError: the folder or its photos/ or labels/ is missing.
      ValueError: it is empty, mixes layouts, or two files have one name.
    """
    root = _kind_folder(pathlib.Path(source).expanduser(), kind)
    entries = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    folders = [p for p in entries if p.is_dir()]
    files = [p for p in entries if p.is_file() and _is_image(p)]
    if folders and files:
        raise ValueError(
            f"{root} has files ({files[0].name}) beside folders ({folders[0].name}); keep files "
            f"directly in it, or in folders {', '.join(SPLITS)}"
        )
    splits = {}
    if files:
        splits["train"] = _by_name(root, files)
    for folder in folders:
        if folder.name not in SPLITS:
            raise ValueError(
                f"{folder} is not a split; folders in {root.name}/ must be {', '.join(SPLITS)}"
            )
        split = SPLITS[folder.name]
        if split in splits:
            raise ValueError(f"{root} has both val/ and validation/; keep one of them")
        paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and _is_image(p)]
        if not paths:
            raise ValueError(f"{folder} has no image files; it must hold {kind}")
        splits[split] = _by_name(folder, paths)
    if not splits:
        raise ValueError(f"{root} has no image files; it must hold {kind}")
    return splits


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


def _is_image(path: pathlib.Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in _LOSSLESS + _LOSSY


def _by_name(root: pathlib.Path, paths) -> dict[str, pathlib.Path]:
    result = {}
    for path in paths:
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in result:
            raise ValueError(f"{path} and {result[name].name} have the same name; rename one")
        result[name] = path
    return dict(sorted(result.items()))
