"""Convolution of features of a label map, once for each area of one class.

What a SPADE layer computes from a label map and one noise an image is the same at all pixels of a
sample whose neighbourhoods in the map are the same. Most pixels lie in the midst of an area of one
class. So the 3x3 convolutions that make scale and shift, the largest part of painting, are computed
at one such pixel for each class and sample and at the pixels near the areas' edges, and looked up
elsewhere: the same result. How many pixels are near edges is known only when the map is; a loop
takes as many turns as they need.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops.conv import conv, input_gradient, kernel_gradient

_TURN = 2048
"""Pixels computed in a turn of the loop."""
SMALLEST = 16384
"""Pixels of a map from which on it is worth while: with street scenes two to three times as fast at
128x256 and 256x512, and no faster at 64x128, half of whose pixels are near edges."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def area_conv(x: Array, label: Array, kernel: Array, num_classes: int) -> Array:
    """3x3 convolution (zero padding) of features that a label map decides.

    Args:
      x: float [B, H, W, C], the same at pixels of a sample whose 3x3 neighbourhoods in the label
        map are the same, outside of the map being a class of its own.
      label: int [B, H, W], ids in [0, num_classes).
      kernel: float [3, 3, C, F].
      num_classes: K.

    Returns:
      float [B, H, W, F].

    Source: ours.
    """
    def whole(x, label, kernel):
        return conv(x, kernel, padding=1)

    def by_areas(x, label, kernel):
        return _by_areas(x, label, kernel, num_classes)

    if label.shape[1] * label.shape[2] < SMALLEST:
        return whole(x, label, kernel)
    return jax.lax.platform_dependent(x, label, kernel, cpu=by_areas, default=whole)


def midst(label: Array, reach: int = 2) -> Array:
    """Whether all labels at most `reach` pixels away, and none outside of the map, are the same.

    Args:
      label: int [B, H, W], ids from 0 on.
      reach: distance along both axes.

    Returns:
      bool [B, H, W].

    Source: ours.
    """
    label = label.astype(jnp.int32)
    for axis in (1, 2):
        widths = [(0, 0)] * 3
        widths[axis] = (reach, reach)
        padded = jnp.pad(label, widths, constant_values=-1)
        size = label.shape[axis]
        shifted = [jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
                   for start in range(2 * reach + 1)]
        same = shifted[0] == label
        for other in shifted[1:]:
            same &= other == label
        label = jnp.where(same, label, -2 - axis)  # a mixed row is no class
    return label >= 0


def _by_areas(x: Array, label: Array, kernel: Array, num_classes: int) -> Array:
    batch, height, width, channels = x.shape
    pixels, groups = batch * height * width, batch * num_classes
    plain = midst(label).reshape(-1)
    group = (label.astype(jnp.int32) + num_classes * jnp.arange(batch)[:, None, None]).reshape(-1)
    near_edges = jnp.cumsum(~plain, dtype=jnp.int32)
    row = jnp.where(plain, group, groups + near_edges - 1)
    turns = -(-(groups + near_edges[-1]) // _TURN)
    rows = -(-(groups + pixels) // _TURN) * _TURN
    # The pixel that each row of the table is computed at; a class without any is never looked up.
    sample, rest = jnp.divmod(jnp.arange(pixels, dtype=jnp.int32), height * width)
    corner = (sample * (height + 2) + rest // width) * (width + 2) + rest % width
    at = jnp.zeros(rows, jnp.int32).at[row].set(corner)
    taps = (jnp.arange(3)[:, None] * (width + 2) + jnp.arange(3)).reshape(-1)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    weights = kernel.reshape(9 * channels, -1)

    def turn(number, table):
        own = jax.lax.dynamic_slice_in_dim(at, number * _TURN, _TURN)
        seen = padded.at[own[:, None] + taps].get(
            mode="promise_in_bounds", wrap_negative_indices=False)
        return jax.lax.dynamic_update_slice_in_dim(
            table, seen.reshape(_TURN, -1) @ weights, number * _TURN, axis=0)

    empty = jnp.zeros((rows, weights.shape[1]), kernel.dtype)
    table = jax.lax.fori_loop(0, turns, turn, empty)
    return table.at[row].get(mode="promise_in_bounds", wrap_negative_indices=False).reshape(
        batch, height, width, -1)


def _forward(x, label, kernel, num_classes):
    return area_conv(x, label, kernel, num_classes), (x, kernel)


def _backward(num_classes, saved, gradient):
    x, kernel = saved
    return (input_gradient(kernel, gradient, x.shape[1:3], 1, 1), None,
            kernel_gradient(x, gradient, 3, 1, 1))


area_conv.defvjp(_forward, _backward)
