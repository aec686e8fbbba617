"""DeepLab v2 against the published network, and what its reader refuses.

tests/vectors/deeplab.npz holds keys and shapes of the published network's state dict, and every
13th (of one scale alone: every 26th) logit of it for the weights of drawn_weights.py and the photo
below: DeepLabV2_ResNet101_MSC of github.com/kazuto1011/deeplab-pytorch, run with PyTorch 2.13;
and the classes of every second pixel in every second row, found as its evaluation finds them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.drawn_weights import drawn, error, jit, stored
from usis_jax.evaluation.networks import deeplab, deeplab_keys

LIMIT = 1e-4


@functools.cache
def arrays():
    return drawn(stored("deeplab")["keys"])


@functools.cache
def variables():
    return deeplab_keys.variables(arrays())


def test_logits_agree_with_the_published_network():
    # Odd sides, of which the smaller scales take the whole part; 26 rows reach every dilation.
    photo = np.random.RandomState(1).randint(0, 256, (1, 205, 49, 3)).astype(np.uint8)
    found = jit(deeplab.DeepLab().apply)(variables(), jnp.asarray(photo))
    assert error(found[..., ::13], stored("deeplab")["logits"]) < LIMIT


def test_one_scale_agrees_with_the_published_network():
    photo = np.random.RandomState(1).randint(0, 256, (1, 205, 49, 3))
    x = np.float32((photo - np.array(deeplab.MEAN))[..., ::-1])
    params = {"params": variables()["params"]["base"]}
    found = jit(deeplab.SingleScale().apply)(params, x)
    assert error(found[..., ::26], stored("deeplab")["single"]) < LIMIT


def test_classes_agree_with_the_published_evaluation():
    photo = np.random.RandomState(1).randint(0, 256, (1, 205, 49, 3)).astype(np.uint8)
    found, expected = deeplab.read(variables(), photo), stored("deeplab")["classes"]
    assert found.shape == photo.shape[:3] and len(np.unique(expected)) > 15
    # Rounding may decide where two classes are alike.
    assert (found[:, ::2, ::2] != expected).mean() < 1e-3


def test_every_published_key_is_consumed():
    needed = {key for key in arrays() if not key.endswith("num_batches_tracked")}
    assert len(needed) == 528
    for key in [*sorted(needed)[::60], max(needed)]:
        with pytest.raises(ValueError, match=f"no '{key}'"):
            deeplab_keys.variables({k: v for k, v in arrays().items() if k != key})


def test_reader_gives_the_shapes_that_the_network_has():
    shapes = jax.eval_shape(deeplab.DeepLab().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert jax.tree.map(jnp.shape, variables()) == jax.tree.map(jnp.shape, shapes)


def test_other_state_dicts_are_refused():
    with pytest.raises(ValueError, match=r"1 keys .* such as 'base\.fc\.bias'"):
        deeplab_keys.variables(arrays() | {"base.fc.bias": np.zeros(3)})
    key = "base.aspp.c3.weight"
    with pytest.raises(ValueError, match=rf"a\.pth: '{key}' has the shape \(21, 2048, 3, 3\)"):
        deeplab_keys.variables(arrays() | {key: arrays()[key][:21]}, "a.pth")


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="sides of 32 or more"):
        deeplab.DeepLab().apply(variables(), jnp.zeros((1, 40, 31, 3)))
