"""Convolutions of a label map and a noise.

The paper's generator concatenates noise (Z channels, constant over the image) and the one-hot label
map (K channels) at every SPADE layer and convolves the Z + K channels. The noise's part is the same
at every pixel but for the border, so it is computed from the nine taps directly, and only the K
one-hot channels are convolved. Same parameters, same result.

A noise of its own at each pixel is convolved with the labels, as one convolution: the TPU compiler
(libtpu 0.0.42) fails on the gradients of two of few images (1, 2 and 4, not 8).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops import resample
from usis_jax.ops.conv import DIMENSIONS, conv


def label_conv(
    label: Array, z: Array, kernel: Array, bias: Array, height: int, width: int
) -> Array:
    """Convolution of concat[noise, one-hot label], resized nearest to (height, width).

    Args:
      label: int [B, H, W], ids in [0, K).
      z: float [B, Z], or [B, H, W, Z] for a noise of its own at each pixel.
      kernel: float [k, k, Z+K, F], k odd.
      bias: float [F].
      height, width: size of the result.

    Returns:
      float [B, height, width, F], the dtype of `kernel`.

    Source: paper §5.1 (3-D noise of OASIS, SPADE).
    """
    if z.ndim == 4:
        return concatenated(label, z, kernel, bias, height, width)
    small = resample.nearest_to(label, height, width)
    return noise_and_labels(one_hot_conv, small, z.astype(kernel.dtype), kernel) + bias


def concatenated(
    label: Array, z: Array, kernel: Array, bias: Array, height: int, width: int
) -> Array:
    """The same as `label_conv`, every channel convolved, as the published networks do."""
    small, z = resample.nearest_to(label, height, width), z.astype(kernel.dtype)
    if z.ndim == 4:
        z = resample.nearest_to(z, height, width)
    else:
        z = jnp.broadcast_to(z[:, None, None], (*small.shape, z.shape[-1]))
    one_hot = jax.nn.one_hot(small, kernel.shape[2] - z.shape[-1], dtype=kernel.dtype)
    return _same(jnp.concatenate([z, one_hot], axis=-1), kernel) + bias


def one_hot_conv(label: Array, kernel: Array) -> Array:
    """Convolution, zero outside, of a one-hot label map.

    Args:
      label: int [B, H, W], ids in [0, K).
      kernel: float [k, k, K, F], k odd.

    Returns:
      float [B, H, W, F], the dtype of `kernel`.
    """
    return _same(jax.nn.one_hot(label, kernel.shape[2], dtype=kernel.dtype), kernel)


def noise_and_labels(
    one_hot: Callable[[Array, Array], Array], label: Array, z: Array, kernel: Array
) -> Array:
    """One noise an image from the kernel's taps, added to the labels' convolution.

    Args:
      one_hot: convolves labels, as `one_hot_conv`.
      label: int [B, H, W].
      z: float [B, Z].
      kernel: float [k, k, Z+K, F].

    Returns:
      float [B, H, W, F].
    """
    size, (height, width), noise_dim = kernel.shape[0], label.shape[1:], z.shape[-1]
    noise_kernel = kernel[:, :, :noise_dim]
    labels = one_hot(label, kernel[:, :, noise_dim:])
    if size == 1:
        return labels + (z @ noise_kernel[0, 0])[:, None, None]
    taps = jnp.einsum("bz,ijzf->bijf", z, noise_kernel)
    rows = jnp.einsum("hi,bijf->bhjf", _valid_taps(height, size, kernel.dtype), taps)
    inside = _valid_taps(width, size, kernel.dtype)[:, :, None]
    return labels + sum(inside[:, j] * rows[:, :, None, j] for j in range(size))


def label_relu_conv(label: Array, z: Array, shared: Array, bias: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of a `label_conv`'s result, negative values set to zero.

    Args:
      label: int [B, H, W], ids in [0, K).
      z: float [B, Z].
      shared: float [3, 3, Z+K, C], `label_conv`'s kernel.
      bias: float [C], `label_conv`'s.
      kernel: float [3, 3, C, F].

    Returns:
      float [B, H, W, F].

    Source: paper §5.1 (SPADE layer: what makes scale and shift).
    """
    hidden = jax.nn.relu(label_conv(label, z, shared, bias, *label.shape[1:]))
    return conv(hidden, kernel, padding=1)


def _valid_taps(size: int, taps: int, dtype) -> np.ndarray:
    """1 where the tap of a kernel of so many falls inside an axis: [size, taps]."""
    positions = np.arange(size)[:, None] + np.arange(taps)[None] - taps // 2
    return ((positions >= 0) & (positions < size)).astype(dtype)


def _same(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)
