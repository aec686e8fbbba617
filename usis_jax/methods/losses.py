"""Losses of the three players, as functions of network outputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def class_weights(
    label: Array, num_classes: int, void: int | None = None, axis_name: str | None = None
) -> Array:
    """Weight of each class: inverse frequency in the whole batch, over the classes present.

    alpha_c = pixels / (classes present * pixels of class c); absent classes and void weigh 0. Void
    pixels count as pixels of the batch, as published.

    Args:
      label: int [B, H, W], ids in [0, num_classes).
      num_classes: K.
      void: id that weighs 0, or None.
      axis_name: devices' axis over which counts are summed, or None.

    Returns:
      float32 [K].

    Source: paper §5.1, L_seg.
    """
    counts = jax.nn.one_hot(label, num_classes, dtype=jnp.float32).sum(axis=(0, 1, 2))
    pixels = jnp.float32(label.size)
    if axis_name is not None:
        counts, pixels = jax.lax.psum((counts, pixels), axis_name)
    if void is not None:
        counts = counts.at[void].set(0.0)
    present = counts > 0
    weights = pixels / (jnp.maximum(present.sum(), 1) * jnp.where(present, counts, 1.0))
    return jnp.where(present, weights, 0.0)


def balanced_cross_entropy(
    logits: Array, label: Array, *, void: int | None = None, axis_name: str | None = None
) -> Array:
    """Class-balanced cross-entropy, mean over all pixels.

    Args:
      logits: float [B, H, W, K+1]; the class with id k is channel k + 1, channel 0 is never a
        target but takes part in the softmax.
      label: int [B, H, W], ids in [0, K).
      void: id that weighs 0, or None.
      axis_name: devices' axis over which class frequencies are taken, or None.

    Returns:
      float32 scalar; the mean over devices of it is the whole batch's loss.

    Source: paper §5.1, L_seg of eq. 2-4.
    """
    num_classes = logits.shape[-1] - 1
    weights = class_weights(label, num_classes, void, axis_name)
    one_hot = jax.nn.one_hot(label, num_classes, dtype=jnp.float32)
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32))[..., 1:]
    return -(one_hot * weights * log_probability).sum() / label.size


def nonsaturating_generator(fake_score: Array) -> Array:
    """softplus(-D(G(m))), mean over all scores: float [N, 1] -> scalar. Source: paper eq. 2."""
    return jax.nn.softplus(-fake_score).mean()


def nonsaturating_real(real_score: Array) -> Array:
    """softplus(-D(x)), mean over all scores: float [N, 1] -> scalar. Source: paper eq. 5."""
    return jax.nn.softplus(-real_score).mean()


def nonsaturating_fake(fake_score: Array) -> Array:
    """softplus(D(G(m))), mean over all scores: float [N, 1] -> scalar. Source: paper eq. 5."""
    return jax.nn.softplus(fake_score).mean()


def r1_penalty(score: Callable[[Array], Array], photo: Array) -> Array:
    """Mean over the batch of the squared norm of the score's gradient at real photos.

    Args:
      score: photos float [B, H, W, 3] -> scores [B, 1] (or more scores a photo).
      photo: float [B, H, W, 3].

    Returns:
      float32 scalar, without the factor gamma / 2.

    Source: paper §5.1 (R1, Mescheder et al. 2018).
    """
    gradient = jax.grad(lambda x: score(x).astype(jnp.float32).sum())(photo)
    return jnp.square(gradient.astype(jnp.float32)).sum(axis=(1, 2, 3)).mean()


def reconstruction(photo: Array, reconstructed: Array) -> Array:
    """L1 between photo and reconstruction, both float [B, H, W, 3]; scalar. Source: paper §5.2."""
    return jnp.abs(photo - reconstructed).mean()
