"""Files of a published data set as its owners distribute it: in folders, or inside zip files."""

import dataclasses
import functools
import io
import os
import pathlib
import zipfile

from usis_jax.errors import UserError

LARGEST_FILE = 2**29
"""Bytes of a file inside a zip file that are read; images have less, zip bombs more."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the files of one kind and split lie below a data set's folder.

    Attributes:
      count: number of files that are published.
      ending: how names of files end; the rest is the image's name.
      folders: patterns of folders, such as "gtFine/train/*". Those of the first pattern that has
        files count, all together.
      archives: (pattern of zip files, pattern of folders inside), where no folder has files.
    """

    count: int
    ending: str
    folders: tuple[str, ...]
    archives: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " or ".join([*self.folders, *(archive for archive, _ in self.archives)])


@dataclasses.dataclass(frozen=True)
class Member:
    """A file inside a zip file.

    Attributes:
      archive: the open zip file.
      info: its entry.
    """

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def open(self) -> io.BytesIO:
        """Content of the file.

        Raises:
          UserError: it has more than LARGEST_FILE bytes, packed or not; nothing is read then.
          zipfile.BadZipFile: its checksum is wrong.
        """
        if self.info.file_size > LARGEST_FILE:
            raise UserError(
                f"it has {self.info.file_size} bytes; at most {LARGEST_FILE} are read of a file "
                "in a zip file"
            )
        return io.BytesIO(self.archive.read(self.info))

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.info.file_size

    def __str__(self) -> str:
        return f"{self.archive.filename}/{self.info.filename}"


def find(root, place: Place) -> dict[str, pathlib.Path | Member]:
    """Files of a place.

    Args:
      root: folder of the data set.
      place: Place.

    Returns:
      File by image name, sorted; empty where there is none.

    Raises:
      UserError: two files have one name, or a zip file is broken.
    """
    root = pathlib.Path(root)
    for pattern in place.folders:
        folders = [folder for folder in root.glob(pattern) if folder.is_dir()]
        files = [
            pathlib.Path(entry.path)
            for folder in folders
            for entry in os.scandir(folder)
            if not entry.is_dir()
        ]
        found = _by_name([(file.name, file) for file in files], place.ending)
        if found:
            return found
    for pattern, inside in place.archives:
        members = []
        for path in sorted(root.glob(pattern)):
            archive = _open(str(path), path.stat().st_mtime_ns)
            members += [(name, Member(archive, info)) for name, info in _inside(archive, inside)]
        found = _by_name(members, place.ending)
        if found:
            return found
    return {}


def size(file: pathlib.Path | Member) -> int:
    """Bytes of a file of `find`."""
    return file.size if isinstance(file, Member) else file.stat().st_size


def where(files: dict[str, pathlib.Path | Member]) -> str:
    """The folders or zip files in which files of `find` lie, in short."""
    places = dict.fromkeys(
        file.archive.filename if isinstance(file, Member) else str(file.parent)
        for file in files.values()
    )
    first, *more = places
    return first + (f" and {len(more)} more" if more else "")


@functools.lru_cache(maxsize=64)
def _open(path: str, changed: int) -> zipfile.ZipFile:
    """Open zip file; `changed`, its time of change, makes a new file a new entry of the cache."""
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # of damaged tables of contents, zipfile raises nearly anything
        raise UserError(
            f"{path} cannot be read as a zip file ({error}); download it again"
        ) from error


def _inside(archive: zipfile.ZipFile, pattern: str):
    """Name and entry of each file in the folders that a pattern names, at any depth."""
    wanted: dict[str, bool] = {}
    for info in archive.infolist():
        folder, _, name = info.filename.rpartition("/")
        if folder not in wanted:
            wanted[folder] = pathlib.PurePosixPath(folder).match(pattern)
        if name and wanted[folder]:
            yield name, info


def _by_name(files: list, ending: str) -> dict[str, pathlib.Path | Member]:
    """Files by image name, sorted, of (file name, file) pairs; hidden ones are left out."""
    found = {}
    for file_name, file in files:
        if file_name.startswith(".") or not file_name.endswith(ending):
            continue
        name = file_name.removesuffix(ending)
        if name in found:
            raise UserError(f"{found[name]} and {file} have the same name; keep one of them")
        found[name] = file
    return dict(sorted(found.items()))
