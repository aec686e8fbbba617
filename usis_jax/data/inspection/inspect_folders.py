"""Looks at a user's photos and label maps before they are prepared; drafts their label spec."""

import dataclasses
import os
import pathlib
import time

import tqdm

from usis_jax.config import suggestions
from usis_jax.data.images import decode, image_files
from usis_jax.data.inspection import (
    draft_spec,
    folder_report,
    label_files,
    overview_image,
    photo_files,
    scan,
)
from usis_jax.data.inspection import (
    findings as findings_lib,
)
from usis_jax.data.preparation import folder_layout
from usis_jax.data.specs import label_spec, lookup
from usis_jax.errors import UserError
from usis_jax.storage import atomic, paths

PHOTO_FOLDERS = ("photos", "images", "photo", "image", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "masks", "mask", "annotations", "segmentation", "gt")
_LOOKED_AT = 12
_LIKE_LABELS = 0.45  # share of the 16 commonest colours; photos have less, also grey ones


@dataclasses.dataclass(frozen=True)
class Folders:
    """Where a user's files lie.

    Attributes:
      photos: folder of photos, or None.
      labels: folder of label maps, or None.
      around: folder that both lie in and that is none of them, or None.
    """

    photos: pathlib.Path | None
    labels: pathlib.Path | None
    around: pathlib.Path | None


def inspect(
    folder=None, photos=None, labels=None, out=None, picture=None, progress: bool = True
) -> dict:
    """Scans every file; writes a draft of a label spec and a picture.

    Args:
      folder: folder that has photos and label maps in folders of usual names, or holds only one
        of the two itself; or None.
      photos: folder of photos, or None.
      labels: folder of label maps, or None.
      out: file for the draft; None = label_spec.toml in `folder`, or beside the label maps.
      picture: file for the picture; None = inspect.png in `folder`, or beside the folder of files.
      progress: whether to show progress on stderr.

    Returns:
      {"photos", "labels": report of each, or None, "pairs", "findings", "spec", "picture",
      "next": command to run, "seconds"}; `inspect_report.text` says it in words.

    Raises:
      FileNotFoundError: a folder is missing or has no images.
      UserError: it cannot be told what a folder holds, or a result cannot be written.
    """
    began = time.perf_counter()
    folders = find_folders(folder, photos, labels)
    draft_path, picture_path = _targets(folders, out, picture)
    sums = _scan(folders, progress)
    there, there_path = _spec_there(folders)
    name = str(paths.real(folders.around or folders.labels or folders.photos))
    draft = draft_spec.make(sums["labels"], name) if sums["labels"] else None
    pairs, findings = findings_lib.of_all(sums["photos"], sums["labels"], draft, there)
    findings = _of_layout(folders) + findings
    command = _next_command(folders, draft_path)
    if draft:
        draft_spec.write(draft, draft_path, command)
    shown = overview_image.draw(sums["photos"], sums["labels"], draft)
    if shown is not None:
        atomic.write_png(picture_path, shown)
    return {
        "photos": folder_report.of_kind(sums["photos"], "photos"),
        "labels": folder_report.of_kind(sums["labels"], "labels", draft),
        "pairs": pairs,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "spec": folder_report.of_spec(draft, draft_path, there_path),
        "picture": None if shown is None else str(picture_path),
        "next": command if draft and folders.photos else None,
        "seconds": time.perf_counter() - began,
    }


def find_folders(folder=None, photos=None, labels=None) -> Folders:
    """Decides which folders hold photos and label maps; see `inspect`."""
    given = {
        name: None if path is None else paths.of(path, name, paths.FOLDER)
        for name, path in (("DIR", folder), ("--photos", photos), ("--labels", labels))
    }
    for name, path in given.items():
        if path and not path.is_dir():
            raise FileNotFoundError(f"{name} {path} does not exist or is no folder")
    folder, photos, labels = given.values()
    around = None
    if folder:
        inside = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_dir()}
        around = folder
        named = (
            next((inside[n] for n in PHOTO_FOLDERS if n in inside), None),
            next((inside[n] for n in LABEL_FOLDERS if n in inside), None),
        )
        if any(named):
            photos, labels = photos or named[0], labels or named[1]
        elif not photos and not labels:
            around = None
            photos, labels = (folder, None) if not holds_labels(folder) else (None, folder)
    for kind, path in (("photos", photos), ("label maps", labels)):
        if path and not image_files.find(path):
            raise FileNotFoundError(f"{path} has no image files; it must hold {kind}")
    folder_layout.check_apart(photos, labels)
    return Folders(photos, labels, around)


