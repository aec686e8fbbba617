"""One training step of the three players, as a per-device function with the named axis "batch"."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from usis_jax.config.settings import Settings
from usis_jax.distributed.mesh import AXIS, mean
from usis_jax.methods import losses, optimizers, step_metrics
from usis_jax.methods.train_state import TrainState, players
from usis_jax.models.registry import Networks
from usis_jax.ops import latents
from usis_jax.ops.augment import augment


def sample_keys(key: Array, batch: int, axis_name: str | None = AXIS) -> Array:
    """A key for each sample of this device, by its index in the whole batch.

    Args:
      key: one random key.
      batch: samples on this device.
      axis_name: devices' axis, or None.

    Returns:
      [batch] keys; N devices draw what one device would draw for the whole batch.

    Source: ours.
    """
    start = jax.lax.axis_index(axis_name) * batch if axis_name else 0
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(start + jnp.arange(batch))


def to_photo(stored: Array) -> Array:
    """uint8 in 0..255 -> float32 in [-1, 1]; floats pass. Source: the published preprocessing."""
    if stored.dtype == jnp.uint8:
        return stored.astype(jnp.float32) / 127.5 - 1.0
    return stored


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


class _Step:
    """The players' losses for one batch on one device; made anew for each traced step."""

    def __init__(self, state: TrainState, batch: dict[str, Array], settings: Settings,
                 networks: Networks, void: int | None):
        self.settings, self.networks, self.void = settings, networks, void
        self.number = state.step
        self.label, self.photo = batch["label"].astype(jnp.int32), to_photo(batch["photo"])
        self.collections = dict(state.collections)
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        names = ("generator", "segmenter", "discriminator", "augment")
        self.keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))

    def generate(self, params: Any, player: str) -> tuple[Array, Any]:
        """A photo for each label map with the noise of `player`, and G's new collections."""
        keys = sample_keys(self.keys[player], self.label.shape[0])
        options = self.settings.generator
        z = latents.draw(keys, *self.label.shape[1:], options.z_dim, options.noise)
        variables = {"params": params, **self.collections["generator"]}
        return self.networks.generator.apply(
            variables, self.label, z, train=True, mutable=list(self.collections["generator"]))

    def segment(self, params: Any, photo: Array) -> tuple[Array, Any, dict[str, Array]]:
        """L_seg of photos, S's new collections, and how much of the photos S reads right."""
        variables = {"params": params, **self.collections["segmenter"]}
        logits, updates = self.networks.segmenter.apply(
            variables, photo, train=True, mutable=list(self.collections["segmenter"]))
        loss = losses.balanced_cross_entropy(logits, self.label, void=self.void, axis_name=AXIS)
        read = logits[..., 1:].argmax(-1)
        accuracy = step_metrics.class_accuracy(read, self.label, logits.shape[-1] - 1, self.void, AXIS)
        right = (read == self.label).mean()
        return loss, updates, {"pixel_accuracy": right, "class_accuracy": accuracy}

    def augment(self, photo: Array, purpose: int) -> Array:
        """The photos as D sees them."""
        key = jax.random.fold_in(self.keys["augment"], purpose)
        names = self.settings.discriminator.augmentations
        return augment(photo, sample_keys(key, photo.shape[0]), names)

    def judge(self, params: Any, photo: Array) -> tuple[Array, list[Array]]:
        """D's scores and features."""
        return self.networks.discriminator.apply({"params": params}, photo)

    def real_loss(self, params: dict[str, Any]) -> tuple[Array, dict[str, Array]]:
        """D's loss on real photos without R1: adversarial and reconstruction."""
        photo = self.augment(self.photo, 0)
        score, features = self.judge(params["discriminator"], photo)
        loss = self.settings.loss.adversarial * losses.nonsaturating_real(score)
        metrics = {"loss_real": loss, "score_real": score.mean(),
                   "right_real": step_metrics.share_right(score, True)}
        if self.networks.decoder is not None:
            decoded = self.networks.decoder.apply({"params": params["decoder"]}, features)
            metrics["loss_reconstruction"] = losses.reconstruction(photo, decoded)
            loss += self.settings.decoder.weight * metrics["loss_reconstruction"]
        return loss, metrics

    def with_r1(self, params: Any, gradients: Any) -> tuple[Any, dict[str, Array]]:
        """Gradients of D with those of R1 added if this step has it, and the metric.

        One program for both kinds of step: what R1 takes is computed in a branch of its own.
        """
        if not self.settings.r1_interval:
            return gradients, {}
        photo = self.augment(self.photo, 0)
        weight = 0.5 * self.settings.r1_gamma * self.settings.r1_interval

        def penalised(gradients):
            penalty, more = jax.value_and_grad(lambda own: losses.r1_penalty(
                lambda x: self.judge(own, x)[0], photo))(params)
            return jax.tree.map(lambda a, b: a + weight * b, gradients, more), penalty

        gradients, penalty = jax.lax.cond(
            takes_r1(self.settings, self.number), penalised,
            lambda gradients: (gradients, jnp.zeros((), jnp.float32)), gradients)
        return gradients, {"r1": penalty}


def train_step(state: TrainState, batch: dict[str, Array], *, settings: Settings,
               networks: Networks, void: int | None
               ) -> tuple[TrainState, dict[str, Array]]:
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
    step = _Step(state, batch, settings, networks, void)
    rule = {"alternating": _alternating, "joint": _joint}[settings.update]
    params, opt_state, metrics = rule(step, state)
    ema = optimizers.moving_average(
        state.ema_params, params["generator"], state.step, settings.ema_decay)
    metrics = mean(metrics)
    new = state.replace(step=state.step + 1, params=params, opt_state=opt_state, ema_params=ema,
                        collections=step.collections)
    return new, metrics


