import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.models.generator import SpadeGenerator

TINY = SpadeGenerator(5, width=2, multipliers=(4, 2, 2, 1), z_dim=3, hidden=4)
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 5, (2, 8, 16)).astype(np.int32)
Z = RANDOM.normal(size=(2, 3)).astype(np.float32)


@functools.cache
def variables():
    """Initial variables with kernels large enough for the output to depend on the inputs."""
    initial = jax.jit(TINY.init)(jax.random.key(0), LABEL, Z)
    flat = flax.traverse_util.flatten_dict(initial["params"])
    for number, (path, leaf) in enumerate(flat.items()):
        if path[-1] == "kernel" and "conv" not in path[-2]:
            flat[path] = 0.3 * jax.random.normal(jax.random.key(number), leaf.shape)
    return {**initial, "params": flax.traverse_util.unflatten_dict(flat)}


paint = jax.jit(TINY.apply, static_argnames=("train", "mutable"))


def test_full_size_has_the_published_number_of_parameters():
    module = SpadeGenerator(35)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 256, 512), jnp.int32),
                            jnp.zeros((1, 64)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 71_107_523
    photo = jax.eval_shape(module.apply, shapes, jnp.zeros((2, 256, 512), jnp.int32),
                           jnp.zeros((2, 64)))
    assert photo.shape == (2, 256, 512, 3) and photo.dtype == jnp.float32


def test_photos_are_in_range_and_of_the_map_size():
    photo = np.asarray(paint(variables(), LABEL, Z))
    assert photo.shape == (2, 8, 16, 3) and photo.dtype == np.float32
    assert (np.abs(photo) <= 1).all() and photo.std() > 0


def test_noise_constant_over_pixels_equals_one_noise_an_image():
    everywhere = np.broadcast_to(Z[:, None, None], (2, 8, 16, 3))
    np.testing.assert_allclose(paint(variables(), LABEL, everywhere), paint(variables(), LABEL, Z),
                               atol=1e-5)


def test_noise_and_map_change_the_photo():
    photo = np.asarray(paint(variables(), LABEL, Z))
    assert np.abs(paint(variables(), LABEL, -Z) - photo).max() > 1e-3
    assert np.abs(paint(variables(), LABEL[:, ::-1], Z) - photo).max() > 1e-3


def test_evaluation_paints_each_sample_alone():
    np.testing.assert_allclose(
        paint(variables(), LABEL[:1], Z[:1]), paint(variables(), LABEL, Z)[:1], atol=1e-5)


def test_training_updates_statistics_and_spectral_vectors():
    _, updates = paint(variables(), LABEL, Z, train=True, mutable=("batch_stats", "spectral"))
    for name in ("batch_stats", "spectral"):
        before = variables()[name]
        assert jax.tree.structure(updates[name]) == jax.tree.structure(before)
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), updates[name], before)
        assert any(jax.tree.leaves(changed))


def test_bfloat16_paints_nearly_the_same_as_float32():
    half = TINY.clone(dtype=jnp.bfloat16)
    photo = jax.jit(half.apply)(variables(), LABEL, Z)
    assert photo.dtype == jnp.float32
    assert np.abs(photo - paint(variables(), LABEL, Z)).mean() < 0.03


@pytest.mark.parametrize("size", [(6, 16), (8, 14)])
def test_size_off_the_stride_is_an_error(size):
    with pytest.raises(ValueError, match=f"label map is {size[0]}x{size[1]}.*multiples of 4"):
        jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros((2, *size), jnp.int32), Z)


@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (2, 8, 8, 3)])
def test_noise_of_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match=r"z has shape .* must be \(2, 3\) or \(2, 8, 16, 3\)"):
        jax.eval_shape(TINY.init, jax.random.key(0), LABEL, jnp.zeros(shape))
