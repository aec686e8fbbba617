import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.models.segmenter import Segmenter

TINY = Segmenter(5, down=(4, 6), up=(6, 4))
PHOTO = np.random.default_rng(0).uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(TINY.init)(jax.random.key(0), PHOTO)


def test_full_size_has_the_published_number_of_parameters():
    module, photo = Segmenter(35), jnp.zeros((1, 256, 512, 3))
    shapes = jax.eval_shape(module.init, jax.random.key(0), photo)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 22_251_364
    assert jax.eval_shape(module.apply, shapes, photo).shape == (1, 256, 512, 36)


def test_logits_have_one_channel_more_than_classes(variables):
    logits = jax.jit(TINY.apply)(variables, PHOTO)
    assert logits.shape == (2, 8, 12, 6) and logits.dtype == jnp.float32


def test_photos_are_read_one_by_one(variables):
    read = jax.jit(TINY.apply)
    np.testing.assert_allclose(read(variables, PHOTO[1:]), read(variables, PHOTO)[1:], atol=1e-5)


def test_training_iterates_the_spectral_vectors_only(variables):
    _, updates = TINY.apply(variables, PHOTO, train=True, mutable=True)
    assert set(updates) == {"params", "spectral"}
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), updates, dict(variables))
    assert all(conv["u"] for block in changed["spectral"].values() for conv in block.values())
    assert not any(jax.tree.leaves(changed["params"]))


def test_bfloat16_returns_float32_logits(variables):
    logits = jax.jit(TINY.clone(dtype=jnp.bfloat16).apply)(variables, PHOTO)
    assert logits.dtype == jnp.float32
    reference = np.asarray(jax.jit(TINY.apply)(variables, PHOTO))
    np.testing.assert_allclose(logits, reference, atol=0.05 * np.abs(reference).max() + 1e-6)


@pytest.mark.parametrize("size", [(6, 12), (8, 10)])
def test_size_off_the_stride_is_an_error(size):
    with pytest.raises(ValueError, match=f"photo is {size[0]}x{size[1]}.*multiples of 4"):
        jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros((1, *size, 3)))
