"""Label maps that the page starts with."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from usis_jax.data.images import decode, image_files
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.scenes import render
from usis_jax.errors import UserError
from usis_jax.storage import atomic

_SEEDS = (7, 21, 35, 4, 12, 28)
_BORDERS = 2.0
_FROM_TOP = ("sky", "tree", "vegetation", "building", "wall", "grass", "sidewalk", "pavement",
             "road", "ground", "terrain", "water", "sea")  # fmt: skip


def label_maps(generator, number=6):
    """Label maps to begin with: held-out ones of the run, else drawn ones.

    Args:
        generator: Generator.
        number: maps wanted.
    Returns:
        list of (name, int [H, W] train ids) at the size of training; at least one.
    """
    return _held_out(generator, number) or _drawn(generator, number)


def write(generator, out):
    """Writes label maps to begin with as files that `Generator.read` reads.

    Args:
        generator: Generator.
        out: folder; they lie in its folder `labels`, in the palette's colours.
    Returns:
        Path of that folder.
    Raises:
        UserError: other label maps lie there, or these, changed since.
        UserError: no map has only classes that files can name.
        PermissionError: it cannot be written.
    """
    spec, folder = generator.spec, Path(out) / "labels"
    ids = [
        [a for a, b in spec.file_ids if b == k and 0 <= a < 256] for k in range(spec.num_classes)
    ]
    table = np.array([min(own, default=-1) for own in ids])
    palette = np.zeros((256, 3), np.uint8)
    palette[table[table >= 0]] = spec.colours[table >= 0]
    maps = [(name, table[label]) for name, label in label_maps(generator)]
    maps = [(name, label) for name, label in maps if label.min() >= 0]
    if not maps:
        raise UserError("no label map can be drawn for this generator; give --labels=DIR")
    files = {folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.png": label.astype(np.uint8)
             for name, label in maps}  # fmt: skip
    _check_only(files, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path, label in files.items():
        picture = Image.fromarray(label, "L")
        picture.putpalette(palette.tobytes())
        atomic.write_with(path, lambda file, p=picture: p.save(file, "PNG"))
    return folder


def _check_only(files, folder):
    """UserError where a folder has other label maps than those that would be written."""
    for path in image_files.find(folder) if folder.is_dir() else ():
        try:
            same = np.array_equal(files.get(path), decode.open_image(path, "label map"))
        except ValueError:
            same = False
        if not same:
            raise UserError(
                f"{path} is not a label map that usis sample begins with, or was "
                f"changed; generate from those there with --labels={folder}, or give another "
                "--out"
            )


def _held_out(generator, number):
    """Validation maps of the run's data, the best to look at first; [] if it is not here."""
    try:
        examples = input_pipeline.validation(generator.settings, 8 * number)
    except (OSError, ValueError):
        return []
    labels = examples.labels
    if labels.min() < 0 or labels.max() >= generator.spec.num_classes:
        return []
    order = sorted(range(len(labels)), key=lambda i: -_calm_variety(labels[i]))
    return [(examples.names[i], labels[i]) for i in order[:number]]


def _calm_variety(label):
    """Many classes in few pieces: the entropy of their shares, less for every border."""
    shares = np.bincount(label.ravel()) / label.size
    shares = shares[shares > 0]
    borders = (label[1:] != label[:-1]).mean() + (label[:, 1:] != label[:, :-1]).mean()
    return float(-(shares * np.log(shares)).sum() - _BORDERS * borders)


def _drawn(generator, number):
    data = generator.settings.data
    if generator.spec.name == "scenes" and min(data.height, data.width) >= 16:
        return [
            (f"scene {seed}", render.draw_label(seed, data.height, data.width).astype(np.int32))
            for seed in _SEEDS[:number]
        ]
    return [("bands", _bands(generator.spec, data.height, data.width))]


def _bands(spec, height, width):
    """Hills of a few classes, in the order in which they lie in a landscape where names say so."""
    named = [spec.classes.index(name) for name in _FROM_TOP if name in spec.classes]
    order = named[:5] if len(named) > 1 else [k for k in range(len(spec.classes)) if k != spec.void]
    order = (order or [0])[:5]
    across = np.linspace(0, 2 * np.pi, width)
    label = np.full((height, width), order[0], np.int32)
    rows = np.arange(height)[:, None]
    for place, k in enumerate(order[1:], 1):
        edge = place / len(order) + 0.04 * np.sin(across * (1 + place % 3) + 2 * place)
        label[rows >= edge * height] = k
    return label
