import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import tiny_step
from usis_jax import methods
from usis_jax.distributed import mesh
from usis_jax.methods import losses
from usis_jax.models import registry
from usis_jax.ops.augment import augment

RULES = ("joint", "alternating")
PLAYERS = {
    "generator": ("generator",),
    "segmenter": ("segmenter",),
    "discriminator": ("discriminator", "decoder"),
}


def close(a, b, limit=1e-4):
    """Whether two trees agree, relative to the largest entry of the second."""
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(b))
    assert scale > 0
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=limit * scale), a, b)


class Written:
    """The losses as the paper writes them, of one batch on one device."""

    def __init__(self, rule):
        self.settings = tiny_step.settings(rule)
        self.state, batch = tiny_step.created(self.settings), tiny_step.batch(0)
        self.networks = registry.build(self.settings, tiny_step.CLASSES, axis_name=None)
        self.label, self.photo = batch["label"], batch["photo"].astype(np.float32) / 127.5 - 1
        key = jax.random.fold_in(jax.random.wrap_key_data(self.state.key), 0)
        self.keys = jax.random.split(key, 4)

    def each(self, key):
        return jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(tiny_step.BATCH))

    def generate(self, params, collections, player):
        z = jax.vmap(lambda key: jax.random.normal(key, (4,)))(self.each(self.keys[player]))
        return self.networks.generator.apply(
            {"params": params, **collections},
            self.label,
            z,
            train=True,
            mutable=["batch_stats", "spectral"],
        )

    def seen(self, photo, purpose):
        keys = self.each(jax.random.fold_in(self.keys[3], purpose))
        return augment(photo, keys, ("color", "translation", "cutout"))

    def segmentation(self, params, photo):
        logits, _ = self.networks.segmenter.apply(
            {"params": params, **self.state.collections["segmenter"]},
            photo,
            train=True,
            mutable=["spectral"],
        )
        return losses.balanced_cross_entropy(logits, self.label, void=tiny_step.VOID)

    def score(self, params, photo):
        return self.networks.discriminator.apply({"params": params}, photo)

    def generator(self, params, others, collections, purpose):
        photo, _ = self.generate(params, collections, 0)
        score = self.score(others["discriminator"], self.seen(photo, purpose))[0]
        adversarial = jnp.log1p(jnp.exp(-score)).mean()
        return self.segmentation(others["segmenter"], photo) + adversarial

    def discriminator(self, params, fake):
        real = self.seen(self.photo, 0)
        score, features = self.score(params["discriminator"], real)
        loss = jnp.log1p(jnp.exp(-score)).mean()
        fake_score, _ = self.score(params["discriminator"], self.seen(fake, 1))
        loss += jnp.log1p(jnp.exp(fake_score)).mean()
        decoded = self.networks.decoder.apply({"params": params["decoder"]}, features)
        loss += jnp.abs(decoded - real).mean()
        slope = jax.grad(lambda x: self.score(params["discriminator"], x)[0].sum())(real)
        penalty = jnp.square(slope).sum(axis=(1, 2, 3)).mean()
        return loss + 1.0 / 2 * 2 * penalty  # gamma / 2 times the interval


@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_those_of_the_written_losses(rule):
    after, _ = tiny_step.run(tiny_step.settings(rule), 1, 1)
    written = Written(rule)
    before = written.state.params
    moved = after.params["generator"]

    @jax.jit
    def gradients(params, moved):
        collections = written.state.collections["generator"]
        purpose = 1 if rule == "joint" else 2
        generator = jax.grad(written.generator)(params["generator"], params, collections, purpose)
        fake, collections = written.generate(params["generator"], collections, 0)
        read = measured = fake
        if rule == "alternating":  # fresh samples of the generator that has just moved
            read, collections = written.generate(moved, collections, 1)
            measured, _ = written.generate(moved, collections, 2)
        segmenter = jax.grad(written.segmentation)(params["segmenter"], read)
        own = {name: params[name] for name in PLAYERS["discriminator"]}
        return generator, segmenter, jax.grad(written.discriminator)(own, measured)

    generator, segmenter, discriminator = gradients(before, moved)
    taken = tiny_step.gradients(after)
    close(taken["generator"]["generator"], generator)
    close(taken["segmenter"]["segmenter"], segmenter)
    close(taken["discriminator"], discriminator)


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_each_update_changes_its_own_players_parameters_only(rule, player):
    settings = tiny_step.settings(rule)
    before = tiny_step.created(settings)
    # A player whose Adam has seen huge gradients stands still.
    opt_state = {
        name: memory
        if name == player
        else (
            memory[0]._replace(
                nu=jax.tree.map(lambda leaf: np.full_like(leaf, 1e38), memory[0].nu)
            ),
            *memory[1:],
        )
        for name, memory in before.opt_state.items()
    }
    after, _ = tiny_step.run(settings, 1, 1, before.replace(opt_state=opt_state))
    for name, params in before.params.items():
        same = jax.tree.map(np.array_equal, params, after.params[name])
        assert all(jax.tree.leaves(same)) == (name not in PLAYERS[player]), name


