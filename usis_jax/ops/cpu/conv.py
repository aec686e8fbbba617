"""Convolution whose gradients are fast on CPUs, any number of times differentiable backward.

3x3, 2x2 and 5x5 convolutions of many channels are computed with a quarter, two fifths and a sixth
of the multiplications, forward and for both gradients (see `winograd`). Of the others, XLA's own
gradients with respect to weights run at a fifth of a matrix product's rate on CPUs, those of stride
2 slower still, and the gradient penalty differentiates them once more. Here the gradient with
respect to the weights is a matrix product a tap. With stride 2 it and the convolution are products
of neighbourhoods, some images at a time, and the gradient with respect to the input is one
convolution of stride 1 for each of the input's four phases. Of maps of few pixels all three are one
matrix product of the pixels' neighbourhoods, where XLA, which takes the larger kernel for the
image, is up to a hundred times slower. So are 3x3 convolutions of photos and their kernels'
gradients.

<g, conv(x, k)> is linear in each of x, k and g. Its three derivatives are the convolution and its
two gradients, and each of them has the other two as its own gradients.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops import conv as reference
from usis_jax.ops.cpu import batch_tiling, winograd

_FEW_PIXELS, _FEW_PIXELS_OF_ALL = 128, 512
"""Results of at most so many pixels an image, or of all images together, are computed from
neighbourhoods (measured)."""

_SEEN_TOGETHER = 2**21
"""So many numbers of neighbourhoods at a time, or one image's (measured)."""

_LEAST_TILES = 32
"""From so many tiles on Winograd's convolution is the faster one, if channels are many (measured,
as is how many those are)."""

_FEW_CHANNELS = 4
"""A 3x3 convolution of images of at most so many channels is a product of neighbourhoods, as is its
kernel's gradient (measured)."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x: Array, kernel: Array, stride: int = 1, padding: int = 0) -> Array:
    """Convolution of images.

    Args:
      x: float [B, H, W, C].
      kernel: float [k, k, C, F].
      stride: 1 or 2.
      padding: zeros added on every side; 0 with stride 2.

    Returns:
      float [B, H', W', F], H' = (H + 2 * padding - k) // stride + 1.
    """
    sizes = _sizes(x.shape, kernel.shape[0], stride, padding)
    if is_tiled((len(x), *sizes), x.dtype, kernel.shape, stride):
        return winograd.conv(x, kernel, padding)
    if (
        stride > 1
        or _has_few_channels(kernel.shape)
        or _is_product(x.shape, kernel.shape[0], stride, padding)
    ):
        return _by_neighbourhoods(x, kernel, stride, padding)
    return reference.conv(x, kernel, stride, padding)


def is_tiled(
    results: tuple[int, ...],
    dtype: jnp.dtype,
    kernel: tuple[int, ...],
    stride: int = 1,
    of_kernel: bool = False,
) -> bool:
    """Whether Winograd's convolution is the faster one.

    Args:
      results: number, height and width of the images that it makes.
      dtype: of the images.
      kernel: its shape [k, k, C, F].
      stride: as of `conv`.
      of_kernel: the kernel's gradient is asked for, not the convolution or its input's gradient.

    Source: measured.
    """
    if (
        kernel[:2] not in ((2, 2), (3, 3), (5, 5))
        or stride > 1
        or dtype != jnp.float32
        or results[0] * winograd.tiles(*results[1:3]) < _LEAST_TILES
    ):
        return False
    fewest, most = sorted(kernel[2:])
    if kernel[0] == 3 and of_kernel:
        return kernel[2] >= 32 and kernel[3] >= 16
    if kernel[0] == 3:
        # A large image's transforms do not stay in the caches.
        return fewest >= (32 if winograd.tiles(*results[1:3]) <= winograd.TILES_TOGETHER else 128)
    least = 32 if of_kernel else 64
    return fewest >= least and most >= 2 * least


def _sizes(images: tuple[int, ...], size: int, stride: int, padding: int) -> tuple[int, int]:
    """Height and width of what a kernel of that size makes of images [B, H, W, ..]."""
    height, width = ((length + 2 * padding - size) // stride + 1 for length in images[1:3])
    return height, width


def _is_product(images: tuple[int, ...], size: int, stride: int, padding: int) -> bool:
    """Whether one matrix product is faster, of images [B, H, W, ..] by a kernel of that size."""
    height, width = _sizes(images, size, stride, padding)
    return (
        (size, stride, padding) == (1, 1, 0)
        or height * width <= _FEW_PIXELS
        or images[0] * height * width <= _FEW_PIXELS_OF_ALL
    )


def _has_few_channels(kernel: tuple[int, ...]) -> bool:
    """Whether so few that neighbourhoods of all pixels are quicker than XLA's convolution."""
    return kernel[0] == 3 and kernel[2] <= _FEW_CHANNELS


