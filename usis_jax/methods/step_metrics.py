"""Training diagnostics from what a train step computes anyway, without another pass."""

import jax
import jax.numpy as jnp
from jax import Array


def share_right(score: Array, real: bool) -> Array:
    """Share of the images that D gets right: scores above 0 for real, below 0 for generated ones.

    Args:
      score: float [N, 1].
      real: whether the images are real.

    Returns:
      float32 scalar in [0, 1]; 0.5 is what guessing reaches.

    Source: the sign of the logit, as r_t of Karras et al., "Training Generative Adversarial
    Networks with Limited Data", NeurIPS 2020, section 3.1.
    """
    return ((score > 0) if real else (score < 0)).astype(jnp.float32).mean()


def class_accuracy(
    predicted: Array,
    label: Array,
    num_classes: int,
    void: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Mean over the classes in the batch of the share of their pixels that S reads right.

    Unlike the share of all pixels it falls when small classes are ignored.

    Args:
      predicted: int [B, H, W], ids in [0, num_classes).
      label: int [B, H, W], ids in [0, num_classes).
      num_classes: K.
      void: id that does not count, or None.
      axis_name: devices' axis over which pixels are counted, or None.

    Returns:
      float32 scalar in [0, 1]; 0 of a batch without a class.
    """
    one_hot = jax.nn.one_hot(label, num_classes, dtype=jnp.float32)
    counts = one_hot.sum(axis=(0, 1, 2))
    hits = (one_hot * (predicted == label)[..., None]).sum(axis=(0, 1, 2))
    if axis_name is not None:
        counts, hits = jax.lax.psum((counts, hits), axis_name)
    if void is not None:
        counts = counts.at[void].set(0.0)
    present = counts > 0
    each = jnp.where(present, hits / jnp.maximum(counts, 1.0), 0.0)
    return each.sum() / jnp.maximum(present.sum(), 1)
