"""A generator's noise and, for inference, its images."""

from typing import Any, cast

import flax.linen as nn
from jax import Array

from usis_jax.config.schema import Generator
from usis_jax.ops import latents


def draw_noise(options: Generator, keys: Array, height: int, width: int) -> Array:
    """The noise of label maps, each by its own key.

    Args:
      options: the run's generator section, which says how many channels of which kind.
      keys: [B] random keys.
      height, width: size of the label maps.

    Returns:
      float32 [B, Z] or [B, H, W, Z], standard normal.

    Source: paper §5.1 (3-D noise).
    """
    return latents.draw(keys, height, width, options.z_dim, options.noise)


def generate(network: nn.Module, variables: dict[str, Any], label: Array, noise: Array) -> Array:
    """Images of label maps by a generator that is not trained any more.

    Args:
      network: a generator.
      variables: its "params" and collections.
      label: int [B, H, W], ids in [0, K).
      noise: float [B, Z] or [B, H, W, Z].

    Returns:
      float [B, H, W, 3] in [-1, 1].
    """
    return cast(Array, network.apply(variables, label, noise, train=False))
