"""UPerNet against the published network, and what its reader refuses.

tests/vectors/upernet.npz holds keys and shapes of the published encoder's and decoder's state
dicts, and some of the logits (every third place, every 15th class) and probabilities (behind
resizing to 125 x 67, every tenth of all) of that network for the weights of drawn_weights.py and
the photo below: ResNet-101 and UPerNet of github.com/CSAILVision/semantic-segmentation-pytorch, run
with PyTorch 2.13. "mean" and "classes" are what its evaluation makes of a photo of 45 x 70 at the
shorter sides 40 and 62, the longer one at most 90 (every fourth place and tenth class; every second
place).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.drawn_weights import drawn, error, jit, stored
from usis_jax.evaluation.networks import residual, upernet, upernet_keys
from usis_jax.interop import folding

LIMIT = 1e-4


@functools.cache
def arrays(part):
    return drawn(stored("upernet")[f"{part}_keys"])


@functools.cache
def variables():
    return upernet_keys.variables(arrays("encoder"), arrays("decoder"))


@functools.cache
def logits():
    photo = np.random.RandomState(2).randint(0, 256, (1, 250, 134, 3)).astype(np.uint8)
    return jit(upernet.UPerNet().apply)(variables(), jnp.asarray(photo))


def test_logits_agree_with_the_published_network():
    assert error(logits()[:, ::3, ::3, ::15], stored("upernet")["logits"]) < LIMIT


def test_resized_probabilities_agree_with_the_published_network():
    found = jax.nn.softmax(residual.resize(logits(), 125, 67))
    assert error(found[:, ::10, ::10, ::10], stored("upernet")["probabilities"]) < LIMIT


def test_reading_at_several_sizes_agrees_with_the_published_evaluation():
    photos = np.random.RandomState(3).randint(0, 256, (1, 45, 70, 3)).astype(np.uint8)
    found = upernet.probabilities(variables(), photos, (40, 62), 90)
    assert error(found[:, ::4, ::4, ::10], stored("upernet")["mean"]) < LIMIT
    classes, expected = found.argmax(-1), stored("upernet")["classes"]
    # Rounding may decide where two classes are alike.
    assert (classes[:, ::2, ::2] != expected).mean() < 1e-3 and len(np.unique(expected)) > 5


def test_sizes_are_those_of_the_published_evaluation():
    assert upernet.sizes(256, 256) == [(side, side) for side in (320, 384, 480, 544, 608)]
    assert upernet.sizes(100, 300) == [(320, 928), *[(352, 1024)] * 4]


@pytest.mark.parametrize("part, number", [("encoder", 530), ("decoder", 62)])
def test_every_published_key_is_consumed(part, number):
    needed = {key for key in arrays(part) if not key.endswith(folding.COUNTERS)}
    assert len(needed) == number
    both = {"encoder": arrays("encoder"), "decoder": arrays("decoder")}
    for key in [*sorted(needed)[:: number // 6], max(needed)]:
        less = {k: v for k, v in arrays(part).items() if k != key}
        with pytest.raises(ValueError, match=f"the {part}'s state dict has no '{key}'"):
            upernet_keys.variables(**(both | {part: less}))


def test_reader_gives_the_shapes_that_the_network_has():
    shapes = jax.eval_shape(upernet.UPerNet().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert jax.tree.map(jnp.shape, variables()) == jax.tree.map(jnp.shape, shapes)


def test_other_state_dicts_are_refused():
    encoder, decoder = arrays("encoder"), arrays("decoder")
    with pytest.raises(ValueError, match=r"e\.pth has 1 keys .* such as 'fc\.bias'"):
        upernet_keys.variables(encoder | {"fc.bias": np.zeros(3)}, decoder, ("e.pth", "d.pth"))
    # A counter is passed over only where its batch norm is.
    with pytest.raises(ValueError, match=r"such as 'bn9\.num_batches_tracked'"):
        upernet_keys.variables(encoder | {"bn9.num_batches_tracked": np.zeros(())}, decoder)
    key = "conv_last.1.bias"
    with pytest.raises(ValueError, match=rf"d\.pth: '{key}' has the shape \(21,\)"):
        upernet_keys.variables(encoder, decoder | {key: np.zeros(21)}, ("e.pth", "d.pth"))


def test_grid_cells_overlap_where_sizes_do_not_divide():
    x = jnp.arange(5.0).reshape(1, 5, 1, 1)
    found = upernet.average_grid(jnp.broadcast_to(x, (1, 5, 4, 1)), 2)
    np.testing.assert_allclose(found[0, :, :, 0], [[1, 1], [3, 3]])


def test_photos_are_checked():
    with pytest.raises(ValueError, match=r"must be \[B, H, W, 3\], got \(1, 40, 32, 4\)"):
        upernet.UPerNet().apply(variables(), jnp.zeros((1, 40, 32, 4)))
