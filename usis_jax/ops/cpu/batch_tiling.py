"""A function of images computed for some of them at a time, in a loop.

What it makes between lives for these only, and stays in the caches.
"""

from collections.abc import Callable

import jax
from jax import Array


def together(batch: int, size: int, most: int) -> int:
    """How many images are computed at a time: a divisor of their number, at least one.

    Args:
      batch: their number.
      size: of one, in any unit.
      most: of all that are computed together, in the same unit.
    """
    return max(
        count
        for count in range(1, batch + 1)
        if batch % count == 0 and (count == 1 or count * size <= most)
    )


def join(function: Callable[[Array], Array], x: Array, count: int) -> Array:
    """Results of `count` images at a time.

    Args:
      function: of images [count, ..]; gives results [count, ..].
      x: images [B, ..], B a multiple of `count`.

    Returns:
      [B, ..].
    """
    if count == len(x):
        return function(x)
    y = jax.lax.map(function, x.reshape(-1, count, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


def total(function: Callable[..., Array], arrays: tuple[Array, ...], count: int) -> Array:
    """Sum of what a function gives for `count` images at a time.

    Args:
      function: of arrays [count, ..]; gives the sum over its images.
      arrays: each [B, ..], B a multiple of `count`.

    Returns:
      What the function gives.
    """

    def of(first):
        return function(*(jax.lax.dynamic_slice_in_dim(images, first, count) for images in arrays))

    batch = len(arrays[0])
    if count == batch:
        return function(*arrays)
    return jax.lax.fori_loop(
        1, batch // count, lambda number, before: before + of(number * count), of(0)
    )
