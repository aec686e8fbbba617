"""Kernel distance (KID) between two sets of features: unbiased, as published and on all images.

Every estimate is one weighting of the images: all equally (the full estimate), 1 for the images of
a random subset and 0 for others (the published estimate), or how often each was drawn with
replacement (the bootstrap). So one pass over the kernel, in blocks of rows, gives all of them.

Source: Binkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", ICLR 2018, section 4:
kernel (x'y / D + 1)^3, unbiased squared MMD, 100 random subsets of 1,000 images.
"""

import dataclasses

import numpy as np

from usis_jax.errors import UserError
from usis_jax.evaluation.metrics import fid

DEGREE = 3
_BLOCK = 512


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """A kernel distance and what it was made with.

    Args:
        value: unbiased squared MMD on all images; can be just below 0.
        low: lower end of the 95% bootstrap interval of `value`, or None without bootstrap.
        high: its upper end, or None.
        subset_mean: mean over random subsets, as published.
        subset_deviation: standard deviation over the subsets (0 where a subset is all images).
        subsets: number of subsets.
        subset_size: images of each set in a subset.
        bootstrap: number of bootstrap samples.
        number_a: images of the first set.
        number_b: images of the second set.
        dims: features of an image.
        seed: of subsets and bootstrap.
        warning: why not to compare the value with published ones, or None.
    """

    value: float
    low: float | None
    high: float | None
    subset_mean: float
    subset_deviation: float
    subsets: int
    subset_size: int
    bootstrap: int
    number_a: int
    number_b: int
    dims: int
    seed: int
    warning: str | None


def kernel_distance(features_a, features_b):
    """Measures the unbiased squared MMD with the kernel of KID, on all images.

    Args:
        features_a: float [N, D], N at least 2.
        features_b: float [M, D], M at least 2.
    Returns:
        float, 0 in the mean over draws from one distribution, so it can be just below 0.
    Raises:
        UserError: not [N, D], D differs, fewer than 2 images, or not finite.
    """
    a, b = _check(features_a, features_b)
    return float(_estimates(a, b, np.ones((len(a), 1)), np.ones((len(b), 1)))[0])


def compare(features_a, features_b, subsets=100, subset_size=1000, bootstrap=500, seed=0):
    """Measures the kernel distance on all images, on subsets as published, and its interval.

    Args:
        features_a: float [N, D], N at least 2.
        features_b: float [M, D], M at least 2.
        subsets: number of random subsets, at least 1.
        subset_size: images of each set in a subset, at least 2; fewer where a set has fewer.
        bootstrap: number of bootstrap samples; 0 leaves the interval out.
        seed: int, of subsets and bootstrap.
    Returns:
        KernelDistance.
    Raises:
        UserError: not [N, D], D differs, fewer than 2 images, not finite, or a count too small.
    """
    a, b = _check(features_a, features_b)
    for name, value, least in (
        ("subsets", subsets, 1),
        ("subset_size", subset_size, 2),
        ("bootstrap", bootstrap, 0),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")
    size = min(subset_size, len(a), len(b))
    random = np.random.default_rng(seed)
    weights = [
        np.concatenate(
            [
                np.ones((len(features), 1), np.uint16),
                _subset_weights(random, len(features), subsets, size),
                _bootstrap_weights(random, len(features), bootstrap),
            ],
            axis=1,
        )
        for features in (a, b)
    ]
    estimates = _estimates(a, b, *weights)
    published, drawn = estimates[1 : 1 + subsets], estimates[1 + subsets :]
    low, high = np.quantile(drawn, [0.025, 0.975]) if bootstrap else (None, None)
    return KernelDistance(
        value=float(estimates[0]),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        subset_mean=float(published.mean()),
        subset_deviation=float(published.std()),
        subsets=subsets,
        subset_size=size,
        bootstrap=bootstrap,
        number_a=len(a),
        number_b=len(b),
        dims=a.shape[1],
        seed=seed,
        warning=fid.few_images_warning(len(a), len(b)),
    )


def _estimates(a, b, weights_a, weights_b):
    """Unbiased squared MMD of each weighting.

    Pairs of one image with itself are left out, also where a bootstrap sample holds it twice:
    otherwise every bootstrap estimate would be too large.

    Args:
        a: float64 [N, D].
        b: float64 [M, D].
        weights_a: whole numbers [N, E], of any type.
        weights_b: whole numbers [M, E].
    Returns:
        float64 [E].
    """
    within = 0.0
    for features, weights in ((a, weights_a), (b, weights_b)):
        itself = _kernel(np.einsum("nd,nd->n", features, features), features.shape[1])
        squares, own = 0.0, 0.0
        for rows in _blocks(len(features)):
            square = np.square(weights[rows], dtype=np.float64)
            squares, own = squares + square.sum(axis=0), own + itself[rows] @ square
        pairs = np.square(weights.sum(axis=0, dtype=np.float64)) - squares
        within = within + (_weighted_sum(features, features, weights, weights) - own) / pairs
    pairs = weights_a.sum(axis=0, dtype=np.float64) * weights_b.sum(axis=0, dtype=np.float64)
    return within - 2 * _weighted_sum(a, b, weights_a, weights_b) / pairs


def _weighted_sum(a, b, weights_a, weights_b):
    """Sum over i, j of weights_a[i, e] k(a[i], b[j]) weights_b[j, e]: float64 [E]."""
    total = 0.0
    for rows in _blocks(len(a)):
        inner = 0.0
        for columns in _blocks(len(b)):
            kernel = _kernel(a[rows] @ b[columns].T, a.shape[1])
            inner = inner + kernel @ weights_b[columns].astype(np.float64)
        total = total + np.einsum("ne,ne->e", weights_a[rows].astype(np.float64), inner)
    return total


def _blocks(number):
    return [slice(start, start + _BLOCK) for start in range(0, number, _BLOCK)]


def _kernel(products, dims):
    """(products / D + 1)^3."""
    shifted = products / dims + 1
    return shifted**2 * shifted


def _subset_weights(random, number, subsets, size):
    """Columns with 1 for `size` images drawn without replacement: uint16 [number, subsets]."""
    weights = np.zeros((number, subsets), np.uint16)
    for column in weights.T:
        column[random.permutation(number)[:size]] = 1
    return weights


def _bootstrap_weights(random, number, samples):
    """Columns with how often each image was drawn in `number` draws: uint16 [number, samples].

    A sample of one image only has no pairs, so it is drawn again (likely only of two images).
    """
    weights = np.zeros((number, samples), np.uint16)
    for column in weights.T:
        while np.count_nonzero(column) < 2:
            column[:] = np.bincount(random.integers(0, number, number), minlength=number)
    return weights


def _check(features_a, features_b):
    """Both sets as float64, if they fit."""
    a = fid.check_features(features_a, "features_a")
    b = fid.check_features(features_b, "features_b")
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"both sets must have the same number of features, got {a.shape[1]} and {b.shape[1]}"
        )
    return a, b
