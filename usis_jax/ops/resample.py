"""Resampling by two: nearest, average, bilinear, FIR [1, 3, 3, 1] and in the Haar domain.

All are written as sums of shifted slices, which every backend fuses, instead of depthwise
convolutions, which CPUs run one channel at a time.
"""

import jax.numpy as jnp
from jax import Array

from usis_jax.ops import haar


def nearest_up(x: Array) -> Array:
    """Repeat every pixel 2x2: [B, H, W, C] -> [B, 2H, 2W, C]. Source: paper §5.1 (SPADE blocks)."""
    batch, height, width, channels = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return x.reshape(batch, 2 * height, 2 * width, channels)


def nearest_to(x: Array, height: int, width: int) -> Array:
    """Nearest resize: output pixel i takes input pixel floor(i * in / out).

    Args:
      x: any dtype, [B, H, W] or [B, H, W, C].
      height, width: the new size.

    Returns:
      [B, height, width] or [B, height, width, C], the dtype of x.

    Source: the published networks' resize of label maps.
    """
    old_height, old_width = x.shape[1:3]
    if old_height % height == 0 and old_width % width == 0:
        return x[:, :: old_height // height, :: old_width // width]
    rows = jnp.arange(height) * old_height // height
    columns = jnp.arange(width) * old_width // width
    return x[:, rows][:, :, columns]


def average_down(x: Array) -> Array:
    """Mean of every 2x2 block: [B, H, W, C] -> [B, H/2, W/2, C]. Source: paper §5.1 (UNet)."""
    rows = x[:, 0::2] + x[:, 1::2]
    return 0.25 * (rows[:, :, 0::2] + rows[:, :, 1::2])


def _along(x: Array, axis: int, start: int, stop: int | None, step: int = 1) -> Array:
    index = [slice(None)] * x.ndim
    index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def _pad(x: Array, axis: int, before: int, after: int) -> Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)


def fir_down(x: Array) -> Array:
    """Blur with [1, 3, 3, 1] (zero padding 1) and keep every second pixel.

    Args:
      x: float [B, H, W, C], H and W even.

    Returns:
      float [B, H/2, W/2, C].

    Source: StyleGAN2's FIR downsampling, used by the paper's discriminator (§5.2).
    """
    for axis in (1, 2):
        size = x.shape[axis]
        padded = _pad(x, axis, 1, 1)
        outer = _along(padded, axis, 0, size, 2) + _along(padded, axis, 3, None, 2)
        inner = _along(padded, axis, 1, size + 1, 2) + _along(padded, axis, 2, None, 2)
        x = (outer + 3.0 * inner) * 0.125
    return x


def fir_blur(x: Array) -> Array:
    """Blur with [1, 3, 3, 1], zero padding 2, before a 3x3 convolution of stride 2.

    Args:
      x: float [B, H, W, C].

    Returns:
      float [B, H+1, W+1, C].

    Source: StyleGAN2's downsampling convolution, used by the paper's discriminator (§5.2).
    """
    for axis in (1, 2):
        size = x.shape[axis] + 1
        padded = _pad(x, axis, 2, 2)
        outer = _along(padded, axis, 0, size) + _along(padded, axis, 3, size + 3)
        inner = _along(padded, axis, 1, size + 1) + _along(padded, axis, 2, size + 2)
        x = (outer + 3.0 * inner) * 0.125
    return x


def _interpolate_up(x: Array, repeat_edge: bool) -> Array:
    """Double both axes with weights 3/4, 1/4; outside lie zeros or the repeated edge."""
    for axis in (1, 2):
        first, last = _along(x, axis, 0, 1), _along(x, axis, -1, None)
        if not repeat_edge:
            first, last = jnp.zeros_like(first), jnp.zeros_like(last)
        before = jnp.concatenate([first, _along(x, axis, 0, -1)], axis=axis)
        after = jnp.concatenate([_along(x, axis, 1, None), last], axis=axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1)
        shape = list(x.shape)
        shape[axis] *= 2
        x = pair.reshape(shape)
    return x


def fir_up(x: Array) -> Array:
    """FIR [1, 3, 3, 1] upsampling by 2 with zeros outside: [B, H, W, C] -> [B, 2H, 2W, C].

    Source: StyleGAN2's upsampling.
    """
    return _interpolate_up(x, repeat_edge=False)


def bilinear_up(x: Array) -> Array:
    """Bilinear upsampling by 2, half-pixel centres, edges repeated.

    Args:
      x: float [B, H, W, C].

    Returns:
      float [B, 2H, 2W, C].

    Source: paper §5.2 (WaveletUpsample).
    """
    return _interpolate_up(x, repeat_edge=True)


def wavelet_up(y: Array) -> Array:
    """Upsample Haar coefficients by 2: inverse Haar, bilinear x2, Haar.

    Args:
      y: float [B, H, W, 4C], sub-bands as in `haar.forward`.

    Returns:
      float [B, 2H, 2W, 4C].

    Raises:
      ValueError: the number of channels is not a multiple of 4.

    Source: paper §5.2, fig. 4 (WaveletUpsample); ICASSP version, generator.
    """
    image = haar.inverse(y)
    # Sums and differences of the two pixels that each row or column becomes, without making these.
    low, high = sum_and_difference(image, axis=1)
    (ll, hl), (lh, hh) = (sum_and_difference(half, axis=2) for half in (low, high))
    return 0.5 * jnp.concatenate([ll, lh, hl, hh], axis=-1)


def sum_and_difference(x: Array, axis: int) -> tuple[Array, Array]:
    """Of the two pixels that bilinear upsampling makes of each pixel along an axis.

    Args:
      x: float, images [B, H, W, C].
      axis: 1 or 2.

    Returns:
      Two of the shape of x.
    """
    first, last = _along(x, axis, 0, 1), _along(x, axis, -1, None)
    before = jnp.concatenate([first, _along(x, axis, 0, -1)], axis=axis)
    after = jnp.concatenate([_along(x, axis, 1, None), last], axis=axis)
    return 1.5 * x + 0.25 * (before + after), 0.25 * (before - after)