def holds_labels(folder: pathlib.Path) -> bool:
    """Whether a folder's files look like label maps; ValueError if some do and others do not."""
    files = image_files.find(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} has no image files, and no folder photos/ or labels/; say where they are "
            "with --photos=DIR and --labels=DIR"
        )
    like = {True: [], False: []}
    for path in files[:: -(-len(files) // _LOOKED_AT)]:
        try:
            distinct, share = label_files.variety(decode.open_image(path, "file"))
        except ValueError:
            continue
        like[distinct <= 64 or share >= _LIKE_LABELS].append(path.name)
    if min(map(len, like.values())) * 4 > sum(map(len, like.values())):
        raise UserError(
            f"{folder} seems to hold label maps ({like[True][0]}) and photos ({like[False][0]}); "
            "put them into two folders, and say --photos=DIR and --labels=DIR"
        )
    return len(like[True]) > len(like[False])


def _targets(folders: Folders, out, picture) -> tuple[pathlib.Path, pathlib.Path]:
    """Files for draft and picture; ValueError where they could not be written."""
    root = folders.labels or folders.photos
    if out is None:
        out = (folders.around or root) / label_spec.FILE_NAMES[0]
    if picture is None:
        beside = paths.real(root)
        picture = beside.parent / f"{beside.name}_inspect.png"
        if folders.around:
            picture = folders.around / "inspect.png"
    out, picture = paths.of(out, "--out"), paths.of(picture, "--picture")
    inputs = [
        (f"--{kind}", path) for kind in ("photos", "labels") if (path := getattr(folders, kind))
    ]
    paths.check_not_an_input(picture, "--picture", inputs)
    if out.suffix not in (".toml", ".yaml", ".yml", ".json"):
        raise UserError(f"--out is {out}; its name must end in .toml, .yaml, .yml or .json")
    if picture.suffix.lower() != ".png":
        raise UserError(f"--picture is {picture}; its name must end in .png")
    for option, path in (("--picture", picture), *((("--out", out),) if folders.labels else ())):
        if not path.absolute().parent.is_dir() or path.is_dir():
            raise UserError(f"{option} is {path}; it must be a file in a folder that exists")
        if not os.access(path.absolute().parent, os.W_OK):
            raise UserError(f"there is no permission to write {path}; give {option}=FILE")
    return draft_spec.free_path(out), picture


def _scan(folders: Folders, progress: bool) -> dict:
    """Sums over the files of each kind, None for a kind without a folder."""
    kinds = {
        "photos": (folders.photos, photo_files.Photos, photo_files.read),
        "labels": (folders.labels, label_files.Labels, label_files.read),
    }
    files = {kind: image_files.find(root) if root else [] for kind, (root, *_) in kinds.items()}
    sums = {}
    total = sum(map(len, files.values()))
    with tqdm.tqdm(total=total, disable=not progress, unit="file", desc="inspect") as bar:
        for kind, (root, make, read) in kinds.items():
            sums[kind] = make(root) if root else None
            for path, file in zip(files[kind], scan.scan(read, files[kind]), strict=True):
                sums[kind].add(path, file)
                bar.update()
    return sums


def _spec_there(folders: Folders):
    """Label spec that lies beside the label maps already, and its path; (None, None) without."""
    file = folders.labels and folder_layout.spec_beside(folders.labels)
    return (lookup.read_own(file), file) if file else (None, None)


def _of_layout(folders: Folders) -> list[findings_lib.Finding]:
    """Why `usis prepare` would refuse the layout of a folder."""
    found = []
    for kind in ("photos", "labels"):
        root = getattr(folders, kind)
        try:
            if root:
                folder_layout.split_files(root, kind)
        except ValueError as error:
            found.append(findings_lib.Finding("error", kind, "layout", str(error), [], None))
    return found


def _next_command(folders: Folders, spec: pathlib.Path) -> str:
    photos = str(folders.photos) if folders.photos else "DIR"
    return suggestions.command_line("prepare", photos=photos, labels=folders.labels, spec=spec)
