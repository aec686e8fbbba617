"""Training diagnostics that need more than a train step.

What D says of images it never saw, whether generated images differ from each other, which classes S
does not find, how strong fine detail is.

`usis_jax.diagnostics.rules` says in words what they mean.
"""

import functools

import jax
import numpy as np

from usis_jax.distributed import sharded_map
from usis_jax.ops import pixel_range

PREFIX = "diagnostics/"
# Images of each kind that D scores, at most.
_MOST = 200
_AT_ONCE = 8
# Below it a difference of mean scores is no scale to measure by.
_LEAST_GAP = 0.05


def measure(material, rows):
    """Measures the diagnostics that the material allows.

    Args:
        material: material.Material.
        rows: list of protocol.Row of the same material: consistency and spectrum are read there.
    Returns:
        dict of floats by name, such as "diagnostics/overfitting"; the same names on every host.
    """
    found = _discriminator(material) | _spread(material) | _noise(material)
    found = dict(zip(found, sharded_map.agreed(list(found.values())), strict=True))
    found |= overfitting(found)
    for row in rows:
        if row.id == "consistency_miou":
            found["segmenter_class_accuracy"] = float(row.details["class_accuracy"])
        if row.id == "spectral_distance":
            found["high_frequencies_db"] = float(row.details["high"])
    return {f"{PREFIX}{name}": value for name, value in found.items()}


def overfitting(scores):
    """How far D takes unseen real images for generated ones: 0 not at all, 1 completely.

    Args:
        scores: dict with "score_training", "score_validation" and "score_generated", mean scores.
    Returns:
        {"overfitting": float}, or {} where D does not tell training images from generated ones.
    Source: r_v of Karras et al., "Training Generative Adversarial Networks with Limited Data",
        NeurIPS 2020, eq. 1.
    """
    if "score_validation" not in scores or "score_training" not in scores:
        return {}
    gap = scores["score_training"] - scores["score_generated"]
    if gap < _LEAST_GAP:
        return {}
    return {"overfitting": (scores["score_training"] - scores["score_validation"]) / gap}


def scores(network, variables, images, seed=0):
    """D's score of each image, in groups as it saw them in training.

    Images are put in a random order first: neighbours in a data set are often of one place, and D
    compares the images of a group.

    Args:
        network: discriminator module, without a devices' axis.
        variables: {"params": ...} of it.
        images: uint8 [N, H, W, 3], N at least 1.
        seed: int, of the order.
    Returns:
        float32 [n]: n is the largest multiple of the group up to N, at most 200. Mean over tiles.
    """
    chosen = np.random.default_rng(seed).permutation(len(images))[:_MOST]
    group = min(network.stddev_group, len(chosen))
    chosen = chosen[: len(chosen) // group * group]
    groups = images[chosen].reshape(-1, group, *images.shape[1:])
    return np.asarray(_scorer(network, group)(variables, groups)).reshape(-1)


@functools.lru_cache(maxsize=4)
def _scorer(network, group):
    """A discriminator on all devices; its rows are groups of images."""

    def score(variables, groups):
        def one(images):
            logits, _ = network.apply(variables, pixel_range.to_float(images))
            return logits.reshape(len(images), -1).mean(axis=1)

        return jax.vmap(one)(groups)

    return sharded_map.Spread(score, max(1, _AT_ONCE // group))


def _discriminator(material):
    """D's mean score and the share it gets right of generated, validation and training images."""
    if material.discriminator is None:
        return {}
    kinds = {
        "generated": material.generated,
        "validation": material.real,
        "training": material.other,
    }
    found = {}
    for name, images in kinds.items():
        if images is None or not len(images):
            continue
        each = scores(*material.discriminator, images)
        right = each < 0 if name == "generated" else each > 0
        found[f"score_{name}"] = float(each.mean(dtype=np.float64))
        found[f"right_{name}"] = float(right.mean())
    return found


def _spread(material):
    """How far generated images differ from each other, as a share of how far real ones do."""
    if len(material.generated) < 2 or len(material.real) < 2:
        return {}
    real = material.once("spread", lambda: _deviation(material.real))
    return {"spread": _deviation(material.generated) / max(real, 1e-6)}


def _deviation(images):
    """Standard deviation over images of each pixel, mean over pixels; in grey levels."""
    rows = [images[:, y].std(axis=0, dtype=np.float32).mean() for y in range(images.shape[1])]
    return float(np.mean(rows, dtype=np.float64))


def _noise(material):
    """Mean difference of two images of one label map by their noise, in grey levels of 255."""
    if material.samples is None or len(material.samples) < 2:
        return {}
    a, b = (images.astype(np.int16) for images in material.samples[:2])
    return {"noise_difference": float(np.abs(a - b).mean(dtype=np.float64))}
