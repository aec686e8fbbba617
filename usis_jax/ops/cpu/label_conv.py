"""Convolution of a label map and a noise by looking up rows of the kernel.

A one-hot pixel picks one row of each tap of the kernel, so the K channels need no multiplication: a
pixel of the result is the sum of nine rows. On CPUs that is faster than the convolution, and its
gradient (rows summed by class) much faster, the more so the more classes there are. A noise of its
own at each pixel is convolved beside them.
"""

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops import label_conv as reference
from usis_jax.ops import resample
from usis_jax.ops.cpu.conv import conv


def label_conv(
    label: Array, z: Array, kernel: Array, bias: Array, height: int, width: int
) -> Array:
    """As `ops.label_conv.label_conv`, labels looked up."""
    small, z = resample.nearest_to(label, height, width), z.astype(kernel.dtype)
    if z.ndim == 2:
        return reference.noise_and_labels(label_gather, small, z, kernel) + bias
    noise_dim, z = z.shape[-1], resample.nearest_to(z, height, width)
    return (
        label_gather(small, kernel[:, :, noise_dim:])
        + conv(z, kernel[:, :, :noise_dim], padding=kernel.shape[0] // 2)
    ) + bias


@jax.custom_vjp
def label_gather(label: Array, kernel: Array) -> Array:
    """Convolution, zero outside, of a one-hot label map.

    Args:
      label: int [B, H, W], ids in [0, K).
      kernel: float [k, k, K, F], k odd.

    Returns:
      float [B, H, W, F], the dtype of `kernel`.
    """
    return _look_up(label, kernel)


def _padded(label: Array, kernel: Array) -> Array:
    """The map with a border of a class of its own, K, as far as the kernel reaches."""
    reach, num_classes = kernel.shape[0] // 2, kernel.shape[2]
    border = (reach, reach)
    return jnp.pad(label.astype(jnp.int32), ((0, 0), border, border), constant_values=num_classes)


def _look_up(label: Array, kernel: Array) -> Array:
    size, _, num_classes, features = kernel.shape
    table = jnp.pad(kernel, ((0, 0), (0, 0), (0, 1), (0, 0))).reshape(-1, features)
    padded = _padded(label, kernel)

    def tap(number):
        seen = jax.lax.dynamic_slice(padded, (0, number // size, number % size), label.shape)
        return table.at[seen + number * (num_classes + 1)].get(
            mode="promise_in_bounds", wrap_negative_indices=False
        )

    # One after another: XLA would keep what all of them looked up.
    return jax.lax.fori_loop(1, size * size, lambda number, total: total + tap(number), tap(0))


def _sum_by_class(label: Array, kernel: Array, gradient: Array) -> Array:
    size, _, num_classes, features = kernel.shape
    empty = jnp.zeros((num_classes + 1, features), gradient.dtype)
    padded, (height, width) = _padded(label, kernel), label.shape[1:]
    taps = [
        empty.at[padded[:, i : i + height, j : j + width]].add(
            gradient, mode="promise_in_bounds", wrap_negative_indices=False
        )[:-1]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.stack(taps).reshape(kernel.shape)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[None, Array]:
    return None, _sum_by_class(*saved, gradient)


label_gather.defvjp(lambda label, kernel: (label_gather(label, kernel), (label, kernel)), _backward)
