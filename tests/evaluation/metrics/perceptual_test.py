"""Learned perceptual distances against the published code, and what their readers refuse.

tests/vectors/perceptual.npz holds keys and shapes of the published networks, and for the weights of
drawn_weights.py (heads made positive) and the photos below: the distances of all three pairs, and
every 16th feature of the last level, of unit length; made with stlpips-pytorch 0.0.2 and lpips
0.1.4 on PyTorch 2.13. "..._published" are distances by the weights of stlpips-pytorch themselves.
"""

import functools
import hashlib

import jax
import numpy as np
import pytest

from tests.support.drawn_weights import drawn, error, jit, stored
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.evaluation.metrics import perceptual
from usis_jax.evaluation.networks import perceptual as network
from usis_jax.evaluation.networks import perceptual_keys
from usis_jax.interop import files

LIMIT = 1e-4
KINDS = [(trunk, tolerant) for trunk in ("vgg16", "alexnet") for tolerant in (True, False)]


def photos():
    found = np.random.RandomState(1).randint(0, 256, (3, 64, 75, 3)).astype(np.uint8)
    found[1] = found[0] // 4 * 3 + np.random.RandomState(2).randint(0, 64, (64, 75, 3))
    found[2] = np.add.outer(2 * np.arange(64), np.arange(75))[..., None] % 256
    return found


def prefix(trunk, tolerant):
    return f"st_{trunk}" if tolerant else trunk


@functools.cache
def arrays(trunk, tolerant):
    """Drawn weights, but for what the published file holds as constants."""
    found = drawn(stored("perceptual")[f"{prefix(trunk, tolerant)}_keys"])
    for key, value in found.items():
        if key.startswith("lin"):
            found[key] = np.abs(value)
        elif key.endswith("filt"):
            found[key] = np.broadcast_to(
                np.float32(np.outer([1, 2, 1], [1, 2, 1])) / 16, value.shape
            )
        elif key.startswith("scaling"):
            constant = network.SHIFT if key.endswith("shift") else network.SCALE
            found[key] = np.float32(constant).reshape(1, 3, 1, 1)
    return found


def read(trunk, tolerant, found):
    if tolerant:
        return perceptual_keys.tolerant(found, trunk)
    heads = {key: value for key, value in found.items() if key.startswith("lin")}
    rest = {key: value for key, value in found.items() if key not in heads}
    # What follows torchvision's features is there and not used.
    return perceptual_keys.original(rest | {"classifier.1.weight": np.zeros(2)}, heads, trunk)


@pytest.mark.parametrize(("trunk", "tolerant"), KINDS)
def test_features_and_distances_agree_with_the_published_code(trunk, tolerant):
    variables, heads = read(trunk, tolerant, arrays(trunk, tolerant))
    expected, name = stored("perceptual"), prefix(trunk, tolerant)
    found = jit(network.Perceptual(trunk, tolerant).apply)(
        variables, photos().astype(np.float32) / 127.5 - 1
    )
    assert error(np.asarray(found[-1])[..., ::16], expected[f"{name}_features"]) < LIMIT
    table = np.asarray(network.distances(found, heads))
    np.testing.assert_allclose(table[np.triu_indices(3, 1)], expected[f"{name}_drawn"], rtol=LIMIT)
    np.testing.assert_allclose(table, table.T, rtol=1e-6)
    np.testing.assert_array_equal(np.diag(table), 0)


@pytest.mark.parametrize("name", ["st-lpips-vgg16", "st-lpips-alexnet"])
def test_distances_by_published_weights_agree_with_the_published_code(name):
    if not pretrained_weights.are_there(name):
        pytest.skip(f"the published weights are not in the cache; usis get-weights {name}")
    found = perceptual.load(name).pairs(photos())
    expected = stored("perceptual")[f"{name.replace('-lpips-', '_')}_published"]
    np.testing.assert_allclose(found, expected, rtol=LIMIT)


@pytest.mark.parametrize(("trunk", "tolerant"), KINDS)
def test_every_published_key_is_consumed(trunk, tolerant):
    found = arrays(trunk, tolerant)
    assert (
        len(found)
        == {
            ("vgg16", True): 37,
            ("alexnet", True): 20,
            ("vgg16", False): 31,
            ("alexnet", False): 15,
        }[trunk, tolerant]
    )
    for key in list(found)[::5]:
        with pytest.raises(ValueError, match=f"no '{key}'"):
            read(trunk, tolerant, {k: v for k, v in found.items() if k != key})


