"""Depthwise convolution as a sum of shifted images, which XLA on CPUs fuses into one loop.

XLA's own takes one channel at a time: 559 ms for 52 in EfficientNet-Lite0 at 128x128, batch 4.
The gradient with respect to the image is a sum of shifted images again, not the transpose of the
slices, which would be padded and added one by one.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops.depthwise import same_padding


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(x: Array, kernel: Array, stride: int = 1) -> Array:
    """As `ops.depthwise.depthwise_conv`."""
    sizes = [-(-size // stride) for size in x.shape[1:3]]
    padded = jnp.pad(x, ((0, 0), *_padding(x, kernel, stride), (0, 0)))
    return sum(tap * seen for tap, seen in zip(
        kernel.reshape(-1, kernel.shape[-1]), _shifted(padded, len(kernel), sizes, stride),
        strict=True))  # fmt: skip


def _forward(x, kernel, stride):
    return depthwise_conv(x, kernel, stride), (x, kernel)


def _backward(stride, saved, gradient):
    x, kernel = saved
    return _of_image(x, kernel, gradient, stride), _of_kernel(x, kernel, gradient, stride)


def _of_image(x: Array, kernel: Array, gradient: Array, stride: int) -> Array:
    """The gradient, its pixels `stride` apart, convolved with the kernel turned by half a turn."""
    taps = len(kernel)
    edges = []
    for (before, _), size, results in zip(
        _padding(x, kernel, stride), x.shape[1:3], gradient.shape[1:3], strict=True
    ):
        first = taps - 1 - before
        spread = (results - 1) * stride + 1
        edges.append((first, size + taps - 1 - first - spread, stride - 1))
    pixels = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    turned = kernel[::-1, ::-1].reshape(-1, kernel.shape[-1])
    return sum(tap * seen for tap, seen in zip(
        turned, _shifted(pixels, taps, x.shape[1:3], 1), strict=True))  # fmt: skip


def _of_kernel(x: Array, kernel: Array, gradient: Array, stride: int) -> Array:
    padded = jnp.pad(x, ((0, 0), *_padding(x, kernel, stride), (0, 0)))
    seen = _shifted(padded, len(kernel), gradient.shape[1:3], stride)
    return jnp.stack([(part * gradient).sum((0, 1, 2)) for part in seen]).reshape(kernel.shape)


def _padding(x: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    return [same_padding(size, len(kernel), stride) for size in x.shape[1:3]]


def _shifted(padded: Array, taps: int, sizes, stride: int) -> list[Array]:
    """What each tap sees: taps * taps of [B, *sizes, C]."""
    height, width = ((size - 1) * stride + 1 for size in sizes)
    return [
        jax.lax.slice(
            padded, (0, i, j, 0), (len(padded), i + height, j + width, padded.shape[3]),
            (1, stride, stride, 1))
        for i in range(taps) for j in range(taps)
    ]  # fmt: skip


depthwise_conv.defvjp(_forward, _backward)
