"""USIS: generator, segmenter and discriminator (with a decoder), and one training step of them.

The step is a per-device function with the named axis "batch". It is pure: parameters, collections
and optimisers' states go in as one state and come out as a new one.
"""

import dataclasses
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from usis_jax.config.schema import Optimizer
from usis_jax.config.settings import Settings
from usis_jax.distributed.mesh import mean
from usis_jax.methods import losses, optimizers, step_metrics, train_state
from usis_jax.methods.method import Chart, Method, Metric, Metrics
from usis_jax.methods.train_state import TrainState, players
from usis_jax.methods.usis_losses import (
    Inputs,
    augmented,
    discriminate,
    generate,
    inputs_of,
    real_loss,
    segment,
    takes_r1,
    with_r1,
)
from usis_jax.models import registry
from usis_jax.models.registry import Networks


def train_step(
    state: TrainState,
    batch: dict[str, Array],
    *,
    settings: Settings,
    networks: Networks,
    void: int | None,
) -> tuple[TrainState, Metrics]:
    """One update of every player; to be mapped over the axis "batch" of devices.

    Args:
      state: the same on every device.
      batch: "photo" uint8 [b, H, W, 3] (or float32 in [-1, 1]) and "label" int [b, H, W] in [0, K):
        this device's part.
      settings: the run's settings; `update` chooses the rule.
      networks: modules built with axis_name "batch".
      void: id of unlabelled pixels, or None.

    Returns:
      (new state, metrics: name -> float32 scalar, means over the whole batch; "r1", which is there
      if R1 is on, is 0 for a step without it, see `takes_r1`).

    Source: paper §5.1, eq. 2-5; "joint" differs from the paper's order of updates: G and S share
    one forward and backward pass, and D scores the same sample.
    """
    inputs = inputs_of(state, batch, settings, networks, void)
    rule = {"alternating": _alternating, "joint": _joint}[settings.update]
    new, metrics = rule(inputs, state)
    ema = optimizers.moving_average(
        state.ema_params, new.params["generator"], state.step, settings.ema_decay
    )
    metrics = mean(metrics)
    return dataclasses.replace(new, step=state.step + 1, ema_params=ema), metrics


def update(state: TrainState, player: str, gradients: Any, rates: Optimizer) -> TrainState:
    """The state after an update of one player's parameters by its optimiser."""
    own = players(state.params, player)
    updates, memory = optimizers.optimisers(rates)[player].update(
        mean(gradients), state.opt_state[player], own
    )
    if player == "discriminator" and rates.discriminator_warmup:
        share = optimizers.warmup(state.step, rates.discriminator_warmup)
        updates = jax.tree.map(lambda update: share * update, updates)
    return dataclasses.replace(
        state,
        params=state.params | optax.apply_updates(own, updates),
        opt_state=state.opt_state | {player: memory},
    )


def _with_collections(state: TrainState, **collections: Any) -> TrainState:
    """The state with new collections of the networks named."""
    return dataclasses.replace(state, collections=state.collections | collections)


def _discriminator_gradients(inputs: Inputs, state: TrainState, fake: Array) -> tuple[Any, Metrics]:
    """Gradients and metrics of D (and decoder) on real images and given generated ones."""

    def loss(own):
        real, metrics = real_loss(inputs, own)
        score, _ = discriminate(inputs, own["discriminator"], augmented(inputs, fake, 1))
        fake_loss = inputs.settings.loss.adversarial * losses.nonsaturating_fake(score)
        return real + fake_loss, metrics | {
            "loss_fake": fake_loss,
            "score_fake": score.mean(),
            "right_fake": step_metrics.share_right(score, False),
        }

    gradients, metrics = jax.grad(loss, has_aux=True)(players(state.params, "discriminator"))
    penalised, r1 = with_r1(
        inputs, state.step, state.params["discriminator"], gradients["discriminator"]
    )
    return gradients | {"discriminator": penalised}, metrics | r1


def _alternating(inputs: Inputs, state: TrainState) -> tuple[TrainState, Metrics]:
    """Published order: G, then S on a fresh sample, then D on a fresh sample."""
    rates, weights = inputs.settings.optimizer, inputs.settings.loss
    before = state

    def generator_loss(own):
        image, updates = generate(
            inputs, own["generator"], before.collections["generator"], "generator"
        )
        loss_seg, _, read = segment(
            inputs, before.params["segmenter"], before.collections["segmenter"], image
        )
        score, _ = discriminate(inputs, before.params["discriminator"], augmented(inputs, image, 2))
        adversarial = losses.nonsaturating_generator(score)
        metrics = {"loss_segmentation": loss_seg, "loss_generator": adversarial, **read}
        total = weights.segmentation * loss_seg + weights.adversarial * adversarial
        return total, (updates, metrics)

    gradients, (updates, metrics) = jax.grad(generator_loss, has_aux=True)(
        players(state.params, "generator")
    )
    state = update(_with_collections(state, generator=updates), "generator", gradients, rates)

    image, updates = generate(
        inputs, state.params["generator"], state.collections["generator"], "segmenter"
    )
    state, image = _with_collections(state, generator=updates), jax.lax.stop_gradient(image)

    def segmenter_loss(own):
        loss, updates, _ = segment(inputs, own["segmenter"], before.collections["segmenter"], image)
        return loss, updates

    gradients, updates = jax.grad(segmenter_loss, has_aux=True)(players(state.params, "segmenter"))
    state = update(_with_collections(state, segmenter=updates), "segmenter", gradients, rates)

    fake, updates = generate(
        inputs, state.params["generator"], state.collections["generator"], "discriminator"
    )
    state = _with_collections(state, generator=updates)
    gradients, more = _discriminator_gradients(inputs, state, jax.lax.stop_gradient(fake))
    return update(state, "discriminator", gradients, rates), metrics | more


