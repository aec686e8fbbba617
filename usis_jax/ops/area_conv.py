"""Convolutions of a label map, once for each area of one class.

What a SPADE layer computes from a label map and one noise an image is the same at all pixels of a
sample whose neighbourhoods in the map are the same. Most pixels lie in the midst of an area of one
class. So both convolutions that make scale and shift, the largest part of painting, are computed at
one such pixel for each class and sample and at the pixels near the areas' edges, and looked up
elsewhere: the same result. How many pixels are near edges is known only when the map is; a loop
takes as many turns as they need.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops.conv import conv
from usis_jax.ops.label_conv import label_conv

_TURN = 4096
"""Pixels computed in a turn of the loop."""
SMALLEST = 16384
"""Pixels of a map from which on it is worth while: with street scenes two to three times as fast at
128x256 and 256x512, and no faster at 64x128, half of whose pixels are near edges."""


@jax.custom_vjp
def area_conv(label: Array, z: Array, shared: Array, bias: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of a `label_conv`'s result, negative values set to zero.

    Args:
      label: int [B, H, W], ids in [0, K).
      z: float [B, Z].
      shared: float [3, 3, Z+K, C], `label_conv`'s kernel.
      bias: float [C], `label_conv`'s.
      kernel: float [3, 3, C, F].

    Returns:
      float [B, H, W, F].

    Source: paper §5.1 (SPADE layer); computing it by areas is ours.
    """
    if label.shape[1] * label.shape[2] < SMALLEST:
        return _whole(label, z, shared, bias, kernel)
    return jax.lax.platform_dependent(
        label, z, shared, bias, kernel, cpu=_by_areas, default=_whole)


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


def _whole(label, z, shared, bias, kernel) -> Array:
    hidden = jax.nn.relu(label_conv(label, z, shared, bias, *label.shape[1:]))
    return conv(hidden, kernel, padding=1)


def _by_areas(label: Array, z: Array, shared: Array, bias: Array, kernel: Array) -> Array:
    batch, _, width = label.shape
    noise_dim, channels = z.shape[-1], shared.shape[-1]
    num_classes = shared.shape[2] - noise_dim
    label = label.astype(jnp.int32)
    taps = (jnp.arange(3)[:, None] * (width + 2) + jnp.arange(3)).reshape(-1)
    # What each tap adds where it sees a class, and nothing where it sees the outside, class K.
    noise = jnp.einsum("bz,tzc->btc", z.astype(shared.dtype),
                       shared[:, :, :noise_dim].reshape(9, noise_dim, channels))
    classes = shared[:, :, noise_dim:].reshape(9, num_classes, channels)
    added = jnp.pad(noise[:, :, None] + classes, ((0, 0), (0, 0), (0, 1), (0, 0)))
    added = added.reshape(-1, channels)
    labels = jnp.pad(label, ((0, 0), (1, 1), (1, 1)), constant_values=num_classes)
    sample = jnp.arange(batch)[:, None, None] * 9
    labels = (labels + sample * (num_classes + 1)).reshape(-1)

    def hidden(corners):
        seen = labels[corners[:, None] + taps] + jnp.arange(9) * (num_classes + 1)
        return jax.nn.relu(_rows(added, seen).sum(axis=1) + bias)

    table, row = _table(hidden, label, 1, num_classes, channels, kernel.dtype)
    # The last row is what lies outside of the map.
    table = jnp.pad(table, ((0, 1), (0, 0)))
    row = jnp.pad(row, ((0, 0), (1, 1), (1, 1)), constant_values=len(table) - 1).reshape(-1)
    weights = kernel.reshape(9 * channels, -1)

    def result(corners):
        return _rows(table, row[corners[:, None] + taps]).reshape(len(corners), -1) @ weights

    return _rows(*_table(result, label, 2, num_classes, weights.shape[1], kernel.dtype))


def _table(compute: Callable[[Array], Array], label: Array, reach: int, num_classes: int,
           features: int, dtype) -> tuple[Array, Array]:
    """Results at one pixel of each area's midst and at those near edges, and each pixel's row.

    Args:
      compute: results [N, features] at N pixels, given by the places of their neighbourhoods' first
        pixels in the maps padded by a pixel.
      label: int [B, H, W].
      reach: how far away a label makes a difference.
      num_classes: K.
      features: numbers a row.
      dtype: of the table.

    Returns:
      (table [N, features], rows int [B, H, W]).
    """
    batch, height, width = label.shape
    pixels, groups = label.size, batch * num_classes
    plain = midst(label, reach).reshape(-1)
    group = (label + num_classes * jnp.arange(batch)[:, None, None]).reshape(-1)
    near_edges = jnp.cumsum(~plain, dtype=jnp.int32)
    row = jnp.where(plain, group, groups + near_edges - 1)
    turns = -(-(groups + near_edges[-1]) // _TURN)
    rows = -(-(groups + pixels) // _TURN) * _TURN
    # The pixel that each row of the table is computed at; a class without any is never looked up.
    sample, rest = jnp.divmod(jnp.arange(pixels, dtype=jnp.int32), height * width)
    corner = (sample * (height + 2) + rest // width) * (width + 2) + rest % width
    at = jnp.zeros(rows, jnp.int32).at[row].set(corner)

    def turn(number, table):
        corners = jax.lax.dynamic_slice_in_dim(at, number * _TURN, _TURN)
        return jax.lax.dynamic_update_slice_in_dim(table, compute(corners), number * _TURN, axis=0)

    table = jax.lax.fori_loop(0, turns, turn, jnp.zeros((rows, features), dtype))
    return table, row.reshape(label.shape)


def _rows(table: Array, numbers: Array) -> Array:
    return table.at[numbers].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _forward(*inputs):
    return area_conv(*inputs), inputs


def _backward(inputs, gradient):
    label, *others = inputs
    return None, *jax.vjp(functools.partial(_whole, label), *others)[1](gradient)


area_conv.defvjp(_forward, _backward)
