"""Noise tables that the procedural scenes are textured with."""

import functools

import numpy as np

SIZE = 256


@functools.cache
def table(name: str) -> np.ndarray:
    """Returns a tileable noise table.

    Args:
      name: "white" (independent), "grain" (slightly smooth), "leaf" (clumps), "cloud" (fractal).

    Returns:
      float32 [SIZE, SIZE], zero mean, unit variance, clipped to [-3, 3].
    """
    seed, power, low = {
        "white": (1, 0.0, 0),
        "grain": (2, 0.6, 0),
        "leaf": (3, 1.15, 3),
        "cloud": (4, 1.75, 1),
    }[name]
    white = np.random.default_rng(seed).standard_normal((SIZE, SIZE))
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None]) * SIZE
    gain = np.where(frequency > low, np.maximum(frequency, 1.0) ** -power, 0.0)
    gain[0, 0] = 0.0
    field = np.fft.ifft2(np.fft.fft2(white) * gain).real
    return np.clip((field - field.mean()) / field.std(), -3, 3).astype(np.float32)


def lookup(name: str, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Nearest noise value at texture coordinates.

    Args:
      name: a table of `table`.
      s: float [...], horizontal coordinate in texels, any range below 2**30.
      t: float [...], vertical coordinate in texels.

    Returns:
      float32 [...].
    """
    row = np.floor(t).astype(np.int32) & (SIZE - 1)
    column = np.floor(s).astype(np.int32) & (SIZE - 1)
    return table(name).ravel().take(row * SIZE + column)


def smooth(name: str, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Bilinear noise value at texture coordinates.

    Args:
      name: a table of `table`.
      s: float [...], horizontal coordinate in texels.
      t: float [...], vertical coordinate in texels.

    Returns:
      float32 [...].
    """
    left, top = np.floor(s), np.floor(t)
    a, b = (s - left).astype(np.float32), (t - top).astype(np.float32)
    row, column = top.astype(np.int32) & (SIZE - 1), left.astype(np.int32) & (SIZE - 1)
    below, right = (row + 1) & (SIZE - 1), (column + 1) & (SIZE - 1)
    flat, row, below = table(name).ravel(), row * SIZE, below * SIZE
    upper = flat.take(row + column) * (1 - a) + flat.take(row + right) * a
    lower = flat.take(below + column) * (1 - a) + flat.take(below + right) * a
    return upper * (1 - b) + lower * b


def hashed(*values: np.ndarray) -> np.ndarray:
    """Repeatable pseudo-random number for integer-valued coordinates.

    Args:
      *values: float or int [...], broadcast together.

    Returns:
      float32 [...] in [0, 1).
    """
    total = np.zeros((), np.int64)
    for value, prime in zip(values, (73856093, 19349663, 83492791, 39916801), strict=False):
        total = total ^ (np.floor(value).astype(np.int64) * prime)
    return (((total * 2654435761) >> 8) & 0xFFFF).astype(np.float32) / 65536.0
