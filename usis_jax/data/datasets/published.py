"""Base of the builders of published data sets, which read what their owners distribute."""

import hashlib
import pathlib
from typing import ClassVar

from usis_jax.data.datasets import archives
from usis_jax.data.datasets.base import BadFiles
from usis_jax.data.datasets.folder import Folder
from usis_jax.errors import UserError


class Published(Folder, skip_registration=True):
    """Photos or label maps of a published data set; subclasses say where the files lie.

    `prepare` finds the files and puts them into the configuration; without them, as in a plain
    TFDS run, they are looked for in TFDS's manual_dir.
    """

    PLACES: ClassVar[dict[str, dict[str, archives.Place]]] = {}
    # The published preprocessing takes photos as they are stored, whatever EXIF says.
    UPRIGHT = False

    @classmethod
    def find(cls, root, kind: str) -> dict[str, dict]:
        """Files of one kind below a folder.

        Args:
          root: folder of the data set.
          kind: "photos" or "labels".

        Returns:
          For each split that has any, file by image name.

        Raises:
          UserError: two files have one name, or a zip file is broken.
        """
        places = cls.PLACES.get(kind, {})
        found = {split: archives.find(root, place) for split, place in places.items()}
        return {split: files for split, files in found.items() if files}

    @classmethod
    def check(cls, root, kind: str, files: dict[str, dict], splits, allow_partial: bool) -> None:
        """Checks that the files are complete.

        Args:
          root: folder of the data set, for the message.
          kind: "photos" or "labels".
          files: result of `find`.
          splits: names of the splits that must be there.
          allow_partial: whether fewer or more files than published will do.

        Raises:
          FileNotFoundError: there is no file of a split; says where they are looked for.
          UserError: the data set has not that kind or split, or another number of files.
        """
        if kind not in cls.PLACES:
            raise UserError(
                f"data set {cls.name!r} has no {kind}, only {', '.join(cls.PLACES)}; name another "
                "one in data.labels and data.validation"
            )
        for split in splits:
            if split not in cls.PLACES[kind]:
                raise UserError(
                    f"data set {cls.name!r} has no {kind} of split {split!r}, only of "
                    f"{', '.join(cls.PLACES[kind])}; change data.photos, data.labels or "
                    "data.validation"
                )
            place = cls.PLACES[kind][split]
            found = files.get(split, {})
            if not found:
                raise FileNotFoundError(
                    f"{root} has no {kind} of {cls.name}'s split {split} (looked for {place}). "
                    + " ".join(cls.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
                )
            if len(found) != place.count and not allow_partial:
                raise UserError(
                    f"{archives.where(found)} has {len(found)} {kind} of {cls.name}'s split "
                    f"{split}, {place.count} are published; complete it, or add --allow_partial "
                    "to go on with what is there"
                )

    def _download_and_prepare(self, *args, **kwargs):
        alone = not self.files
        super()._download_and_prepare(*args, **kwargs)
        if alone and self.problems:
            raise BadFiles(self.problems)

    def _split_generators(self, dl_manager):
        config = self.builder_config
        if not self.files:
            root = pathlib.Path(dl_manager.manual_dir)
            self.files = self.find(root, config.kind)
            # Of a further split, such as test, any number or none of the files may be there.
            splits = [split for split in ("train", "validation") if split in self.PLACES["photos"]]
            self.check(root, config.kind, self.files, splits, config.allow_partial)
            spec = config.spec.to_dict() if config.kind == "labels" else None
            self.origin = {"files": fingerprint(self.files), "spec": spec}
        return super()._split_generators(dl_manager)


def fingerprint(files: dict[str, dict]) -> dict:
    """What tells one state of the files from another: count and hash of each split.

    The hash is of names and sizes, so folders and the zip files they came from have the same.

    Args:
      files: {split: {name: file}}.
    """
    result = {}
    for split, members in files.items():
        digest = hashlib.sha256()
        for name, file in members.items():
            digest.update(f"{name}\0{archives.size(file)}\n".encode())
        result[split] = {"count": len(members), "hash": digest.hexdigest()[:16]}
    return result
