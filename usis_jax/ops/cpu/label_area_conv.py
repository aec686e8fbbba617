"""Convolutions of a label map, once for each neighbourhood that it has.

What a SPADE layer computes from a label map and one noise an image is the same at all pixels of a
sample whose neighbourhoods in the map are the same. Most pixels lie in the midst of an area of one
class, and along a straight edge the same few neighbourhoods come again and again. So both
convolutions that make scale and shift, the largest part of a generator's work, are computed at one
pixel for each neighbourhood and looked up elsewhere: the same result. How many there are is known
only when the map is; a loop takes as many turns as they need.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops.cpu.conv import conv, neighbourhoods
from usis_jax.ops.cpu.label_conv import label_conv

_BORDER = ((0, 0), (1, 1), (1, 1))
_TURN = 2048
"""Pixels computed in a turn of the loop."""
SMALLEST = 16384
"""Pixels of a map from which on it is worth while: street scenes of 256x512 have 7,000 to 13,000
neighbourhoods of 5x5 pixels, of 128x256 3,500 to 7,000. At 64x128 it is no faster."""


@jax.custom_vjp
def label_relu_conv(label: Array, z: Array, shared: Array, bias: Array, kernel: Array) -> Array:
    """As `ops.label_conv.label_relu_conv`, large maps by areas."""
    if label.shape[1] * label.shape[2] < SMALLEST:
        return _whole(label, z, shared, bias, kernel)
    return _by_areas(label, z, shared, bias, kernel)


def _whole(label, z, shared, bias, kernel) -> Array:
    hidden = jax.nn.relu(label_conv(label, z, shared, bias, *label.shape[1:]))
    return conv(hidden, kernel, padding=1)


def _by_areas(label: Array, z: Array, shared: Array, bias: Array, kernel: Array) -> Array:
    noise_dim, channels = z.shape[-1], shared.shape[-1]
    num_classes = shared.shape[2] - noise_dim
    # What each tap adds where it sees a class, and nothing where it sees the outside, class K.
    noise = jnp.einsum(
        "bz,tzc->tbc",
        z.astype(shared.dtype),
        shared[:, :, :noise_dim].reshape(9, noise_dim, channels),
    )
    classes = shared[:, :, noise_dim:].reshape(9, 1, num_classes, channels)
    added = jnp.pad(noise[:, :, None] + classes, ((0, 0), (0, 0), (0, 1), (0, 0)))
    added = added.reshape(-1, channels)
    first = jnp.arange(len(label))[:, None, None] * (num_classes + 1)
    places = jnp.pad(label.astype(jnp.int32), _BORDER, constant_values=num_classes) + first

    def hidden(seen):
        taps = jnp.arange(9) * (len(label) * (num_classes + 1))
        return jax.nn.relu(_rows(added, seen + taps).sum(axis=1) + bias)

    table, row = _table(hidden, places, channels, kernel.dtype)
    # One more row is what lies outside of the map.
    row = jnp.pad(row, _BORDER, constant_values=len(table))
    table = jnp.pad(table, ((0, 1), (0, 0)))
    weights = kernel.reshape(9 * channels, -1)

    def result(seen):
        return _rows(table, seen).reshape(len(seen), -1) @ weights

    return _rows(*_table(result, row, weights.shape[1], kernel.dtype))


def _table(
    compute: Callable[[Array], Array], numbers: Array, features: int, dtype
) -> tuple[Array, Array]:
    """What is computed from every 3x3 neighbourhood of a map, each one once.

    Args:
      compute: results [N, features] of neighbourhoods [N, 9].
      numbers: int32 [B, H + 2, W + 2], the map with its border.
      features: numbers a row.
      dtype: of the results.

    Returns:
      (table [N, features], each pixel's row int32 [B, H, W]).
    """
    seen = neighbourhoods(numbers[..., None], 3)
    size, seen = seen.shape[:3], seen.reshape(-1, 9)
    same = _same(seen)
    pixels = len(seen)
    first = same == jnp.arange(pixels)
    row = jnp.cumsum(first, dtype=jnp.int32) - 1
    turns = -(-(row[-1] + 1) // _TURN)
    rows = -(-pixels // _TURN) * _TURN
    chosen = (
        jnp.zeros(rows, jnp.int32)
        .at[jnp.where(first, row, rows)]
        .set(jnp.arange(pixels, dtype=jnp.int32), mode="drop")
    )

    def turn(number, table):
        own = jax.lax.dynamic_slice_in_dim(chosen, number * _TURN, _TURN)
        return jax.lax.dynamic_update_slice_in_dim(
            table, compute(_rows(seen, own)), number * _TURN, axis=0
        )

    table = jax.lax.fori_loop(0, turns, turn, jnp.zeros((rows, features), dtype))
    return table, _rows(row, same).reshape(size)


def _same(rows: Array) -> Array:
    """For each of int32 [N, M] a row with the same numbers, mostly the same one for all of these.

    Rows are found by a hash; a row whose hash is that of other numbers stands for itself.
    """
    number = jnp.arange(len(rows), dtype=jnp.int32)
    factors = np.random.default_rng(0).integers(0, 2**31, rows.shape[1]) * 2 + 1
    mixed = (rows.astype(jnp.uint32) * factors.astype(np.uint32)).sum(axis=1, dtype=jnp.uint32)
    mixed = (mixed ^ (mixed >> 15)) * np.uint32(0x9E3779B1)
    bits = (2 * len(rows)).bit_length()
    place = (mixed >> (32 - bits)).astype(jnp.int32)
    found = _rows(jnp.zeros(2**bits, jnp.int32).at[place].max(number), place)
    return jnp.where((_rows(rows, found) == rows).all(axis=1), found, number)


def _rows(table: Array, numbers: Array) -> Array:
    return table.at[numbers].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _forward(*inputs):
    return label_relu_conv(*inputs), inputs


def _backward(inputs, gradient):
    label, *others = inputs
    return None, *jax.vjp(functools.partial(_whole, label), *others)[1](gradient)


label_relu_conv.defvjp(_forward, _backward)
