"""Layouts of arrays: channels last here, channels first in published state dicts, both ways."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """One change of layout and its inverse; both only move numbers, so nothing is rounded.

    Attributes:
      read: (published array, our shape) -> our array, or None if it does not fit.
      write: our array -> published array.
    """

    read: Callable[[np.ndarray, tuple[int, ...]], np.ndarray | None]
    write: Callable[[np.ndarray], np.ndarray]


def _read_vector(value, shape):
    return value if value.shape == shape else None


def _read_channels(value, shape):
    is_vector = value.size == max(value.shape, default=1) == np.prod(shape)
    return value.reshape(shape) if is_vector else None


def _read_kernel(value, shape):
    if value.ndim != 4 or value.transpose(2, 3, 1, 0).shape != shape:
        return None
    return value.transpose(2, 3, 1, 0)


VECTOR = Layout(_read_vector, lambda value: value)
"""[C], the same on both sides."""
CHANNELS = Layout(_read_channels, lambda value: value.reshape(1, -1, 1, 1))
"""[C] here, [1, C, 1, 1] published (biases of activations); a published [C] is read too."""
KERNEL = Layout(_read_kernel, lambda value: value.transpose(3, 2, 0, 1))
"""Kernel [kh, kw, I, O] here, weights [O, I, kh, kw] published."""


def spectral_vector(size: int) -> Layout:
    """Spectral vector over (kh, kw, I) here and over (I, kh, kw) published, kh = kw = size."""

    def read(value, shape):
        if value.shape != shape or value.size % size**2:
            return None
        return value.reshape(-1, size, size).transpose(1, 2, 0).reshape(-1)

    return Layout(read, lambda v: v.reshape(size, size, -1).transpose(2, 0, 1).reshape(-1))


def dense(height: int, width: int) -> Layout:
    """Kernel [(h, w, C), O] here, weights [O, (C, h, w)] published, after an image of h x w."""

    def read(value, shape):
        if value.shape != shape[::-1] or value.shape[1] % (height * width):
            return None
        return value.reshape(len(value), -1, height, width).transpose(2, 3, 1, 0).reshape(shape)

    def write(value):
        image = value.reshape(height, width, -1, value.shape[1])
        return image.transpose(3, 2, 0, 1).reshape(value.shape[1], -1)

    return Layout(read, write)
