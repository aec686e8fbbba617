"""Diversity of samples of one label map: MS-SSIM over all pairs. Lower is more diverse.

Source: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment",
Asilomar 2003: Gaussian window of 11 pixels and deviation 1.5, five scales with the published
exponents; the paper's MS-SSIM between samples. Differs from the paper: photos too small for five
scales are compared on those where the window fits, their exponents divided by their sum.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.errors import UserError

WINDOW = 11
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_DEVIATION = 1.5
_LUMINANCE_CONSTANT = (0.01 * 255) ** 2
_CONTRAST_CONSTANT = (0.03 * 255) ** 2


@dataclasses.dataclass(frozen=True)
class Diversity:
    """MS-SSIM between samples of the same label map, and what it was made with.

    Args:
        value: mean over label maps of the mean over all pairs; 1 where every sample is the same.
        each: that mean of each label map.
        label_maps: number of label maps.
        samples: samples of each.
        height: of the photos.
        width: of the photos.
        scales: scales compared; 5 as published where they fit.
        warning: how the value differs from the published measure, or None.
    """

    value: float
    each: tuple[float, ...]
    label_maps: int
    samples: int
    height: int
    width: int
    scales: int
    warning: str | None


def diversity(samples_of_maps):
    """Measures MS-SSIM over all pairs of the samples of each label map.

    Args:
        samples_of_maps: iterable of uint8 or float [N, H, W, 3] in [0, 255], the samples of one
            label map each, all of one shape; one at a time is kept in memory.
    Returns:
        Diversity.
    Raises:
        UserError: no label map, fewer than 2 samples, shapes differ, or photos below 11 pixels.
    """
    each, shape = [], None
    for samples in samples_of_maps:
        samples = np.asarray(samples)
        _check(samples, "samples")
        if shape is None:
            shape = samples.shape
        if samples.shape != shape or len(samples) < 2:
            raise UserError(
                "samples of every label map must have one shape [N, H, W, 3] with N at least 2, "
                f"got {samples.shape} after {shape}"
            )
        each.append(float(np.mean(pairs(samples))))
    if shape is None:
        raise UserError("diversity needs the samples of at least 1 label map, got none")
    scales = num_scales(*shape[1:3])
    return Diversity(
        value=float(np.mean(each)),
        each=tuple(each),
        label_maps=len(each),
        samples=shape[0],
        height=shape[1],
        width=shape[2],
        scales=scales,
        warning=_scales_warning(scales, shape),
    )


def pairs(samples):
    """Compares all pairs of samples.

    Args:
        samples: uint8 or float [N, H, W, 3] in [0, 255], N at least 2.
    Returns:
        float32 [N (N - 1) / 2]: MS-SSIM of (0, 1), (0, 2), ..., (1, 2), ...
    Raises:
        UserError: not [N, H, W, 3], N below 2, or photos below 11 pixels.
    """
    samples = np.asarray(samples)
    _check(samples, "samples")
    number = len(samples)
    if number < 2:
        raise UserError(f"samples must be 2 or more to compare, got {number}")
    scales = num_scales(*samples.shape[1:3])
    moments = _moments(samples, scales)
    # All samples against all, rolled by 1, 2, ...: of one shape, so that it is compiled once.
    table, first = np.zeros((number, number), np.float32), np.arange(number)
    for step in range(1, number // 2 + 1):
        second = (first + step) % number
        found = _similarity_to_rolled(moments, step)
        table[first, second] = table[second, first] = np.asarray(found)
    return table[np.triu_indices(number, 1)]


def ms_ssim(photos_a, photos_b):
    """Measures multi-scale structural similarity of photos with photos, one by one.

    Args:
        photos_a: uint8 or float [..., H, W, 3] in [0, 255].
        photos_b: of the same shape.
    Returns:
        float32 [...], 1 for equal photos; the mean over the three colour channels.
    Raises:
        UserError: shapes differ, are not [..., H, W, 3], or photos are below 11 pixels.
    """
    photos_a, photos_b = np.asarray(photos_a), np.asarray(photos_b)
    if photos_a.shape != photos_b.shape:
        raise UserError(
            f"photos must be two sets of one shape, got {photos_a.shape} and {photos_b.shape}"
        )
    _check(photos_a, "photos")
    shape = photos_a.shape
    scales = num_scales(*shape[-3:-1])
    flat = [photos.reshape(-1, *shape[-3:]) for photos in (photos_a, photos_b)]
    moments = [_moments(photos, scales) for photos in flat]
    return np.asarray(_similarity(*moments)).reshape(shape[:-3])


def num_scales(height, width):
    """Counts the scales at which the window fits, at most the published five.

    Args:
        height: of the photos.
        width: of the photos.
    Returns:
        int, 0 where the window does not even fit at full size.
    """
    side, scales = min(height, width), 0
    while side >= WINDOW and scales < len(EXPONENTS):
        side, scales = side // 2, scales + 1
    return scales


@functools.partial(jax.jit, static_argnames="scales")
def _moments(photos, scales):
    """What SSIM needs of photos on their own: for each scale (photos, means, means of squares).

    Around mid grey, so that variances keep their digits in float32.
    """
    photos = jnp.asarray(photos, jnp.float32) - 127.5
    found = []
    for _ in range(scales):
        found.append((photos, _windowed_mean(photos), _windowed_mean(photos * photos)))
        photos = _halve(photos)
    return found


@jax.jit
def _similarity_to_rolled(moments, step):
    """MS-SSIM of each of N photos with the one `step` further on, in a ring: float32 [N]."""

    def roll(x):
        return jax.lax.dynamic_slice_in_dim(jnp.concatenate([x, x]), step, len(x))

    return _similarity(moments, jax.tree.map(roll, moments))


@jax.jit
def _similarity(moments_a, moments_b):
    """MS-SSIM of photos with the given moments: float32 [B].

    Contrast of every scale but the coarsest, contrast and luminance of the coarsest. A negative
    contrast counts as 0: it has no real power.
    """
    exponents, result = _exponents(len(moments_a)), 1.0
    for scale, exponent in enumerate(exponents):
        a, mean_a, square_a = moments_a[scale]
        b, mean_b, square_b = moments_b[scale]
        covariance = _windowed_mean(a * b) - mean_a * mean_b
        spread = square_a + square_b - mean_a**2 - mean_b**2
        found = (2 * covariance + _CONTRAST_CONSTANT) / (spread + _CONTRAST_CONSTANT)
        if scale == len(exponents) - 1:
            mean_a, mean_b = mean_a + 127.5, mean_b + 127.5
            found *= (2 * mean_a * mean_b + _LUMINANCE_CONSTANT) / (
                mean_a**2 + mean_b**2 + _LUMINANCE_CONSTANT
            )
        # Means over pixels, for each colour channel on its own.
        result = result * jnp.maximum(found.mean(axis=(1, 2)), 0.0) ** exponent
    return result.mean(axis=-1)


def _exponents(scales):
    """The published exponents, or the first of them scaled to sum to 1."""
    if scales == len(EXPONENTS):
        return EXPONENTS
    return tuple(exponent / sum(EXPONENTS[:scales]) for exponent in EXPONENTS[:scales])


def _windowed_mean(photos):
    """Gaussian mean of the windows that lie inside: [B, H, W, C] -> [B, H - 10, W - 10, C]."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * _DEVIATION**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 2):
        size = photos.shape[axis] - WINDOW + 1
        photos = sum(
            weight * jax.lax.slice_in_dim(photos, i, i + size, axis=axis)
            for i, weight in enumerate(weights)
        )
    return photos


def _halve(photos):
    """Mean of 2x2 blocks; an odd last row or column is left out."""
    batch, height, width, channels = photos.shape
    photos = photos[:, : height // 2 * 2, : width // 2 * 2]
    return photos.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def _scales_warning(scales, shape):
    if scales == len(EXPONENTS):
        return None
    return (
        f"photos of {shape[2]}x{shape[1]} have room for {scales} of the {len(EXPONENTS)} published "
        "scales; compare only with values of the same size"
    )


def _check(photos, name):
    """Raises UserError if these are not photos on which the window fits."""
    if photos.ndim < 3 or photos.shape[-1] != 3:
        raise UserError(f"{name} must be [..., H, W, 3], got shape {photos.shape}")
    if min(photos.shape[-3:-1]) < WINDOW:
        raise UserError(
            f"{name} must be at least {WINDOW} pixels a side, got {photos.shape[-3:-1]}"
        )
