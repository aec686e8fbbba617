"""Which image comes at which place of a stream: shuffled passes, mixtures, rare classes.

Each order is a function of (seed, place), so a stream can start anywhere.
"""

import functools

import grain.python as grain
import numpy as np

from usis_jax.data.pipeline import class_frequency
from usis_jax.data.pipeline.record_source import Joined

# Images in a stream. Without a number, Grain's repeat overflows when batches hold one image.
_ENDLESS = 2**48


def passes(images, seed: int) -> grain.MapDataset:
    """Endless passes over all images, each pass in a new order.

    Args:
      images: sequence of images.
      seed: decides the orders, 0 to 2**32 - 1.

    Returns:
      Grain dataset of images.
    """
    dataset = grain.MapDataset.source(images).seed(seed).shuffle()
    return dataset.repeat(_ENDLESS // len(images) + 1)


def mixture(sources: list, weights: list[float | None], seed: int) -> grain.MapDataset:
    """Endless passes over several sources.

    Args:
      sources: sequences of images.
      weights: share of each source among the images drawn, above 0 (any sum, kept to within 1 %);
        each source then goes through passes of its own, and the sources take turns as evenly as
        the weights allow. All None: passes over all images together, each equally likely.
      seed: decides the orders, 0 to 2**32 - 1.

    Returns:
      Grain dataset of images.
    """
    if len(sources) == 1:
        return passes(sources[0], seed)
    if None in weights:
        return passes(Joined(sources), seed)
    parts = [passes(images, _derived(seed, i)) for i, images in enumerate(sources)]
    return grain.MapDataset.mix(parts, weights)


def balanced(images, pixels, void: int | None, balance: float, seed: int) -> grain.MapDataset:
    """Label maps of which a share is drawn by rare classes.

    Args:
      images: sequence of label maps.
      pixels: int [N, K], pixels of each class in each of them.
      void: train id that is no class, or None.
      balance: share of the maps for which first a class is drawn, rare ones more often, and then
        one of the maps that hold it; above 0, at most 1. The others are passes over all maps.
      seed: decides the orders, 0 to 2**32 - 1.

    Returns:
      Grain dataset of label maps.

    Raises:
      ValueError: no pixel has a class.

    Source: rare-class sampling of DAFormer (Hoyer et al., CVPR 2022, section 3.3); differs: one
    pixel is enough for a map to hold a class, and a crop without it is not drawn again.
    """
    limits = np.cumsum(class_frequency.rare_class_probabilities(pixels, void))
    rows = [np.flatnonzero(pixels[:, k]) for k in range(pixels.shape[1])]
    draw = functools.partial(_draw, images=images, limits=limits / limits[-1], rows=rows)
    rare = grain.MapDataset.range(_ENDLESS).seed(_derived(seed, 1)).random_map(draw)
    if balance == 1:
        return rare
    return grain.MapDataset.mix([passes(images, _derived(seed, 0)), rare], [1 - balance, balance])


def _draw(_, rng, *, images, limits, rows):
    """A map that holds a class, which is drawn first; `limits` are cumulative probabilities."""
    holding = rows[np.searchsorted(limits, rng.random(), side="right")]
    return images[holding[rng.integers(len(holding))]]


def _derived(seed: int, number: int) -> int:
    """Seed of one of several parts of a stream."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
