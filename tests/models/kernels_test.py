import flax
import jax
import numpy as np
import pytest

from tests.support import tiny_step
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.wavelet_generator import WaveletGenerator
from usis_jax.ops.cpu import label_area_conv


def taken(settings):
    """The gradients of a step with the R1 penalty."""
    after, _ = tiny_step.run(settings, 1, 1)
    return tiny_step.gradients(after)


@pytest.mark.parametrize("networks", [
    ("spade", "wavelet", "wavelet_upsample", "joint"),
    ("wavelet", "whole", "none", "alternating")])
def test_step_with_fast_paths_takes_the_plain_gradients(networks):
    fast, plain = (taken(tiny_step.combination(*networks, fast_paths=choice))
                   for choice in (True, False))
    for player, gradients in plain.items():
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients))
        assert scale > 0
        jax.tree.map(lambda a, b, scale=scale: np.testing.assert_allclose(
            a, b, atol=1e-4 * scale), fast[player], gradients)


@pytest.mark.parametrize("generator", [SpadeGenerator, WaveletGenerator])
@pytest.mark.parametrize("batch", [1, 2])
def test_painting_with_fast_paths_paints_the_plain_photo(monkeypatch, generator, batch):
    """On a map with areas of one class, which are computed once."""
    monkeypatch.setattr(label_area_conv, "SMALLEST", 1)
    random = np.random.default_rng(0)
    label = random.integers(0, 5, (batch, 4, 8)).repeat(12, 1).repeat(8, 2).astype(np.int32)
    z = random.normal(size=(batch, 3)).astype(np.float32)
    fast = generator(5, width=2, multipliers=(2, 1), z_dim=3, hidden=4)
    variables = jax.jit(fast.init)(jax.random.key(0), label, z)
    # Kernels large enough for the photo to depend on the map; spectral norm scales the others.
    flat = flax.traverse_util.flatten_dict(variables["params"])
    flat = {path: leaf if path[-1] == "bias" or "conv" in path[-2]
            else 0.2 * random.normal(size=leaf.shape).astype(np.float32)
            for path, leaf in flat.items()}
    variables = {**variables, "params": flax.traverse_util.unflatten_dict(flat)}
    photo, plain = (jax.jit(network.apply)(variables, label, z)
                    for network in (fast, fast.clone(fast_paths=False)))
    assert np.std(plain) > 0.05
    np.testing.assert_allclose(photo, plain, atol=1e-4)
