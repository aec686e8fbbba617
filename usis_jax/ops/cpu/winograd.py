"""Convolution with fewer multiplications, by Winograd's F(4x4, 3x3), F(4x4, 2x2), F(4x4, 5x5).

A tile of 4x4 results of a 3x3 kernel needs 6x6 pixels. Both these and the kernel are transformed to
6x6 numbers; multiplied place by place, and summed over channels (36 matrix products), they are the
tile's results, transformed: 36 multiplications for 144, with a 2x2 kernel 25 for 64, with a 5x5 one
64 for 400. The transforms are sums of few terms. The result is that of a convolution but for
rounding: its error is some ten times that of direct summation, 1e-5 of the largest value in
float32.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops.cpu import batch_tiling

TILE = 4
"""Height and width of the results that are computed together."""

TILES_TOGETHER = 1024
"""Images of at most so many tiles together, or one larger image, are computed at a time: little of
what is transformed lives at a time, and it stays in the caches (measured)."""

_POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)
"""Polynomials are evaluated at the first of these, and at infinity."""


def conv(x: Array, kernel: Array, padding: int) -> Array:
    """Convolution of images.

    Args:
      x: float [B, H, W, C].
      kernel: float [k, k, C, F], k 2, 3 or 5.
      padding: zeros added on every side, less than k.

    Returns:
      float [B, H', W', F], H' = H + 2 * padding - k + 1.

    Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
    """
    return _conv(x, kernel, padding, turned=False)


def input_gradient(kernel: Array, gradient: Array, padding: int) -> Array:
    """Gradient of `conv` with respect to x, from that of its result.

    Args:
      kernel: float [k, k, C, F].
      gradient: float [B, H', W', F].
      padding: as of `conv`.

    Returns:
      float [B, H, W, C], H = H' - 2 * padding + k - 1.

    Source: the transpose of `conv`: a convolution with the kernel turned by half a turn.
    """
    return _conv(gradient, kernel, len(kernel) - 1 - padding, turned=True)


def _conv(x: Array, kernel: Array, padding: int, turned: bool) -> Array:
    """`conv`; `turned` by half a turn, the kernel takes its features to its channels."""
    size = len(kernel)
    _, of_kernel, to_results = _matrices(size)
    height, width = (length + 2 * padding - size + 1 for length in x.shape[1:3])
    # A kernel that the compiler knows would else be transformed by it, taking minutes.
    taps = jax.lax.optimization_barrier(kernel.reshape(size * size, -1))
    of_taps = np.kron(of_kernel, of_kernel)[:, :: -1 if turned else 1]
    kernel = (of_taps @ taps).reshape(-1, *kernel.shape[2:])
    points = to_results.shape[1]

    def results(x):
        pixels, rows, columns = _transform_pixels(x, size, padding)
        products = _multiply(pixels, kernel, (2,), (2,) if turned else (1,))
        products = products.reshape(points, points, len(x), rows, columns, -1)
        down = _one_after_another(jnp.stack(_combine(to_results, products), axis=3))
        across = jnp.stack(_combine(to_results, down), axis=4)
        return across.reshape(len(x), TILE * rows, TILE * columns, -1)[:, :height, :width]

    return batch_tiling.join(results, x, _together(len(x), height, width))


def kernel_gradient(x: Array, gradient: Array, padding: int) -> Array:
    """Gradient of `conv` with respect to the kernel, from that of its result.

    Args:
      x: float [B, H, W, C].
      gradient: float [B, H', W', F].
      padding: as of `conv`.

    Returns:
      float [k, k, C, F].

    Source: the transpose of `conv`.
    """
    size = x.shape[1] + 2 * padding + 1 - gradient.shape[1]
    _, of_kernel, to_results = _matrices(size)

    def products_of(x, gradient):
        pixels, rows, columns = _transform_pixels(x, size, padding)
        batch, height, width, features = gradient.shape
        gradient = jnp.pad(
            gradient, ((0, 0), (0, rows * TILE - height), (0, columns * TILE - width), (0, 0))
        )
        gradient = gradient.reshape(batch, rows, TILE, columns * TILE, features)
        down = jnp.stack(_combine(to_results.T, jnp.moveaxis(gradient, 2, 0)))
        down = _one_after_another(down).reshape(-1, batch, rows, columns, TILE, features)
        across = jnp.stack(_combine(to_results.T, jnp.moveaxis(down, 4, 0)), axis=1)
        return _multiply(pixels, across.reshape(len(pixels), -1, features), (1,), (1,))

    products = batch_tiling.total(products_of, (x, gradient), _together(*gradient.shape[:3]))
    kernel = jnp.matmul(np.kron(of_kernel, of_kernel).T, products.reshape(len(products), -1))
    return kernel.reshape(size, size, *products.shape[1:])


@functools.cache
def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transforms of pixels, kernel and products along one axis, for a kernel of that size.

    A kernel's and the results' polynomials are multiplied by their values at some points, and the
    transpose of that (Toom and Cook) correlates pixels with the kernel.
    """
    points = np.array(_POINTS[: TILE + size - 2], np.float64)
    others = [np.delete(points, number) for number in range(len(points))]
    # The highest coefficient of a polynomial is its value at infinity.
    pixels = [np.append(np.poly(other)[::-1], 0) for other in others] + [np.poly(points)[::-1]]
    scale = [np.prod(point - other) for point, other in zip(points, others, strict=True)]
    kernel = [point ** np.arange(size) / by for point, by in zip(points, scale, strict=True)]
    results = [point ** np.arange(TILE) for point in points]
    kernel, results = [*kernel, np.eye(size)[-1]], [*results, np.eye(TILE)[-1]]
    return (
        np.array(pixels, np.float32),
        np.array(kernel, np.float32),
        np.array(np.transpose(results), np.float32),
    )