def test_other_files_are_refused():
    found = arrays("alexnet", True)
    with pytest.raises(ValueError, match=r"1 keys that the network has not, such as 'more'"):
        read("alexnet", True, found | {"more": np.zeros(1)})
    with pytest.raises(ValueError, match=r"'scaling_layer.shift' is not the constant"):
        read("alexnet", True, found | {"scaling_layer.shift": np.ones((1, 3, 1, 1), np.float32)})
    with pytest.raises(ValueError, match=r"'features.0.weight' has the shape"):
        read("vgg16", False, arrays("vgg16", False) | {"features.0.weight": np.zeros((64, 3))})


def measure(trunk="alexnet", tolerant=True):
    variables, heads = read(trunk, tolerant, arrays(trunk, tolerant))
    return perceptual.Perceptual("some name", trunk, tolerant, variables, heads, ("0" * 64,))


def test_pairs_are_those_of_all_photos_at_once_whatever_the_batch():
    given = np.concatenate([photos(), photos()[:, ::-1]])
    found = measure().pairs(given)
    assert found.shape == (15,) and (found > 0).all()
    few = measure().pairs(given[[4, 1]])
    np.testing.assert_allclose(few, found[[7]], rtol=1e-5)


def test_original_lpips_is_read_from_the_files_of_its_trunk_and_its_heads(tmp_path, monkeypatch):
    found = arrays("alexnet", False)
    heads = {key: value for key, value in found.items() if key.startswith("lin")}
    trunk = {key: value for key, value in found.items() if key not in heads}
    for network_name, content in (("alexnet", trunk), ("lpips-alexnet", heads)):
        (known,) = pretrained_weights.KNOWN[network_name]
        files.write(tmp_path / known.name, content)
        data = (tmp_path / known.name).read_bytes()
        monkeypatch.setitem(
            pretrained_weights.KNOWN,
            network_name,
            (known._replace(size=len(data), sha256=hashlib.sha256(data).hexdigest()),),
        )
    monkeypatch.setenv("USIS_CACHE", str(tmp_path))
    assert perceptual.in_cache() == ["lpips-alexnet"]
    loaded = perceptual.load("lpips-alexnet")
    np.testing.assert_allclose(
        loaded.pairs(photos()), stored("perceptual")["alexnet_drawn"], rtol=LIMIT
    )
    assert loaded.name.startswith("LPIPS AlexNet (") and loaded.name.count(",") == 1
    (tmp_path / pretrained_weights.KNOWN["alexnet"][0].name).unlink()
    assert perceptual.in_cache() == []
    with pytest.raises(ValueError, match="no weights of alexnet; download https://"):
        perceptual.load("lpips-alexnet")


def test_equal_photos_have_distance_0_and_noise_is_the_most_diverse():
    same = np.stack([photos()[0]] * 4)
    np.testing.assert_allclose(measure().pairs(same), 0, atol=1e-9)
    random = np.random.default_rng(0)
    faint = np.clip(same + random.normal(0, 8, same.shape), 0, 255).astype(np.uint8)
    strong = random.integers(0, 256, same.shape, dtype=np.uint8)
    assert measure().pairs(faint).mean() < 0.5 * measure().pairs(strong).mean()


@pytest.mark.parametrize(("trunk", "tolerant"), KINDS)
def test_smallest_photos_still_have_a_place_at_every_level(trunk, tolerant):
    side, net = network.smallest(trunk, tolerant), network.Perceptual(trunk, tolerant)
    variables, _ = read(trunk, tolerant, arrays(trunk, tolerant))
    shapes = jax.eval_shape(net.apply, variables, np.zeros((1, side, side, 3), np.float32))
    assert all(min(level.shape) > 0 for level in shapes)
    with pytest.raises(ValueError, match=f"some name needs photos of at least {side} pixels"):
        measure(trunk, tolerant).pairs(np.zeros((2, side - 1, 100, 3), np.uint8))


def test_bad_use_is_named():
    with pytest.raises(ValueError, match="it must be one of st-lpips-vgg16, st-lpips-alexnet"):
        perceptual.load("lpips")
    with pytest.raises(ValueError, match="2 or more to compare"):
        measure().pairs(photos()[:1])
    with pytest.raises(ValueError, match="uint8"):
        measure().pairs(photos().astype(np.float32))