def _seen_together(batch: int, height: int, width: int, taps: int) -> int:
    """How many results of that size are computed from neighbourhoods at a time."""
    if height * width <= _FEW_PIXELS:
        return batch  # the kernel, which each product reads, is the larger one
    return batch_tiling.together(batch, height * width * taps, _SEEN_TOGETHER)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def input_gradient(
    kernel: Array, gradient: Array, size: tuple[int, int], stride: int, padding: int
) -> Array:
    """Gradient of `conv` with respect to x [B, *size, C], from that of its result."""
    if is_tiled(gradient.shape[:3], gradient.dtype, kernel.shape, stride):
        return winograd.input_gradient(kernel, gradient, padding)
    x = jax.ShapeDtypeStruct((gradient.shape[0], *size, kernel.shape[2]), gradient.dtype)
    if _is_product((len(gradient), *size), kernel.shape[0], stride, padding):
        rows = gradient.reshape(-1, kernel.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1]).T
        see = functools.partial(
            neighbourhoods, size=kernel.shape[0], stride=stride, padding=padding
        )
        return jax.linear_transpose(see, x)(rows.reshape(*gradient.shape[:3], -1))[0]
    if stride == 1:
        convolve = functools.partial(reference.conv, kernel=kernel, stride=stride, padding=padding)
        return jax.linear_transpose(convolve, x)(gradient)[0]
    return _by_phases(kernel, gradient, size)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def kernel_gradient(x: Array, gradient: Array, size: int, stride: int, padding: int) -> Array:
    """Gradient of `conv` with respect to the kernel [size, size, C, F], from that of its result."""
    shape = (size, size, x.shape[-1], gradient.shape[-1])
    if is_tiled(gradient.shape[:3], gradient.dtype, shape, stride, of_kernel=True):
        return winograd.kernel_gradient(x, gradient, padding)
    return _by_products(x, gradient, size, stride, padding)


