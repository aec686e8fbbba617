"""Generates images from folders of label maps."""

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from usis_jax import errors
from usis_jax.checkpoint import agreement, randomness
from usis_jax.data.images import decode, image_files
from usis_jax.data.preparation import folder_layout
from usis_jax.display import image_grid
from usis_jax.distributed import padding
from usis_jax.errors import UserError
from usis_jax.storage import atomic, paths

_SHEET_ROWS = 24


def sample_folder(generator, labels_dir, out_dir, num_samples=4, seed=0, batch_size=8):
    """Generates from every label map of a folder: NAME_0.png, ... and contact_sheet.png.

    Maps in subfolders, such as train/ and val/, give images in subfolders of the same names.

    Files appear in `out_dir` all at once, after everything is generated.

    Args:
        generator: Generator.
        labels_dir: folder of label maps with the file ids of the generator's label spec.
        out_dir: folder for the images; made if missing.
        num_samples: images from each map.
        seed: int, at least 0.
        batch_size: maps in a batch.
    Returns:
        dict of labels, photos, height, width, step, out_dir, contact_sheet and files.
    Raises:
        FileNotFoundError: no folder, or no label map in it.
        UserError: a file does not decode or has an id outside the spec, or a bad number.
        PermissionError: `out_dir` cannot be written.
    """
    if num_samples < 1:
        raise UserError(f"num_samples is {num_samples}; it must be at least 1")
    randomness.check_seed(seed, "--seed")
    named, out = list_labels(labels_dir), paths.of(out_dir, "--out", paths.FOLDER)
    paths.check_not_an_input(out, "--out", [("--labels", labels_dir)])
    if note := agreement.spec_beside(labels_dir, generator.spec):
        print(f"note: {note}", file=sys.stderr)
    targets, files = _targets(named, num_samples, labels_dir, out), list(named.values())
    height, width = generator.settings.data.height, generator.settings.data.width
    labels = np.stack([decode.load_label(f, height, width, generator.spec) for f in files])
    _check_names(out, [*itertools.chain(*targets), "contact_sheet.png"])
    temporary = _temporary_beside(out)
    try:
        shown = _generate_all(generator, labels, targets, temporary, seed, batch_size)
        titled = image_grid.sample_columns(generator.spec, labels[: shown.shape[1]], shown)
        atomic.write_png(temporary / "contact_sheet.png", image_grid.grid(titled))
        names = sorted([*itertools.chain(*targets), "contact_sheet.png"])
        for name in names:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / name, out / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {
        "labels": len(files),
        "photos": len(files) * num_samples,
        "height": height,
        "width": width,
        "step": int(generator.step),
        "out_dir": str(out),
        "contact_sheet": str(out / "contact_sheet.png"),
        "files": names,
    }


def list_labels(labels_dir):
    """Lists the label maps of a folder, at any depth.

    Returns:
        dict of name (path inside the folder without suffix) -> Path, in the order of the paths.
    Raises:
        FileNotFoundError: no folder, or no label map in it.
        UserError: two files would give images of the same name.
    """
    folder = paths.of(labels_dir, "--labels", paths.FOLDER)
    if not folder.is_dir():
        raise FileNotFoundError(f"labels folder {folder} does not exist")
    folder_layout.check_one_kind(folder, "labels")
    named = image_files.by_name(folder)
    if not named:
        raise FileNotFoundError(f"labels folder {folder} has no label map (PNG with class ids)")
    return named


def _targets(named, num_samples, labels_dir, out):
    """For each label map the files of its images, relative to `out`; none may be a label map."""
    targets = [[f"{name}_{n}.png" for n in range(num_samples)] for name in named]
    if paths.is_inside(labels_dir, out):
        for name in itertools.chain(*targets):
            paths.check_not_an_input(out / name, "--out", [("--labels", labels_dir)])
    return targets


def _generate_all(generator, labels, targets, folder, seed, batch_size):
    """Generates and saves all images; returns those of the first maps, uint8 [N, rows, H, W, 3]."""
    batch_size, num_samples = min(batch_size, len(targets)), len(targets[0])
    shown = []
    for start, batch, count in padding.batches(labels, batch_size):
        images = generator(batch, seed, num_samples, first=start)[:, :count]
        for i, names in enumerate(targets[start : start + count]):
            for n, name in enumerate(names):
                atomic.write_png(folder / name, images[n, i])
        if start < _SHEET_ROWS:
            shown.append(images)
    return np.concatenate(shown, axis=1)[:, :_SHEET_ROWS]


def _check_names(out, names):
    """Raises UserError, before anything is generated, where a folder has an image's name."""
    for name in names:
        if (out / name).is_dir():
            raise errors.UserError(
                f"--out {out} holds a folder {name}, and an image would get that name: move it "
                "away, or choose another --out"
            )


def _temporary_beside(out):
    """Makes a hidden folder next to (or as a child of the nearest existing parent of) `out`."""
    parent = out.absolute()
    while not parent.exists():
        parent = parent.parent
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; it must be a folder")
    try:
        return Path(tempfile.mkdtemp(dir=parent, prefix=".generating-"))
    except PermissionError:
        raise PermissionError(f"cannot write to --out {out}: no permission in {parent}") from None