def tiles(height: int, width: int) -> int:
    """How many tiles an image of results has."""
    return -(-height // TILE) * -(-width // TILE)


def _together(batch: int, height: int, width: int) -> int:
    """How many results of that size are computed at a time."""
    return batch_tiling.together(batch, tiles(height, width), TILES_TOGETHER)


def _transform_pixels(x: Array, size: int, padding: int) -> tuple[Array, int, int]:
    """Tiles' transformed pixels [points, tiles, C], and the tiles in a column and in a row."""
    matrix = _matrices(size)[0]
    batch, height, width, channels = x.shape
    rows, columns = (-(-(length + 2 * padding - size + 1) // TILE) for length in (height, width))
    after = [
        TILE * count + size - 1 - padding - length
        for count, length in ((rows, height), (columns, width))
    ]
    x = jnp.pad(x, ((0, 0), (padding, after[0]), (padding, after[1]), (0, 0)))
    down = _one_after_another(
        jnp.stack(
            _combine(
                matrix,
                [
                    jax.lax.slice_in_dim(x, start, start + TILE * (rows - 1) + 1, TILE, axis=1)
                    for start in range(len(matrix))
                ],
            )
        )
    )
    across = jnp.stack(
        _combine(
            matrix,
            [
                jax.lax.slice_in_dim(down, start, start + TILE * (columns - 1) + 1, TILE, axis=3)
                for start in range(len(matrix))
            ],
        ),
        axis=1,
    )
    return across.reshape(-1, batch * rows * columns, channels), rows, columns


def _combine(matrix: np.ndarray, parts) -> list[Array]:
    """Sums of the parts with each row's weights, leaving out zeros.

    By jax.lax's own operations, which are traced several times as fast as operators.
    """
    sums = []
    for row in matrix:
        terms = [
            part if weight == 1 else jax.lax.mul(part, weight)
            for weight, part in zip(row, parts, strict=True)
            if weight
        ]
        sums.append(functools.reduce(jax.lax.add, terms))
    return sums


def _one_after_another(x: Array) -> Array:
    """Keeps XLA from computing the first of two sums again for every term of the second."""
    return jax.lax.optimization_barrier(x)


def _multiply(a: Array, b: Array, over_a: tuple[int], over_b: tuple[int]) -> Array:
    """A matrix product for each place."""
    return jax.lax.dot_general(a, b, ((over_a, over_b), ((0,), (0,))))