def _joint(inputs: Inputs, state: TrainState) -> tuple[TrainState, Metrics]:
    """G and S from one pass over one sample; D's pass over it serves G's gradient and D's own."""
    rates, weights = inputs.settings.optimizer, inputs.settings.loss
    params, collections = state.params, state.collections
    image, generator_pullback, updates = jax.vjp(
        lambda own: generate(inputs, own, collections["generator"], "generator"),
        params["generator"],
        has_aux=True,
    )

    def segmenter_loss(own, x):
        loss, updates, read = segment(inputs, own, collections["segmenter"], x)
        return loss, (updates, read)

    loss_seg, segmenter_pullback, (segmenter_updates, read) = jax.vjp(
        segmenter_loss, params["segmenter"], image, has_aux=True
    )
    score, score_pullback = jax.vjp(
        lambda own, x: discriminate(inputs, own, augmented(inputs, x, 1))[0],
        params["discriminator"],
        image,
    )

    adversarial, score_gradient = jax.value_and_grad(losses.nonsaturating_generator)(score)
    fake_loss, fake_gradient = jax.value_and_grad(losses.nonsaturating_fake)(score)
    segmenter_gradients, image_gradient = segmenter_pullback(jnp.ones_like(loss_seg))
    _, image_adversarial = score_pullback(weights.adversarial * score_gradient)
    (generator_gradients,) = generator_pullback(
        weights.segmentation * image_gradient + image_adversarial
    )
    fake_gradients, _ = score_pullback(weights.adversarial * fake_gradient)
    gradients, metrics = jax.grad(lambda own: real_loss(inputs, own), has_aux=True)(
        players(params, "discriminator")
    )
    penalised, r1 = with_r1(
        inputs,
        state.step,
        params["discriminator"],
        jax.tree.map(jnp.add, gradients["discriminator"], fake_gradients),
    )

    state = _with_collections(state, generator=updates, segmenter=segmenter_updates)
    for player, own in (
        ("generator", {"generator": generator_gradients}),
        ("segmenter", {"segmenter": segmenter_gradients}),
        ("discriminator", gradients | {"discriminator": penalised}),
    ):
        state = update(state, player, own, rates)
    return state, metrics | r1 | {
        "loss_segmentation": loss_seg,
        "loss_generator": adversarial,
        **read,
        "loss_fake": weights.adversarial * fake_loss,
        "score_fake": score.mean(),
        "right_fake": step_metrics.share_right(score, False),
    }


def read_labels(segmenter: nn.Module, variables: dict[str, Any], image: Array) -> Array:
    """The classes that S reads.

    Args:
      segmenter: S.
      variables: its "params" and collections.
      image: float [B, H, W, 3] in [-1, 1].

    Returns:
      int32 [B, H, W], ids in [0, K): channel 0 of S's K + 1 is no class.
    """
    logits = cast(Array, segmenter.apply(variables, image, train=False))
    return logits[..., 1:].argmax(-1).astype(jnp.int32)


def measured(settings: Settings, step: int, metrics: Metrics) -> Metrics:
    """The metrics without R1 if that step (from 0) does not have it."""
    has_r1 = takes_r1(settings, step)
    return {name: value for name, value in metrics.items() if name != "r1" or has_r1}


METHOD = Method(
    name="usis",
    metrics=(
        Metric(
            "loss_generator",
            "softplus(-D(G(m))), what the generator lowers against the discriminator",
            "generator {:.3g}",
        ),
        Metric(
            "loss_segmentation",
            "Class-balanced cross-entropy of what S reads in generated images",
            "segmentation {:.3g}",
        ),
        Metric("loss_real", "softplus(-D(x)) of real images", "real {:.3g}"),
        Metric("loss_fake", "softplus(D(G(m))) of generated images", "fake {:.3g}"),
        Metric(
            "loss_reconstruction",
            "Mean absolute difference of real images and what the decoder makes of D's features",
            "reconstruction {:.3g}",
        ),
        Metric(
            "class_accuracy",
            "Share of a class's pixels that S reads right in generated images, mean over classes",
            "S reads {:.0%} of a class",
        ),
        Metric("pixel_accuracy", "Share of all pixels that S reads right in generated images"),
        Metric(
            "right_real", "Share of real images that D takes for real", "D right on {:.0%} of real"
        ),
        Metric(
            "right_fake",
            "Share of generated images that D takes for generated",
            "{:.0%} of generated",
        ),
        Metric("score_real", "D's mean score of real images"),
        Metric("score_fake", "D's mean score of generated images"),
        Metric("r1", "Squared slope of D's score at real images, in the steps that have it"),
    ),
    charts=(
        Chart(
            "Generator (and S)",
            "loss",
            (("loss_generator", "adversarial"), ("loss_segmentation", "segmentation")),
        ),
        Chart(
            "Discriminator (guessing is 0.69)",
            "loss",
            (("loss_real", "real photos"), ("loss_fake", "generated images")),
        ),
        Chart(
            "Reconstruction by the decoder", "loss", (("loss_reconstruction", "L1 of real photos"),)
        ),
        Chart("Gradient penalty", "squared slope", (("r1", "R1"),)),
    ),
    networks=registry.build,
    create=train_state.create,
    shapes=train_state.shapes,
    with_generator=train_state.with_generator,
    step=train_step,
    measured=measured,
    segmenter="segmenter",
    read_labels=read_labels,
    discriminator="discriminator",
)
