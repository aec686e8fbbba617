"""How often each class occurs in label maps, and how rare ones are drawn more often."""

import contextlib
import functools
import pathlib

import numpy as np

from usis_jax.data.datasets.base import FIELDS, SPEC_FILE
from usis_jax.data.pipeline import record_source
from usis_jax.data.preparation import prepared_sets
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError
from usis_jax.storage import atomic

TEMPERATURE = 0.01


def count(images, num_classes: int, on_image=lambda: None) -> np.ndarray:
    """Pixels of each class in each label map.

    Args:
      images: sequence of uint8 [H, W, 1], train ids.
      num_classes: K.
      on_image: called after each map.

    Returns:
      int32 [N, K].
    """
    pixels = np.zeros((len(images), num_classes), np.int32)
    for row in range(len(images)):
        pixels[row] = np.bincount(images[row].ravel(), minlength=num_classes)
        on_image()
    return pixels


def store(folder: pathlib.Path, progress: bool = True) -> None:
    """Counts the pixels of every split of prepared label maps and stores them beside the maps.

    Args:
      folder: folder of a prepared data set of label maps.
      progress: whether to show progress on stderr.
    """
    for split in _splits(folder):
        _of_whole_split(folder, split, progress)


def of_split(folder: pathlib.Path, split: str, progress: bool = True) -> np.ndarray:
    """Pixels of each class in each label map of a split, counted now where they are not stored.

    Args:
      folder: folder of a prepared data set of label maps.
      split: such as "train[:50%]".
      progress: whether to show progress on stderr where maps must be counted.

    Returns:
      int32 [N, K], in the order of the split's data source.
    """
    import tensorflow_datasets as tfds

    parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(_splits(folder))
    return np.concatenate(
        [_of_whole_split(folder, p.splitname, progress)[p.from_ : p.to] for p in parts]
    )


def summary(pixels: np.ndarray, spec: LabelSpec, predicted=None) -> list[dict]:
    """Shares of the classes.

    Args:
      pixels: int [N, K] from `of_split`.
      spec: LabelSpec of the maps.
      predicted: float [K], shares of the pixels that an evaluator predicts in photos, or None.

    Returns:
      For each class {"name", "pixels": share of all pixels, "maps": number of maps that hold it,
      "void": bool}, and "predicted" where these are given.
    """
    shares = pixels.sum(0, dtype=np.int64) / max(pixels.sum(dtype=np.int64), 1)
    maps = (pixels > 0).sum(0)
    result = [
        {"name": name, "pixels": float(shares[k]), "maps": int(maps[k]), "void": k == spec.void}
        for k, name in enumerate(spec.classes)
    ]
    for entry, share in zip(
        result, () if predicted is None else predicted, strict=predicted is not None
    ):
        entry["predicted"] = float(share)
    return result


def rare_class_probabilities(pixels: np.ndarray, void: int | None) -> np.ndarray:
    """Probability of each class in rare-class sampling.

    Args:
      pixels: int [N, K] from `of_split`.
      void: train id that is no class, or None.

    Returns:
      float64 [K], exp((1 - f_c) / 0.01) over their sum, with f_c the share of class c among the
      pixels that are not void; 0 for void and for classes without a pixel.

    Raises:
      UserError: no pixel has a class.

    Source: Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022, section 3.3, with its temperature.
    """
    totals = pixels.sum(0, dtype=np.int64)
    if void is not None:
        totals[void] = 0
    if not totals.any():
        raise UserError(
            "data.class_balance is above 0, and no label map of data.labels has a pixel of a class "
            "other than void; set it to 0"
        )
    frequency = totals / totals.sum()
    # Relative to the rarest class, since exp(1 / TEMPERATURE) is beyond some floats.
    rarest = frequency[totals > 0].min()
    weights = np.where(totals > 0, np.exp((rarest - frequency) / TEMPERATURE), 0)
    return weights / weights.sum()


def expected(pixels: np.ndarray, void: int | None, balance: float) -> np.ndarray:
    """Shares of the classes' pixels in the label maps that training draws.

    Args:
      pixels: int [N, K] from `of_split`, of maps of one size.
      void: train id that is no class, or None.
      balance: `data.class_balance`.

    Returns:
      float64 [K]; their sum is 1.
    """
    shares = pixels / pixels.sum(1, keepdims=True)
    weights = np.full(len(pixels), (1 - balance) / len(pixels))
    if balance:
        present = pixels > 0
        chosen = rare_class_probabilities(pixels, void) / np.maximum(present.sum(0), 1)
        weights += balance * (present @ chosen)
    return weights @ shares


def _of_whole_split(folder: pathlib.Path, split: str, progress: bool) -> np.ndarray:
    """Pixels of a split without slices, from the file beside the maps or counted and stored."""
    import tqdm

    path = folder / f"class_pixels_{split}.npy"
    if path.is_file():
        return _stored(path)
    source = record_source.open_split(folder, split)
    images = record_source.Encoded(source, FIELDS["labels"])
    num_classes = LabelSpec.load(folder / SPEC_FILE).num_classes
    description = f"classes in {split}"
    with tqdm.tqdm(total=len(images), disable=not progress, unit="map", desc=description) as bar:
        pixels = count(images, num_classes, bar.update)
    # Prepared data may lie where nothing can be written; then they are counted each time.
    with contextlib.suppress(OSError):
        atomic.write_with(path, functools.partial(np.save, arr=pixels))
    return pixels


def _stored(path: pathlib.Path) -> np.ndarray:
    """Pixels that `of_split` kept; ValueError where the file is damaged."""
    try:
        pixels = np.load(path, allow_pickle=False)
    except Exception as error:  # of damaged files, NumPy raises nearly anything
        raise UserError(f"{path} is damaged ({error}); delete it, it is made again") from error
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise UserError(f"{path} is no table of pixels; delete it, it is made again")
    return pixels


def _splits(folder: pathlib.Path):
    """TFDS's information on the splits of a prepared data set."""
    return prepared_sets.builder(folder).info.splits
