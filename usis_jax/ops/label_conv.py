"""Convolution of a label map and a noise, without spreading the noise over all pixels.

The paper's generator concatenates noise (Z channels, constant over the image) and the one-hot label
map (K channels) at every SPADE layer and convolves the Z + K channels. The noise's part is the same
at every pixel but for the border, so it is computed from the nine taps directly; only the K one-hot
channels are convolved (or looked up, see `label_gather`). Same parameters, same result.

A noise of its own at each pixel is convolved beside the looked up labels on CPUs, and with them
elsewhere, where labels are convolved too: one convolution instead of two, and the TPU compiler
(libtpu 0.0.42) fails on the gradients of two of few images (1, 2 and 4, not 8).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops import resample
from usis_jax.ops.conv import conv
from usis_jax.ops.cpu.label_gather import label_gather
from usis_jax.ops.cpu.platform import on_cpus


def _valid_taps(size: int, taps: int, dtype) -> np.ndarray:
    """1 where the tap of a kernel of so many falls inside an axis: [size, taps]."""
    positions = np.arange(size)[:, None] + np.arange(taps)[None] - taps // 2
    return ((positions >= 0) & (positions < size)).astype(dtype)


def label_conv(label: Array, z: Array, kernel: Array, bias: Array, height: int, width: int,
               fast_paths: bool = True) -> Array:
    """Convolution of concat[noise, one-hot label], resized nearest to (height, width).

    Args:
      label: int [B, H, W], ids in [0, K).
      z: float [B, Z], or [B, H, W, Z] for a noise of its own at each pixel.
      kernel: float [3, 3, Z+K, F], or [1, 1, Z+K, F].
      bias: float [F].
      height, width: size of the result.
      fast_paths: the platform's fastest form; without, all channels are convolved.

    Returns:
      float [B, height, width, F], the dtype of `kernel`.

    Source: paper §5.1 (3-D noise of OASIS, SPADE); the split into two parts is ours.
    """
    noise_dim = z.shape[-1]
    small = resample.nearest_to(label, height, width)
    z = z.astype(kernel.dtype)
    if z.ndim == 4:
        z = resample.nearest_to(z, height, width)
    if not fast_paths:
        return _concatenated(z, kernel, small) + bias
    if z.ndim == 4:
        return on_cpus(_in_parts, _concatenated, z, kernel, small) + bias
    size = kernel.shape[0]
    noise_kernel = kernel[:, :, :noise_dim]
    labels = label_gather(small, kernel[:, :, noise_dim:])
    if size == 1:
        return labels + ((z @ noise_kernel[0, 0])[:, None, None] + bias)
    taps = jnp.einsum("bz,ijzf->bijf", z, noise_kernel)
    rows = jnp.einsum("hi,bijf->bhjf", _valid_taps(height, size, kernel.dtype), taps)
    inside = _valid_taps(width, size, kernel.dtype)[:, :, None]
    spread = sum(inside[:, j] * rows[:, :, None, j] for j in range(size))
    return labels + spread + bias


def _concatenated(z: Array, kernel: Array, label: Array) -> Array:
    """Convolution of all channels, as the paper has it."""
    if z.ndim == 2:
        z = jnp.broadcast_to(z[:, None, None], (*label.shape, z.shape[-1]))
    one_hot = jax.nn.one_hot(label, kernel.shape[2] - z.shape[-1], dtype=kernel.dtype)
    return jax.lax.conv_general_dilated(
        jnp.concatenate([z, one_hot], axis=-1), kernel, (1, 1), "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _in_parts(z: Array, kernel: Array, label: Array) -> Array:
    """The same, labels looked up."""
    noise_dim = z.shape[-1]
    return (label_gather(label, kernel[:, :, noise_dim:])
            + conv(z, kernel[:, :, :noise_dim], padding=kernel.shape[0] // 2))
