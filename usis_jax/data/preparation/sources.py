"""Where the files of data sets lie below the folder that the user names."""

import dataclasses
import pathlib
from typing import NamedTuple

from usis_jax.data.preparation import folder_layout


class Found(NamedTuple):
    """Files of one kind of a data set.

    Attributes:
      folder: folder of the data set.
      files: {split: {name: file}}.
      states: {split: what tells one state of its files from another}.
      published: whether it must be what the owners of a published data set distribute.
    """

    folder: pathlib.Path
    files: dict[str, dict]
    states: dict[str, dict]
    published: bool


@dataclasses.dataclass
class Sources:
    """Finds the files of data sets in a folder, or in folders of their names in it.

    Args:
      data_dir: the folder.
      names: the data sets that will be asked for.

    Raises:
      FileNotFoundError: the folder is missing, or has no folder of a data set's name where
        several data sets need one.
    """

    data_dir: pathlib.Path
    names: set[str]

    def __post_init__(self):
        self._found: dict[tuple[str, str], Found] = {}
        if not self.names:
            return
        if not self.data_dir.is_dir():
            raise FileNotFoundError(f"--data_dir={self.data_dir} does not exist or is no folder")
        missing = sorted(
            name
            for name in self.names
            if not (self.data_dir / name).is_dir() and not _published(name)
        )
        if len(self.names) > 1 and missing:
            raise FileNotFoundError(
                f"--data_dir={self.data_dir} must hold a folder for each of "
                f"{', '.join(sorted(self.names))}; it has no {missing[0]}/"
            )

    def find(self, name: str, kind: str, splits, allow_partial: bool) -> Found:
        """Files of a data set, as its owners distribute it or in photos/ and labels/.

        Args:
          name: name of the data set.
          kind: "photos" or "labels".
          splits: names of the splits that a published data set must have, or "all".
          allow_partial: whether it may have another number of files than published.

        Returns:
          Found.

        Raises:
          FileNotFoundError: there are none; says where they are looked for.
          ValueError: their number is not the published one, or their layout is unclear.
        """
        builder = _published(name)
        found = self._found.get((name, kind)) or self._look(name, kind, builder)
        self._found[name, kind] = found
        if found.published:
            wanted = found.files if "all" in splits else splits
            builder.check(found.folder, kind, found.files, sorted(wanted), allow_partial)
        return found

    def _look(self, name: str, kind: str, builder) -> Found:
        """Files wherever they are; none where only a published data set may be."""
        from usis_jax.data.datasets import published

        roots = [path for path in (self.data_dir / name, self.data_dir) if path.is_dir()]
        for root in roots if builder else ():
            files = builder.find(root, kind)
            if files:
                return Found(root, files, published.fingerprint(files), True)
        if builder and not folder_layout.kind_folder(roots[0], kind):
            return Found(roots[0], {}, {}, True)
        files = folder_layout.list_files(roots[0], kind)
        return Found(roots[0], files, folder_layout.fingerprint(files), False)


def _published(name: str):
    """Builder of a published data set, or None."""
    from usis_jax.data.datasets import registry

    return registry.published(name)
