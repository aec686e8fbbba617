"""Photos and label maps in files as published data sets have them, drawn instead of downloaded."""

import pathlib

import numpy as np
from PIL import Image

from usis_jax.data.scenes import render
from usis_jax.data.specs import builtin_specs

HEIGHT, WIDTH = 512, 683
# Gives pairs of some 45 KB; ADEChallengeData2016.zip has 923 MB for 22,210 pairs, 42 KB each.
JPEG_QUALITY = 65
_SCENES = 12


def write(folder: pathlib.Path, count: int) -> dict[str, float]:
    """Writes a folder data set of JPEG photos and PNG label maps of 683x512, ADE20K's usual size.

    Args:
      folder: empty folder.
      count: number of photos and of label maps; views of a few drawn street scenes.

    Returns:
      {"jpeg_kib", "png_kib"}: mean sizes of the files.
    """
    scenes = [render.draw_scene(number, HEIGHT, WIDTH) for number in range(_SCENES)]
    random = np.random.default_rng(0)
    for kind in ("photos", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for number in range(count):
        photo, label = _view(*scenes[number % _SCENES], random)
        path = folder / "photos/train" / f"{number:05d}.jpg"
        Image.fromarray(photo).save(path, quality=JPEG_QUALITY)
        Image.fromarray(label).save(folder / "labels/train" / f"{number:05d}.png")
    builtin_specs.SPECS["scenes"].save(folder / "label_spec.json")
    return {f"{suffix}_kib": _mean_size(folder.rglob(f"*.{suffix}")) for suffix in ("jpg", "png")}


def _mean_size(files) -> float:
    return float(np.mean([file.stat().st_size for file in files])) / 1024


def _view(photo, label, random) -> tuple[np.ndarray, np.ndarray]:
    """A scene moved sideways, mirrored and in other light, so that no two files are equal."""
    shift, gain = int(random.integers(WIDTH)), random.uniform(0.8, 1.1)
    photo, label = np.roll(photo, shift, axis=1), np.roll(label, shift, axis=1)
    photo = np.clip(photo * np.float32(gain), 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        photo, label = photo[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(photo), np.ascontiguousarray(label, np.uint8)
