"""Convolution with fewer multiplications, by Winograd's F(4x4, 3x3) and F(4x4, 2x2).

A tile of 4x4 results of a 3x3 kernel needs 6x6 pixels. Both these and the kernel are transformed to
6x6 numbers; multiplied place by place, and summed over channels (36 matrix products), they are the
tile's results, transformed: 36 multiplications for 144, and with a 2x2 kernel 25 for 64. The
transforms are sums of few terms. The result is that of a convolution but for rounding: its error is
some ten times that of direct summation, 1e-5 of the largest value in float32.
"""

import contextlib
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

TILE = 4
"""Height and width of the results that are computed together."""

_TILES_TOGETHER = 1024
"""Images of at most so many tiles together, or one larger image, are computed at a time: little of
what is transformed lives at a time, and it stays in the caches (measured)."""

_AT_ONCE = False

_POINTS = (0, 1, -1, 2, -2)
"""Polynomials are evaluated at the first of these, and at infinity."""


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """What is traced meanwhile computes all images at a time, for counting operations only.

    XLA counts what a loop does once, however often it does it.

    Source: ours.
    """
    global _AT_ONCE
    before, _AT_ONCE = _AT_ONCE, True
    try:
        # A setting that keeps JAX from taking up what was traced without this one.
        with jax.default_matmul_precision("highest"):
            yield
    finally:
        _AT_ONCE = before


def conv(x: Array, kernel: Array) -> Array:
    """Convolution of images, zero padding of one pixel.

    Args:
      x: float [B, H, W, C].
      kernel: float [k, k, C, F], k 2 or 3.

    Returns:
      float [B, H', W', F], H' = H + 3 - k.

    Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
    """
    return _conv(x, kernel, turned=False)


def input_gradient(kernel: Array, gradient: Array) -> Array:
    """Gradient of `conv` with respect to x, from that of its result.

    Args:
      kernel: float [k, k, C, F].
      gradient: float [B, H', W', F].

    Returns:
      float [B, H, W, C], H = H' - 3 + k.

    Source: the transpose of `conv`: a convolution with the kernel turned by half a turn.
    """
    x = _conv(gradient, kernel, turned=True)
    return x if len(kernel) == 3 else x[:, 1:-1, 1:-1]


