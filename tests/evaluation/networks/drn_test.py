"""DRN-D-105 against the published network, and what its reader refuses.

tests/vectors/drn.npz holds keys and shapes of the published network's state dict, and what it gives
for the weights of drawn_weights.py: `small`, all logits of the photo drawn below; `log`, every 5th
row and column of its enlarged log shares; `multi`, the same of the multi-scale test's sum for the
photo `photo`. DRNSeg("drn_d_105", 19) and test_ms of github.com/fyu/drn, run with PyTorch 2.13.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.drawn_weights import drawn, error, jit, stored
from usis_jax.evaluation.networks import drn, drn_keys

LIMIT = 1e-4


@functools.cache
def arrays():
    return drawn(stored("drn")["keys"])


@functools.cache
def variables():
    return drn_keys.variables(arrays())


@functools.cache
def log_shares():
    return functools.partial(
        jit(lambda loaded, x: jax.nn.log_softmax(drn.Drn().apply(loaded, x))), variables()
    )


def photo():
    return np.random.RandomState(1).randint(0, 256, (1, 72, 40, 3)).astype(np.float32)


def test_logits_agree_with_the_published_network():
    found = jit(drn.Drn(enlarged=False).apply)(variables(), photo())
    assert error(found, stored("drn")["small"]) < LIMIT


def test_enlarged_log_shares_agree_with_the_published_network():
    found = log_shares()(photo())
    assert found.shape == (1, 72, 40, 19)
    assert error(found[:, ::5, ::5], stored("drn")["log"]) < LIMIT


@pytest.mark.slow
def test_sum_of_six_scales_agrees_with_the_published_test():
    assert stored("drn")["photo"].dtype == np.uint8
    found = drn.read_scales(log_shares(), stored("drn")["photo"])
    assert error(found[:, ::5, ::5], stored("drn")["multi"]) < LIMIT


def test_every_published_key_is_consumed():
    needed = {key for key in arrays() if not key.endswith("num_batches_tracked")}
    assert len(needed) == 543
    for key in [*sorted(needed)[::60], "up.weight", "seg.bias"]:
        with pytest.raises(ValueError, match=f"no '{key}'"):
            drn_keys.variables({k: v for k, v in arrays().items() if k != key})


def test_reader_gives_the_shapes_that_the_network_has():
    shapes = jax.eval_shape(drn.Drn().init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    assert jax.tree.map(jnp.shape, variables()) == jax.tree.map(jnp.shape, shapes)


def test_other_state_dicts_are_refused():
    with pytest.raises(ValueError, match=r"1 keys .* such as 'fc\.bias'"):
        drn_keys.variables(arrays() | {"fc.bias": np.zeros(3)})
    with pytest.raises(ValueError, match=r"a\.pth: 'seg\.weight' has the shape \(11, 512, 1, 1\)"):
        drn_keys.variables(arrays() | {"seg.weight": arrays()["seg.weight"][:11]}, "a.pth")


def test_photos_are_checked():
    with pytest.raises(ValueError, match=r"must be \[B, H, W, 3\], got \(1, 16, 16, 4\)"):
        drn.Drn().apply(variables(), jnp.zeros((1, 16, 16, 4)))
