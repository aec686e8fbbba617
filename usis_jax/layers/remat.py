"""Rematerialisation: values that a backward pass computes again instead of keeping them."""

from collections.abc import Callable

import flax.linen as nn


def keep_exchanges(primitive, *unused_values, **unused_parameters) -> bool:
    """Policy that keeps what devices sent one another: sending it again costs more than memory."""
    return primitive.name.startswith(("psum", "all_gather", "pmean"))


def by_block(block: Callable, remat: str, static: tuple[int, ...] = ()) -> Callable:
    """A block whose inner values are computed again in the backward pass, if asked for.

    Args:
      block: module class, or function whose first argument is the module that calls it.
      remat: "blocks", or "none" to keep all values.
      static: positions of arguments that are Python values; 0 is the module itself.

    Returns:
      What is called in the place of `block`: same parameters, same result, and the same gradient
      but for rounding.

    Source: Chen et al. 2016, by block; keeping exchanges is ours.
    """
    if remat == "none":
        return block
    return nn.remat(block, policy=keep_exchanges, static_argnums=static)