def _conv(x: Array, kernel: Array, turned: bool) -> Array:
    """`conv`; `turned` by half a turn, the kernel takes its features to its channels."""
    size = len(kernel)
    _, of_kernel, to_results = _matrices(size)
    height, width = (length + 3 - size for length in x.shape[1:3])
    # A kernel that the compiler knows would else be transformed by it, taking minutes.
    taps = jax.lax.optimization_barrier(kernel.reshape(size * size, -1))
    of_taps = np.kron(of_kernel, of_kernel)[:, ::-1 if turned else 1]
    kernel = (of_taps @ taps).reshape(-1, *kernel.shape[2:])
    points = to_results.shape[1]

    def results(x):
        pixels, rows, columns = _transform_pixels(x, size)
        products = _multiply(pixels, kernel, (2,), (2,) if turned else (1,))
        products = products.reshape(points, points, len(x), rows, columns, -1)
        down = _one_after_another(jnp.stack(_combine(to_results, products), axis=3))
        across = jnp.stack(_combine(to_results, down), axis=4)
        return across.reshape(len(x), TILE * rows, TILE * columns, -1)[:, :height, :width]

    together = _together(x)
    if together == len(x):
        return results(x)
    y = jax.lax.map(results, x.reshape(-1, together, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


def kernel_gradient(x: Array, gradient: Array) -> Array:
    """Gradient of `conv` with respect to the kernel, from that of its result.

    Args:
      x: float [B, H, W, C].
      gradient: float [B, H', W', F], H' = H for a 3x3 kernel and H + 1 for a 2x2 one.

    Returns:
      float [k, k, C, F].

    Source: the transpose of `conv`.
    """
    size = 3 - (gradient.shape[1] - x.shape[1])
    _, of_kernel, to_results = _matrices(size)

    def products_of(x, gradient):
        pixels, rows, columns = _transform_pixels(x, size)
        batch, height, width, features = gradient.shape
        gradient = jnp.pad(gradient, ((0, 0), (0, rows * TILE - height),
                                      (0, columns * TILE - width), (0, 0)))
        gradient = gradient.reshape(batch, rows, TILE, columns * TILE, features)
        down = jnp.stack(_combine(to_results.T, jnp.moveaxis(gradient, 2, 0)))
        down = _one_after_another(down).reshape(-1, batch, rows, columns, TILE, features)
        across = jnp.stack(_combine(to_results.T, jnp.moveaxis(down, 4, 0)), axis=1)
        return _multiply(pixels, across.reshape(len(pixels), -1, features), (1,), (1,))

    def products_from(first):
        return products_of(*(jax.lax.dynamic_slice_in_dim(images, first, together)
                             for images in (x, gradient)))

    together = _together(x)
    products = products_from(0)
    if together < len(x):
        products = jax.lax.fori_loop(
            1, len(x) // together,
            lambda number, total: total + products_from(number * together), products)
    kernel = np.kron(of_kernel, of_kernel).T @ products.reshape(len(products), -1)
    return kernel.reshape(size, size, *products.shape[1:])


@functools.cache
def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transforms of pixels, kernel and products along one axis, for a kernel of that size.

    A kernel's and the results' polynomials are multiplied by their values at some points, and the
    transpose of that (Toom and Cook) correlates pixels with the kernel.
    """
    points = np.array(_POINTS[:TILE + size - 2], np.float64)
    others = [np.delete(points, number) for number in range(len(points))]
    # The highest coefficient of a polynomial is its value at infinity.
    pixels = [np.append(np.poly(other)[::-1], 0) for other in others] + [np.poly(points)[::-1]]
    scale = [np.prod(point - other) for point, other in zip(points, others, strict=True)]
    kernel = [point ** np.arange(size) / by for point, by in zip(points, scale, strict=True)]
    results = [point ** np.arange(TILE) for point in points]
    kernel, results = [*kernel, np.eye(size)[-1]], [*results, np.eye(TILE)[-1]]
    return tuple(np.array(rows, np.float32) for rows in (pixels, kernel, np.transpose(results)))


def _together(x: Array) -> int:
    """How many images are computed at a time, a divisor of their number."""
    if _AT_ONCE:
        return len(x)
    tiles = math.prod(-(-size // TILE) for size in x.shape[1:3])
    return max(count for count in range(1, len(x) + 1)
               if len(x) % count == 0 and (count == 1 or count * tiles <= _TILES_TOGETHER))


def _transform_pixels(x: Array, size: int) -> tuple[Array, int, int]:
    """Tiles' transformed pixels [36 or 25, tiles, C], and the tiles in a column and in a row."""
    matrix = _matrices(size)[0]
    batch, height, width, channels = x.shape
    rows, columns = (-(-(length + 3 - size) // TILE) for length in (height, width))
    after = [TILE * count + len(matrix) - TILE - 1 - length
             for count, length in ((rows, height), (columns, width))]
    x = jnp.pad(x, ((0, 0), (1, after[0]), (1, after[1]), (0, 0)))
    down = _one_after_another(jnp.stack(_combine(matrix, [
        jax.lax.slice_in_dim(x, start, start + TILE * (rows - 1) + 1, TILE, axis=1)
        for start in range(len(matrix))])))
    across = jnp.stack(_combine(matrix, [
        jax.lax.slice_in_dim(down, start, start + TILE * (columns - 1) + 1, TILE, axis=3)
        for start in range(len(matrix))]), axis=1)
    return across.reshape(-1, batch * rows * columns, channels), rows, columns


def _combine(matrix: np.ndarray, parts) -> list[Array]:
    """Sums of the parts with each row's weights, leaving out zeros.

    By jax.lax's own operations, which are traced several times as fast as operators.
    """
    sums = []
    for row in matrix:
        terms = [part if weight == 1 else jax.lax.mul(part, weight)
                 for weight, part in zip(row, parts, strict=True) if weight]
        sums.append(functools.reduce(jax.lax.add, terms))
    return sums


def _one_after_another(x: Array) -> Array:
    """Keeps XLA from computing the first of two sums again for every term of the second."""
    return jax.lax.optimization_barrier(x)


def _multiply(a: Array, b: Array, over_a: tuple[int], over_b: tuple[int]) -> Array:
    """A matrix product for each place."""
    return jax.lax.dot_general(a, b, ((over_a, over_b), ((0,), (0,))))
