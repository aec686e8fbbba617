"""Batch statistics of a generator for weights that it was not trained with."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.layers.spade import MOMENTUM


def estimate_statistics(
    generator: nn.Module, params: Any, collections: Any, labels: Array, z: Array
) -> Any:
    """A generator's own batch statistics and spectral vectors, for weights it was not trained with.

    Args:
      generator: module with SPADE's batch norms.
      params: its parameters, for instance the moving average's.
      collections: "batch_stats" and "spectral" to start from.
      labels: int [B, H, W], the more the better.
      z: its noise.

    Returns:
      Collections of the same structure: this batch's statistics, and the spectral vectors after one
      more power iteration.

    Source: OASIS's practice; paper §5.1 leaves it open.
    """
    zeros = jax.tree.map(jnp.zeros_like, collections["batch_stats"])
    _, updates = generator.apply(
        {"params": params, "spectral": collections["spectral"], "batch_stats": zeros},
        labels,
        z,
        train=True,
        mutable=["batch_stats", "spectral"],
    )
    # From running statistics of zero an update leaves this share of the batch's.
    share = 1 - MOMENTUM
    statistics = jax.tree.map(lambda leaf: leaf / share, updates["batch_stats"])
    return {**collections, "spectral": updates["spectral"], "batch_stats": statistics}
