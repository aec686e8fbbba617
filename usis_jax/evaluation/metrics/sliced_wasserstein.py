"""Sliced Wasserstein distance (SWD) between two sets of photos; needs no pretrained network.

Source: Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality,
Stability, and Variation", ICLR 2018, section 5: patches of the levels of a Laplacian pyramid,
normalised by colour channel, compared along random directions.
"""

import numpy as np

from usis_jax.errors import UserError

PATCH = 7
SCALE = 1000.0
MOST_PATCHES = 2**16
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def distance(photos_a, photos_b, patches=128, projections=512, smallest=16, seed=0):
    """Measures the sliced Wasserstein distance at every level of detail.

    Both sets are cut at the same random positions, so a set has distance 0 to itself.

    Args:
        photos_a: uint8 or float [N, H, W, 3] in [0, 255].
        photos_b: the same shape.
        patches: patches cut from each photo at each level; fewer where that would be more than
            MOST_PATCHES of a set, so that memory and time do not grow with the photos.
        projections: random directions.
        smallest: the coarsest level's shorter side is at least this.
        seed: int, of positions and directions.
    Returns:
        dict of floats: "swd/LEVEL" for the shorter side of each level, and their mean "swd";
        all times 1000, as published.
    Raises:
        UserError: shapes differ, or photos are smaller than one patch.
    """
    photos_a, photos_b = np.asarray(photos_a), np.asarray(photos_b)
    if photos_a.shape != photos_b.shape or photos_a.ndim != 4 or photos_a.shape[-1] != 3:
        raise UserError(
            f"photos must be two sets of one shape [N, H, W, 3], got {photos_a.shape} "
            f"and {photos_b.shape}"
        )
    if min(photos_a.shape[1:3]) < PATCH:
        raise UserError(f"photos must be at least {PATCH} pixels a side, got {photos_a.shape}")
    patches = max(1, min(patches, MOST_PATCHES // max(1, len(photos_a))))
    found = []
    for photos in (photos_a, photos_b):
        random = np.random.default_rng(seed)
        found.append(_descriptors(photos, patches, smallest, random))
    result = {}
    for level in list(found[0]):
        a, b = (_normalise(descriptors.pop(level)) for descriptors in found)
        directions = unit_directions(a.shape[1], projections, np.random.default_rng(seed + 1))
        result[f"swd/{level}"] = SCALE * projected_distance(a, b, directions)
    return {"swd": float(np.mean(list(result.values()))), **result}


def laplacian_pyramid(photos, smallest=16):
    """Splits photos into band-pass levels and a low-pass rest.

    Args:
        photos: float [N, H, W, C].
        smallest: no level's shorter side is below this (unless the photo's is).
    Returns:
        list of float32 [N, H / 2^i, W / 2^i, C], finest first.
    """
    levels, current = [], np.asarray(photos, np.float32)
    while (
        min(current.shape[1:3]) >= 2 * smallest
        and current.shape[1] % 2 == 0
        and current.shape[2] % 2 == 0
    ):
        smaller = _blur(current)[:, ::2, ::2]
        levels.append(current - _enlarge(smaller))
        current = smaller
    return [*levels, current]


def cut_patches(photos, count, random):
    """Cuts random 7x7 patches.

    Args:
        photos: [N, H, W, C].
        count: patches from each photo.
        random: numpy Generator.
    Returns:
        [N * count, 7, 7, C] in the photos' dtype.
    """
    number, height, width, _ = photos.shape
    top = random.integers(0, height - PATCH + 1, (number, count, 1, 1))
    left = random.integers(0, width - PATCH + 1, (number, count, 1, 1))
    rows = top + np.arange(PATCH)[:, None]
    columns = left + np.arange(PATCH)[None, :]
    which = np.arange(number)[:, None, None, None]
    return photos[which, rows, columns].reshape(-1, PATCH, PATCH, photos.shape[-1])


def unit_directions(size, count, random):
    """Draws directions evenly from the sphere: float32 [size, count], columns of length 1."""
    directions = random.standard_normal((size, count))
    return (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)


def projected_distance(a, b, directions):
    """Averages the one-dimensional Wasserstein distances of projected points.

    Args:
        a: float [M, size].
        b: float [M, size].
        directions: float [size, count].
    Returns:
        float, mean over directions of mean |sorted(a d) - sorted(b d)|.
    """
    total = 0.0
    for part in np.array_split(directions.T, max(1, directions.shape[1] // 64)):
        # Each direction's values in one piece of memory: they are sorted many times as fast.
        first, second = part @ a.T, part @ b.T
        first.sort(axis=1)
        second.sort(axis=1)
        total += float(np.abs(first - second).mean()) * len(part)
    return total / directions.shape[1]


def _descriptors(photos, patches, smallest, random, chunk=64):
    """Patches of every level: dict of the level's shorter side to float32 [M, 7, 7, C]."""
    found = {}
    for start in range(0, len(photos), chunk):
        for level in laplacian_pyramid(photos[start : start + chunk], smallest):
            name = min(level.shape[1:3])
            found.setdefault(name, []).append(cut_patches(level, patches, random))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _normalise(patches):
    """Gives each colour channel mean 0 and deviation 1 over the set; flattens each patch."""
    flat = patches.reshape(-1, patches.shape[-1])
    mean = flat.mean(axis=0, dtype=np.float64)
    deviation = flat.std(axis=0, dtype=np.float64)
    scaled = (patches - mean) / np.maximum(deviation, 1e-8)
    return scaled.astype(np.float32).reshape(len(patches), -1)


def _blur(photos):
    """5x5 binomial filter with mirrored borders."""
    for axis in (1, 2):
        margin = [(0, 0)] * 4
        margin[axis] = (2, 2)
        padded = np.pad(photos, margin, mode="reflect")
        size = photos.shape[axis]
        photos = sum(
            weight * np.take(padded, range(i, i + size), axis=axis)
            for i, weight in enumerate(_BINOMIAL)
        )
    return photos


def _enlarge(photos):
    """Doubles the size: zeros between pixels, then the binomial filter times four."""
    number, height, width, channels = photos.shape
    spread = np.zeros((number, 2 * height, 2 * width, channels), np.float32)
    spread[:, ::2, ::2] = photos
    return 4 * _blur(spread)
