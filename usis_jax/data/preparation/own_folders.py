"""A data set of a user's two folders, one of photos and one of label maps, wherever they lie.

Where the files come without a validation split, a part of the training files is held out by name:
the same names of both kinds where photos and label maps share names, else each kind on its own.
"""

import dataclasses
import hashlib
import pathlib
import re

from usis_jax.config import suggestions
from usis_jax.data.preparation import folder_layout
from usis_jax.data.specs import label_spec, lookup
from usis_jax.errors import UserError
from usis_jax.storage import paths

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_HELD_OUT = 200
_SHARE_HELD_OUT = 0.1
_FEW = 4  # held out of few files, but at most a quarter of them


@dataclasses.dataclass(frozen=True)
class OwnFolders:
    """Files and classes of a user's data set.

    Attributes:
      name: name of the data set.
      files: {"photos" or "labels": {split: {name: path}}}, each with train and validation.
      spec: LabelSpec of the label maps.
      held_out: kinds whose validation files were taken from the training files.
      given: "photos", "labels" and, where one was given, "spec": absolute paths, or a spec's name.
    """

    name: str
    files: dict[str, dict[str, dict[str, pathlib.Path]]]
    spec: label_spec.LabelSpec
    held_out: tuple[str, ...]
    given: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Number of names that a photo and a label map of the validation split share."""
        photos, labels = (self.files[kind]["validation"] for kind in ("photos", "labels"))
        return len(photos.keys() & labels.keys())


def find(name: str, photos, labels, spec: str = "") -> OwnFolders:
    """Finds a user's files and label spec.

    Args:
      name: name of the data set: small letters, digits and _.
      photos: folder of photos.
      labels: folder of label maps.
      spec: file of the label spec or name of a built-in one; "" = the file in `labels` or in the
        folder around it.

    Returns:
      OwnFolders.

    Raises:
      FileNotFoundError: a folder or the label spec is missing.
      UserError: the name is not allowed, or a folder's layout is unclear, or it has one file only.
    """
    if not _NAME.fullmatch(name) or name == "scenes":
        raise UserError(
            f"--name is {name!r}; it must be small letters, digits and _, begin with a letter and "
            "not be scenes, for example my_streets"
        )
    given = {"photos": photos, "labels": labels}
    roots = {kind: paths.of(folder, f"--{kind}", paths.FOLDER) for kind, folder in given.items()}
    folder_layout.check_apart(*roots.values())
    files = {}
    for kind, root in roots.items():
        if not root.is_dir():
            raise FileNotFoundError(f"--{kind}={root} does not exist or is no folder")
        files[kind] = folder_layout.split_files(root, kind)
        if "train" not in files[kind]:
            raise UserError(
                f"--{kind}={root} has only the splits {', '.join(files[kind])}; put {kind} to "
                "train with into train/"
            )
    found = lookup.find(spec) if spec else _spec_beside(roots["labels"])
    given = {kind: str(root.absolute()) for kind, root in roots.items()}
    if spec:
        given["spec"] = str(pathlib.Path(spec).absolute()) if lookup.is_file(spec) else spec
    return OwnFolders(name, files, found, hold_out(files), given)


def hold_out(files: dict[str, dict[str, dict[str, pathlib.Path]]]) -> tuple[str, ...]:
    """Moves a part of the training files to validation, in place, for kinds that have none.

    Args:
      files: {"photos" or "labels": {split: {name: path}}}.

    Returns:
      Kinds from which files were taken.

    Raises:
      UserError: a kind has a single file.
    """
    without = tuple(kind for kind in files if "validation" not in files[kind])
    train = {kind: files[kind]["train"] for kind in files}
    for kind in without:
        (other,) = set(files) - {kind}
        partners = train[other] if other in without else files[other]["validation"]
        chosen = _choose(train[kind], partners)
        if len(train[kind]) < 2:
            raise UserError(
                f"there is 1 file of {kind} only; at least 2 must be there, one of them is for "
                "validation"
            )
        files[kind]["validation"] = {n: path for n, path in train[kind].items() if n in chosen}
        files[kind]["train"] = {n: path for n, path in train[kind].items() if n not in chosen}
    return without


def _choose(names, partners) -> set[str]:
    """A tenth of the names, but at most 200, first those of `partners`; always the same ones."""
    tenth = max(round(_SHARE_HELD_OUT * len(names)), min(_FEW, len(names) // 4), 1)
    number = min(_MOST_HELD_OUT, tenth)
    ranked = sorted(
        names, key=lambda name: (name not in partners, hashlib.sha256(name.encode()).digest())
    )
    return set(ranked[:number])


def _spec_beside(labels: pathlib.Path) -> label_spec.LabelSpec:
    file = folder_layout.spec_beside(labels)
    if file is not None:
        return label_spec.LabelSpec.load(file)
    raise FileNotFoundError(
        f"label maps in {labels} have no label spec; run: "
        f"{suggestions.command_line('inspect', labels=labels)} (it writes one to edit, beside the "
        "label maps, where it is found)"
    )
