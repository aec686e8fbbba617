import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.support import tiny_run
from usis_jax.methods import optimizers, train_state


def test_each_player_has_an_adam_of_its_own_rate():
    settings = tiny_run.settings(
        optimizer={"generator_rate": 0.1, "segmenter_rate": 0.2, "discriminator_rate": 0.3}
    )
    rates = {"generator": 0.1, "segmenter": 0.2, "discriminator": 0.3}
    optimisers = optimizers.optimisers(settings.optimizer)
    assert set(optimisers) == set(rates)
    params = gradients = {"w": jnp.array([2.0, -5.0])}
    for player, rate in rates.items():
        updates, _ = optimisers[player].update(gradients, optimisers[player].init(params), params)
        np.testing.assert_allclose(updates["w"], [-rate, rate], rtol=1e-5)


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_adam_agrees_with_its_formula(beta1):
    settings = tiny_run.settings(optimizer={"generator_rate": 0.01, "beta1": beta1, "beta2": 0.9})
    adam = optimizers.optimisers(settings.optimizer)["generator"]
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    params = jnp.asarray(w, jnp.float32)
    memory = adam.init(params)
    for step in range(1, 5):
        g = np.array([0.3, -1.0, 0.01]) * step
        m, v = beta1 * m + (1 - beta1) * g, 0.9 * v + 0.1 * g**2
        w = w - 0.01 * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - 0.9**step)) + 1e-8)
        updates, memory = adam.update(jnp.asarray(g, jnp.float32), memory, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, w, rtol=1e-5)


def test_first_moment_is_kept_only_where_it_is_more_than_the_gradient():
    params = {"w": jnp.zeros(3)}
    for beta1, kept in ((0.0, 1), (0.5, 2)):
        settings = tiny_run.settings(optimizer={"beta1": beta1})
        for optimiser in optimizers.optimisers(settings.optimizer).values():
            arrays = [leaf for leaf in jax.tree.leaves(optimiser.init(params)) if leaf.ndim]
            assert len(arrays) == kept


def test_moving_average_follows_its_formula_and_warms_up():
    average, params = {"w": jnp.array([1.0, 0.0])}, {"w": jnp.array([0.0, 2.0])}
    for step, rate in ((0, 0.1), (8, 0.5), (10**6, 0.9)):
        new = optimizers.moving_average(average, params, jnp.int32(step), 0.9)
        np.testing.assert_allclose(new["w"], [rate, 2.0 * (1 - rate)], rtol=1e-6)


def test_decoder_belongs_to_the_discriminator():
    params = {"generator": 1, "segmenter": 2, "discriminator": 3, "decoder": 4}
    assert train_state.players(params, "discriminator") == {"discriminator": 3, "decoder": 4}
    assert train_state.players(params, "generator") == {"generator": 1}
    del params["decoder"]
    assert train_state.players(params, "discriminator") == {"discriminator": 3}


def test_warmup_scales_linearly_and_ends_at_one():
    shares = [float(optimizers.warmup(jnp.int32(step), 4)) for step in (0, 1, 3, 4, 100)]
    assert shares == [0.25, 0.5, 1.0, 1.0, 1.0]