def neighbourhoods(x: Array, size: int, stride: int = 1, padding: int = 0) -> Array:
    """What each tap of a kernel sees at each pixel of the result.

    Args:
      x: [B, H, W, C], any type.
      size: of the kernel.
      stride, padding: as of `conv`.

    Returns:
      [B, H', W', size * size * C], tap by tap.
    """
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = ((n - size) // stride + 1 for n in x.shape[1:3])
    return jnp.concatenate(
        [_seen(x, i, j, height, width, stride) for i in range(size) for j in range(size)], axis=-1
    )


def _seen(x: Array, i: int, j: int, height: int, width: int, stride: int) -> Array:
    """What the tap (i, j) sees: [B, height, width, C]."""
    # Traced ten times as fast as an index of slices.
    return jax.lax.slice(
        x,
        (0, i, j, 0),
        (len(x), i + stride * (height - 1) + 1, j + stride * (width - 1) + 1, x.shape[3]),
        (1, stride, stride, 1),
    )


def _by_neighbourhoods(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    rows = kernel.reshape(-1, kernel.shape[-1])

    def results(x):
        seen = neighbourhoods(x, kernel.shape[0], stride, padding)
        return (seen.reshape(-1, len(rows)) @ rows).reshape(*seen.shape[:3], -1)

    sizes = _sizes(x.shape, kernel.shape[0], stride, padding)
    return batch_tiling.join(results, x, _seen_together(len(x), *sizes, len(rows)))


def _by_products(x: Array, gradient: Array, size: int, stride: int, padding: int) -> Array:
    """The kernel's gradient, of stride 1 one matrix product a tap, one after another."""
    batch, height, width, features = gradient.shape
    shape = (size, size, x.shape[-1], features)
    if stride > 1 or height * width <= _FEW_PIXELS or _has_few_channels(shape):

        def products(x, gradient):
            seen = neighbourhoods(x, size, stride, padding)
            return seen.reshape(-1, seen.shape[-1]).T @ gradient.reshape(-1, features)

        taps = size * size * x.shape[-1]
        kernel = batch_tiling.total(
            products, (x, gradient), _seen_together(batch, height, width, taps)
        )
        return kernel.reshape(shape)
    rows = gradient.reshape(-1, features)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def tap(number):
        seen = jax.lax.dynamic_slice(
            x, (0, number // size, number % size, 0), (batch, height, width, x.shape[-1])
        )
        return seen.reshape(-1, x.shape[-1]).T @ rows

    if size == 1:
        return tap(0)[None, None]
    return jax.lax.map(tap, jnp.arange(size * size)).reshape(shape)


def _by_phases(kernel: Array, gradient: Array, size: tuple[int, int]) -> Array:
    """The input's gradient with stride 2: even and odd rows and columns see taps of their own."""
    batch, height, width = gradient.shape[:3]
    turned = kernel.swapaxes(2, 3)
    rows, columns = ((length + 1) // 2 for length in size)

    def phase(i, j):
        taps = turned[i::2, j::2]
        more = [
            (n - 1, whole - out)
            for n, whole, out in zip(taps.shape[:2], (rows, columns), (height, width), strict=True)
        ]
        return jax.lax.conv_general_dilated(
            gradient, taps[::-1, ::-1], (1, 1), more, dimension_numbers=reference.DIMENSIONS
        )

    x = jnp.stack([jnp.stack([phase(i, j) for j in (0, 1)], axis=3) for i in (0, 1)], axis=2)
    x = x.reshape(batch, 2 * rows, 2 * columns, -1)
    return x[:, : size[0], : size[1]]


def _conv_forward(x, kernel, stride, padding):
    return conv(x, kernel, stride, padding), (x, kernel)


def _conv_backward(stride, padding, saved, gradient):
    x, kernel = saved
    return (
        input_gradient(kernel, gradient, x.shape[1:3], stride, padding),
        kernel_gradient(x, gradient, kernel.shape[0], stride, padding),
    )


def _input_forward(kernel, gradient, size, stride, padding):
    return input_gradient(kernel, gradient, size, stride, padding), (kernel, gradient)


def _input_backward(size, stride, padding, saved, x):
    kernel, gradient = saved
    return (
        kernel_gradient(x, gradient, kernel.shape[0], stride, padding),
        conv(x, kernel, stride, padding),
    )


def _kernel_forward(x, gradient, size, stride, padding):
    return kernel_gradient(x, gradient, size, stride, padding), (x, gradient)


def _kernel_backward(size, stride, padding, saved, kernel):
    x, gradient = saved
    return (
        input_gradient(kernel, gradient, x.shape[1:3], stride, padding),
        conv(x, kernel, stride, padding),
    )


conv.defvjp(_conv_forward, _conv_backward)
input_gradient.defvjp(_input_forward, _input_backward)
kernel_gradient.defvjp(_kernel_forward, _kernel_backward)
