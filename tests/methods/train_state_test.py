import jax
import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.methods import train_state

DECODER = {"name": "wavelet_upsample", "width_max": 8}
SETTINGS = tiny_run.settings(decoder=DECODER)


@pytest.fixture(scope="module")
def created():
    return train_state.create(SETTINGS, 4)


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


def test_state_starts_at_step_zero_with_every_network(created):
    assert created.step == 0
    assert set(created.params) == {"generator", "segmenter", "discriminator", "decoder"}
    assert set(created.opt_state) == {"generator", "segmenter", "discriminator"}
    assert {name: set(tree) for name, tree in created.collections.items()} == {
        "generator": {"batch_stats", "spectral"},
        "segmenter": {"spectral"},
    }


def test_moving_average_starts_as_a_copy(created):
    assert equal(created.ema_params, created.params["generator"])
    assert equal(created.ema_collections, created.collections["generator"])
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(created)]
    assert len(set(pointers)) == len(pointers)  # nothing shared: the state can be donated


def test_state_is_a_function_of_the_seed(created):
    assert equal(train_state.create(SETTINGS, 4), created)
    other = train_state.create(tiny_run.settings(seed=1, decoder=DECODER), 4)
    assert not np.array_equal(other.key, created.key)
    assert not equal(other.params["discriminator"], created.params["discriminator"])


def test_optimiser_of_each_player_holds_its_own_networks_only(created):
    for player, memory in created.opt_state.items():
        own = {"discriminator": {"discriminator", "decoder"}}.get(player, {player})
        assert set(memory[0].nu) == own


def test_without_a_decoder_there_are_no_decoder_parameters():
    shapes = train_state.shapes(tiny_run.settings(decoder={"name": "none"}), 4)
    assert "decoder" not in shapes.params
    assert set(shapes.opt_state["discriminator"][0].nu) == {"discriminator"}
