"""The terms of USIS's losses for one batch on one device, as functions of parameters.

Per-device functions with the named axis "batch", which change nothing: collections go in, and new
ones come out.
"""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.config.settings import Settings
from usis_jax.distributed.keys import sample_keys
from usis_jax.distributed.mesh import AXIS
from usis_jax.methods import losses, step_metrics
from usis_jax.methods.method import Metrics
from usis_jax.methods.train_state import TrainState
from usis_jax.models.generation import draw_noise
from usis_jax.models.registry import Networks
from usis_jax.ops import pixel_range
from usis_jax.ops.augment import augment


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What all losses of one step on one device are functions of, besides the state.

    Attributes:
      settings: the run's settings.
      networks: modules built with axis_name "batch".
      void: id of unlabelled pixels, or None.
      label: int32 [b, H, W].
      image: real images, float32 [b, H, W, 3] in [-1, 1].
      keys: "generator", "segmenter", "discriminator" (each player's noise), "augment" -> key.
    """

    settings: Settings
    networks: Networks
    void: int | None
    label: Array
    image: Array
    keys: dict[str, Array]


def inputs_of(
    state: TrainState,
    batch: dict[str, Array],
    settings: Settings,
    networks: Networks,
    void: int | None,
) -> Inputs:
    """The inputs of a step; arguments as of `train_step`."""
    label, image = batch["label"].astype(jnp.int32), pixel_range.to_float(batch["photo"])
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    names = ("generator", "segmenter", "discriminator", "augment")
    keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))
    return Inputs(settings, networks, void, label, image, keys)


def takes_r1(settings: Settings, number: int | Array) -> bool | Array:
    """Whether a step has the lazy R1 penalty.

    Args:
      settings: the run's settings; `r1_interval` 0 = no step has it.
      number: of the step, from 0; int, or int32 scalar.

    Returns:
      bool, or bool scalar if `number` is an array and R1 is on.

    Source: paper §5.1.
    """
    return number % settings.r1_interval == 0 if settings.r1_interval else False


def generate(inputs: Inputs, params: Any, collections: Any, player: str) -> tuple[Array, Any]:
    """An image of each label map with the noise of `player`, and G's new collections."""
    keys = sample_keys(inputs.keys[player], inputs.label.shape[0])
    z = draw_noise(inputs.settings.generator, keys, *inputs.label.shape[1:])
    return inputs.networks.generator.apply(
        {"params": params, **collections}, inputs.label, z, train=True, mutable=list(collections)
    )


def segment(
    inputs: Inputs, params: Any, collections: Any, image: Array
) -> tuple[Array, Any, Metrics]:
    """L_seg of images, S's new collections, and how much of the images S reads right."""
    logits, updates = inputs.networks.segmenter.apply(
        {"params": params, **collections}, image, train=True, mutable=list(collections)
    )
    label, void = inputs.label, inputs.void
    loss = losses.balanced_cross_entropy(logits, label, void=void, axis_name=AXIS)
    read = logits[..., 1:].argmax(-1)
    accuracy = step_metrics.class_accuracy(read, label, logits.shape[-1] - 1, void, AXIS)
    right = (read == label).mean()
    return loss, updates, {"pixel_accuracy": right, "class_accuracy": accuracy}


def augmented(inputs: Inputs, image: Array, purpose: int) -> Array:
    """The images as D sees them."""
    key = jax.random.fold_in(inputs.keys["augment"], purpose)
    names = inputs.settings.discriminator.augmentations
    return augment(image, sample_keys(key, image.shape[0]), names)


def discriminate(inputs: Inputs, params: Any, image: Array) -> tuple[Array, list[Array]]:
    """D's scores and features."""
    scored = inputs.networks.discriminator.apply({"params": params}, image)
    return cast(tuple[Array, list[Array]], scored)


def real_loss(inputs: Inputs, params: dict[str, Any]) -> tuple[Array, Metrics]:
    """D's loss on real images without R1: adversarial and reconstruction."""
    image = augmented(inputs, inputs.image, 0)
    score, features = discriminate(inputs, params["discriminator"], image)
    loss = inputs.settings.loss.adversarial * losses.nonsaturating_real(score)
    metrics = {
        "loss_real": loss,
        "score_real": score.mean(),
        "right_real": step_metrics.share_right(score, True),
    }
    if inputs.networks.decoder is None:
        return loss, metrics
    decoded = inputs.networks.decoder.apply({"params": params["decoder"]}, features)
    reconstruction = losses.reconstruction(image, cast(Array, decoded))
    loss += inputs.settings.decoder.weight * reconstruction
    return loss, metrics | {"loss_reconstruction": reconstruction}


def with_r1(inputs: Inputs, number: Array, params: Any, gradients: Any) -> tuple[Any, Metrics]:
    """Gradients of D with those of R1 added if this step has it, and the metric.

    One program for both kinds of step: what R1 takes is computed in a branch of its own.
    """
    settings = inputs.settings
    if not settings.r1_interval:
        return gradients, {}
    image = augmented(inputs, inputs.image, 0)
    weight = 0.5 * settings.r1_gamma * settings.r1_interval

    def penalised(gradients):
        penalty, more = jax.value_and_grad(
            lambda own: losses.r1_penalty(lambda x: discriminate(inputs, own, x)[0], image)
        )(params)
        return jax.tree.map(lambda a, b: a + weight * b, gradients, more), penalty

    gradients, penalty = jax.lax.cond(
        takes_r1(settings, number),
        penalised,
        lambda gradients: (gradients, jnp.zeros((), jnp.float32)),
        gradients,
    )
    return gradients, {"r1": penalty}
