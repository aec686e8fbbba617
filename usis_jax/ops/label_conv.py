"""Convolution of a label map and a noise, without spreading the noise over all pixels.

The paper's generator concatenates noise (Z channels, constant over the image) and the one-hot label
map (K channels) at every SPADE layer and convolves the Z + K channels. The noise's part is the same
at every pixel but for the border, so it is computed from the nine taps directly; only the K one-hot
channels are convolved. Same parameters, same result, Z / (Z + K) fewer multiplications.
"""

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops import resample

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _valid_taps(size: int, dtype) -> Array:
    """1 where the tap (0, 1, 2) of a 3-wide kernel falls inside an axis: [size, 3]."""
    positions = jnp.arange(size)[:, None] + jnp.arange(3)[None] - 1
    return ((positions >= 0) & (positions < size)).astype(dtype)


def label_conv(label: Array, z: Array, kernel: Array, bias: Array, height: int, width: int
               ) -> Array:
    """Convolution of concat[noise, one-hot label], resized nearest to (height, width).

    Args:
      label: int [B, H, W], ids in [0, K).
      z: float [B, Z], or [B, H, W, Z] for a noise of its own at each pixel.
      kernel: float [3, 3, Z+K, F], or [1, 1, Z+K, F].
      bias: float [F].
      height, width: size of the result.

    Returns:
      float [B, height, width, F], the dtype of `kernel`.

    Source: paper §5.1 (3-D noise of OASIS, SPADE); the split into two parts is ours.
    """
    noise_dim = z.shape[-1]
    num_classes = kernel.shape[2] - noise_dim
    small = resample.nearest_to(label, height, width)
    one_hot = jax.nn.one_hot(small, num_classes, dtype=kernel.dtype)
    z = z.astype(kernel.dtype)
    if z.ndim == 4:
        inputs = jnp.concatenate([resample.nearest_to(z, height, width), one_hot], axis=-1)
        return _conv(inputs, kernel) + bias
    if kernel.shape[0] == 1:
        spread = (z @ kernel[0, 0, :noise_dim])[:, None, None]
        return _conv(one_hot, kernel[:, :, noise_dim:]) + spread + bias
    taps = jnp.einsum("bz,ijzf->bijf", z, kernel[:, :, :noise_dim])
    rows = jnp.einsum("hi,bijf->bhjf", _valid_taps(height, kernel.dtype), taps)
    spread = jnp.einsum("wj,bhjf->bhwf", _valid_taps(width, kernel.dtype), rows)
    return _conv(one_hot, kernel[:, :, noise_dim:]) + spread + bias


def _conv(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_DIMENSIONS)