@pytest.mark.parametrize("rule", RULES)
def test_step_counts_and_averages_the_generator(rule):
    settings = tiny_step.settings(rule)
    before, (after, metrics) = tiny_step.created(settings), tiny_step.run(settings, 1, 1)
    assert after.step == 1
    np.testing.assert_array_equal(after.key, before.key)
    expected = jax.tree.map(  # warm-up: a tenth of the old average in the first step
        lambda a, p: 0.1 * a + 0.9 * p, before.ema_params, after.params["generator"]
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.ema_params, expected
    )
    assert all(np.isfinite(value) for value in metrics[0].values())
    assert {
        "loss_segmentation",
        "loss_generator",
        "loss_real",
        "loss_fake",
        "r1",
        "loss_reconstruction",
        "pixel_accuracy",
    } <= set(metrics[0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "changes", [{"decoder": {"name": "none"}}, {"compute_dtype": "bfloat16"}], ids=str
)
def test_step_keeps_the_form_of_the_state(rule, changes):
    settings = tiny_step.settings(rule, **changes)
    _, step = tiny_step.mapped_step(settings, 1)
    state = tiny_step.created(tiny_step.settings(rule))
    if "decoder" in changes:
        state = tiny_step.created(settings)
    after, metrics = jax.eval_shape(step, state, tiny_step.batch(0))
    form = functools.partial(jax.tree.map, lambda leaf: (leaf.shape, leaf.dtype))
    assert form(after) == form(state)
    assert all(value.dtype == jnp.float32 for value in metrics.values())


@pytest.mark.parametrize("rule", RULES)
def test_step_between_two_penalties_is_one_without(rule):
    settings = tiny_step.settings(rule)
    start = tiny_step.created(settings).replace(step=np.int32(1))
    between, (metrics,) = tiny_step.run(settings, 1, 1, start)
    never, (others,) = tiny_step.run(dataclasses.replace(settings, r1_interval=0), 1, 1, start)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), between.params, never.params
    )
    assert metrics["r1"] == 0 and "r1" not in others
    method = methods.get("usis")
    assert ["r1" in method.measured(settings, number, metrics) for number in range(4)] == [
        True,
        False,
        True,
        False,
    ]
    assert set(method.measured(settings, 1, metrics)) == set(others)


@pytest.mark.parametrize("rule", RULES)
def test_step_leaves_what_it_is_given_as_it_is_and_its_metrics_are_the_methods(rule):
    settings, method = tiny_step.settings(rule), methods.get("usis")
    networks = method.networks(settings, tiny_step.CLASSES)
    seen = []

    def step(state, batch):
        before = jax.tree.leaves((state, batch))
        result = method.step(
            state, batch, settings=settings, networks=networks, void=tiny_step.VOID
        )
        same = zip(before, jax.tree.leaves((state, batch)), strict=True)
        seen.append(all(a is b for a, b in same))
        return result

    runner = mesh.Runner(devices=jax.devices()[:1])
    _, metrics = jax.eval_shape(runner.map(step), tiny_step.created(settings), tiny_step.batch(0))
    assert seen == [True]
    assert set(metrics) == {metric.name for metric in method.metrics}
    assert all(metric.meaning for metric in method.metrics)
    assert {name for chart in method.charts for name, _ in chart.curves} <= set(metrics)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.slow
def test_warmup_shortens_the_discriminators_first_step_only(rule):
    settings = tiny_step.settings(rule)
    rates = dataclasses.replace(settings.optimizer, discriminator_warmup=4)
    start = tiny_step.created(settings).params
    full, _ = tiny_step.run(settings, 1, 1)
    short, _ = tiny_step.run(dataclasses.replace(settings, optimizer=rates), 1, 1)
    for player, share in (("generator", 1), ("segmenter", 1), ("discriminator", 4)):
        jax.tree.map(
            lambda a, f, s, share=share: np.testing.assert_allclose(
                share * (s - a), f - a, atol=4e-6
            ),
            start[player],
            full.params[player],
            short.params[player],
        )
