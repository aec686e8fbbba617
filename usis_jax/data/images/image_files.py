"""Image files of a folder: the one place that lists them, so that every command takes the same."""

import os
import pathlib
import unicodedata

from usis_jax.data.images import file_kinds
from usis_jax.errors import UserError
from usis_jax.storage import paths

LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2")
SUFFIXES = LOSSLESS + LOSSY + file_kinds.SUFFIXES
"""Those of formats that cannot be read count: left out silently, they would be missed."""
# What systems and servers put beside images: copies of them, thumbnails, what was deleted.
_NOT_OURS = ("__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information")


def find(root) -> list[pathlib.Path]:
    """Image files of a folder at any depth, sorted; hidden files and folders are left out.

    Links are followed, each folder once, and those to a folder around `root` not at all. A link to
    nothing is listed if it has an image's name, so that whoever reads it names it.

    Args:
      root: folder.

    Returns:
      Paths that begin with `root`.

    Raises:
      UserError: a name is not UTF-8.
      OSError: a folder cannot be read.
    """
    found, seen, top = [], set(), paths.real(root)
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_raise):
        place = paths.real(folder)
        if place in seen or place in top.parents:  # would be walked for ever, or are other files
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found += [pathlib.Path(folder, name) for name in files]
    found = sorted(path for path in found if is_image(path))
    for path in found:
        if not paths.is_utf8(path.relative_to(root)):
            raise UserError(
                f"{paths.shown(path)} has a name that is not UTF-8, as data sets need "
                "it; rename it, for example with convmv"
            )
    return found


def by_name(root, files=None) -> dict[str, pathlib.Path]:
    """Image files of a folder by name: the path inside it without suffix, such as "train/a".

    Accents are written in one way in names (NFC), whatever way the files have, so that a photo
    from a Mac is the pair of a label map from elsewhere.

    Args:
      root: folder.
      files: of `find`; None looks for them.

    Returns:
      Path by name, in the order of `find`.

    Raises:
      ValueError: two files have one name.
    """
    result = {}
    for path in find(root) if files is None else files:
        name = path.relative_to(root).with_suffix("").as_posix()
        name = unicodedata.normalize("NFC", name)
        if name in result:
            raise UserError(f"{path} and {result[name].name} have the same name; rename one")
        result[name] = path
    return result


def is_image(path: pathlib.Path) -> bool:
    """Whether a file's name is that of an image that is not hidden."""
    return not is_hidden(path.name) and path.suffix.lower() in SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that a system put there for itself."""
    return name.startswith(".") or name.lower() in _NOT_OURS


def _raise(error):
    raise error
