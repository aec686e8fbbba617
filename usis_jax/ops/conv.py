"""Convolutions by XLA, alone and beside a change of size: what defines the results.

They are differentiated by JAX itself, backward, forward and any number of times.
"""

from collections.abc import Callable

import jax
from jax import Array

from usis_jax.ops import resample

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """Convolution of images.

    Args:
      x: float [B, H, W, C].
      kernel: float [k, k, C, F], the dtype of x.
      stride: 1 or 2.
      padding: zeros added on every side.

    Returns:
      float [B, H', W', F], H' = (H + 2 * padding - k) // stride + 1.
    """
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), [(padding, padding)] * 2, dimension_numbers=DIMENSIONS
    )


def nearest_up_conv(x: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of the nearest-upsampled image.

    Args:
      x: float [B, H, W, C].
      kernel: float [3, 3, C, F].

    Returns:
      float [B, 2H, 2W, F].

    Source: the UNet's up blocks (paper §5.1).
    """
    return conv(resample.nearest_up(x), kernel, padding=1)


def conv_average_down(x: Array, kernel: Array) -> Array:
    """Mean of every 2x2 block of a 3x3 convolution (zero padding).

    Args:
      x: float [B, H, W, C], H and W even.
      kernel: float [3, 3, C, F].

    Returns:
      float [B, H/2, W/2, F].

    Source: the UNet's down blocks (paper §5.1).
    """
    return resample.average_down(conv(x, kernel, padding=1))


def wavelet_up_conv(y: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of Haar coefficients that are upsampled in the Haar domain.

    Args:
      y: float [B, H, W, 4C], sub-bands as in `haar.forward`.
      kernel: float [3, 3, 4C, F].

    Returns:
      float [B, 2H, 2W, F].

    Raises:
      ValueError: the number of channels is not a multiple of 4.

    Source: the decoder's blocks (paper §5.2, fig. 4).
    """
    return conv(resample.wavelet_up(y), kernel, padding=1)


def same(convolve: Callable[..., Array]) -> Callable[..., Array]:
    """`convolve(x, kernel, padding=...)` as nn.Conv's `conv_general_dilated`.

    It serves layers of stride 1, odd kernels and padding "SAME".
    """

    def call(x: Array, kernel: Array, strides, padding, **unused) -> Array:
        assert tuple(strides) == (1, 1) and padding == "SAME"
        return convolve(x, kernel, padding=kernel.shape[0] // 2)

    return call


def resized(convolve: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """A 3x3 convolution that changes the size, as nn.Conv's `conv_general_dilated`."""
    return lambda x, kernel, *unused_args, **unused_options: convolve(x, kernel)