def _update(step: _Step, player: str, gradients: Any, params: dict, opt_state: dict) -> None:
    """Move one player's parameters in `params` and its state in `opt_state` (both changed)."""
    own = players(params, player)
    updates, opt_state[player] = optimizers.optimisers(step.settings)[player].update(
        mean(gradients), opt_state[player], own)
    warmup = step.settings.optimizer.discriminator_warmup
    if player == "discriminator" and warmup:
        share = optimizers.warmup(step.number, warmup)
        updates = jax.tree.map(lambda update: share * update, updates)
    params.update(optax.apply_updates(own, updates))


def _discriminator_gradients(step: _Step, params: dict, fake: Array):
    """Gradients and metrics of D (and decoder) on real photos and given generated ones."""
    def loss(own):
        real, metrics = step.real_loss(own)
        score, _ = step.judge(own["discriminator"], step.augment(fake, 1))
        fake_loss = step.settings.loss.adversarial * losses.nonsaturating_fake(score)
        return real + fake_loss, metrics | {
            "loss_fake": fake_loss, "score_fake": score.mean(),
            "right_fake": step_metrics.share_right(score, False)}

    gradients, metrics = jax.grad(loss, has_aux=True)(players(params, "discriminator"))
    gradients["discriminator"], r1 = step.with_r1(
        params["discriminator"], gradients["discriminator"])
    return gradients, metrics | r1


def _alternating(step: _Step, state: TrainState):
    """Published order: G, then S on a fresh sample, then D on a fresh sample."""
    params, opt_state, weights = dict(state.params), dict(state.opt_state), step.settings.loss

    def generator_loss(own):
        photo, updates = step.generate(own["generator"], "generator")
        loss_seg, _, read = step.segment(params["segmenter"], photo)
        score, _ = step.judge(params["discriminator"], step.augment(photo, 2))
        adversarial = losses.nonsaturating_generator(score)
        metrics = {"loss_segmentation": loss_seg, "loss_generator": adversarial, **read}
        total = weights.segmentation * loss_seg + weights.adversarial * adversarial
        return total, (updates, metrics)

    gradients, (updates, metrics) = jax.grad(generator_loss, has_aux=True)(
        players(params, "generator"))
    step.collections["generator"] = updates
    _update(step, "generator", gradients, params, opt_state)

    photo, step.collections["generator"] = step.generate(params["generator"], "segmenter")
    photo = jax.lax.stop_gradient(photo)

    def segmenter_loss(own):
        loss, updates, _ = step.segment(own["segmenter"], photo)
        return loss, updates

    gradients, updates = jax.grad(segmenter_loss, has_aux=True)(players(params, "segmenter"))
    step.collections["segmenter"] = updates
    _update(step, "segmenter", gradients, params, opt_state)

    photo, step.collections["generator"] = step.generate(params["generator"], "discriminator")
    gradients, more = _discriminator_gradients(
        step, params, jax.lax.stop_gradient(photo))
    _update(step, "discriminator", gradients, params, opt_state)
    return params, opt_state, metrics | more


def _joint(step: _Step, state: TrainState):
    """G and S from one pass over one sample; D's pass over it serves G's gradient and D's own."""
    params, opt_state, weights = dict(state.params), dict(state.opt_state), step.settings.loss
    photo, generator_pullback, updates = jax.vjp(
        lambda own: step.generate(own, "generator"), params["generator"], has_aux=True)

    def segment(own, x):
        loss, updates, read = step.segment(own, x)
        return loss, (updates, read)

    loss_seg, segment_pullback, (segmenter_updates, read) = jax.vjp(
        segment, params["segmenter"], photo, has_aux=True)
    score, judge_pullback = jax.vjp(
        lambda own, x: step.judge(own, step.augment(x, 1))[0], params["discriminator"], photo)

    adversarial, score_gradient = jax.value_and_grad(losses.nonsaturating_generator)(score)
    fake_loss, fake_gradient = jax.value_and_grad(losses.nonsaturating_fake)(score)
    segmenter_gradients, photo_gradient = segment_pullback(jnp.ones_like(loss_seg))
    _, photo_adversarial = judge_pullback(weights.adversarial * score_gradient)
    (generator_gradients,) = generator_pullback(
        weights.segmentation * photo_gradient + photo_adversarial)
    fake_gradients, _ = judge_pullback(weights.adversarial * fake_gradient)
    gradients, metrics = jax.grad(step.real_loss, has_aux=True)(
        players(params, "discriminator"))
    gradients["discriminator"], r1 = step.with_r1(params["discriminator"], jax.tree.map(
        jnp.add, gradients["discriminator"], fake_gradients))

    step.collections |= {"generator": updates, "segmenter": segmenter_updates}
    _update(step, "generator", {"generator": generator_gradients}, params, opt_state)
    _update(step, "segmenter", {"segmenter": segmenter_gradients}, params, opt_state)
    _update(step, "discriminator", gradients, params, opt_state)
    return params, opt_state, metrics | r1 | {
        "loss_segmentation": loss_seg, "loss_generator": adversarial, **read,
        "loss_fake": weights.adversarial * fake_loss, "score_fake": score.mean(),
        "right_fake": step_metrics.share_right(score, False)}


def estimate_statistics(generator, params: Any, collections: Any, labels: Array, z: Array) -> Any:
    """A generator's own batch statistics and spectral vectors, for weights it was not trained with.

    Args:
      generator: module built with axis_name None.
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
        labels, z, train=True, mutable=["batch_stats", "spectral"])
    # With running statistics of zero an update leaves (1 - momentum) = 0.1 times the batch's.
    statistics = jax.tree.map(lambda leaf: leaf / 0.1, updates["batch_stats"])
    return {**collections, "spectral": updates["spectral"], "batch_stats": statistics}
