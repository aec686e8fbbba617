"""Optimisers of the players and the exponential moving average of the generator."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from usis_jax.config.schema import Optimizer


def optimisers(rates: Optimizer) -> dict[str, optax.GradientTransformation]:
    """Adam for each player; the decoder's parameters are the discriminator player's.

    With beta1 0 the first moment is the gradient itself and is not kept.

    Args:
      rates: the run's optimizer section.

    Returns:
      {"generator", "segmenter", "discriminator"} -> optax transformation.

    Source: paper §5.1 (beta1 0, beta2 0.999, rate 1e-4).
    """

    def adam(rate: float) -> optax.GradientTransformation:
        if rates.beta1:
            return optax.adam(rate, b1=rates.beta1, b2=rates.beta2, eps=1e-8)
        return optax.chain(
            optax.scale_by_rms(rates.beta2, eps=1e-8, eps_in_sqrt=False, bias_correction=True),
            optax.scale_by_learning_rate(rate),
        )

    return {
        "generator": adam(rates.generator_rate),
        "segmenter": adam(rates.segmenter_rate),
        "discriminator": adam(rates.discriminator_rate),
    }


def warmup(step: jax.Array, steps: int) -> jax.Array:
    """Share of the full rate after `step` updates: rises linearly to 1 at step `steps` - 1.

    Args:
      step: int scalar, number of updates made before this one.
      steps: at least 1.

    Returns:
      float32 scalar in (0, 1].

    Source: differs from the paper, whose rates are constant.
    """
    return jnp.minimum(1.0, (step.astype(jnp.float32) + 1.0) / steps)


def moving_average(average: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """average * d + params * (1 - d) for every leaf, d rising to `decay` over the first steps.

    d = min(decay, (step + 1) / (step + 10)), so that short runs do not average in the
    initialisation.

    Args:
      average, params: pytrees of the same structure, float.
      step: int scalar, number of updates made before this one.
      decay: in [0, 1).

    Returns:
      A pytree of the same structure.

    Source: paper §5.1 (EMA of G, 0.9999); the warm-up differs from the paper.
    """
    count = step.astype(jnp.float32)
    rate = jnp.minimum(decay, (count + 1.0) / (count + 10.0))
    return jax.tree.map(lambda a, p: a + (1.0 - rate) * (p - a), average, params)
