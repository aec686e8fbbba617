"""Depthwise convolution: each channel by a kernel of its own, with TensorFlow's "SAME" padding."""

import jax
from jax import Array

from usis_jax.ops.conv import DIMENSIONS


def same_padding(size: int, taps: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis, so that it has ceil(size / stride) results."""
    results = -(-size // stride)
    total = max((results - 1) * stride + taps - size, 0)
    return total // 2, total - total // 2


def depthwise_conv(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Convolution of each channel by itself.

    Args:
      x: float [B, H, W, C].
      kernel: float [k, k, C], the dtype of x.
      stride: 1 or 2.

    Returns:
      float [B, ceil(H / stride), ceil(W / stride), C].
    """
    padding = [same_padding(size, kernel.shape[0], stride) for size in x.shape[1:3]]
    return jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), padding,
        dimension_numbers=DIMENSIONS, feature_group_count=x.shape[-1])  # fmt: skip
