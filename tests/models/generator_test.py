import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.wavelet_generator import WaveletGenerator

TINY = {
    "spade": SpadeGenerator(5, width=2, multipliers=(4, 2, 2, 1), z_dim=3, hidden=4),
    "wavelet": WaveletGenerator(5, width=1, multipliers=(4, 2, 1), z_dim=3, hidden=4),
}
both = pytest.mark.parametrize("name", TINY)
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 5, (2, 8, 16)).astype(np.int32)
Z = RANDOM.normal(size=(2, 3)).astype(np.float32)


@functools.cache
def variables(name):
    """Initial variables with kernels large enough for the output to depend on the inputs."""
    initial = jax.jit(TINY[name].init)(jax.random.key(0), LABEL, Z)
    flat = flax.traverse_util.flatten_dict(initial["params"])
    for number, (path, leaf) in enumerate(flat.items()):
        if path[-1] == "kernel" and "conv" not in path[-2]:
            flat[path] = 0.3 * jax.random.normal(jax.random.key(number), leaf.shape)
    return {**initial, "params": flax.traverse_util.unflatten_dict(flat)}


@functools.cache
def compiled(name):
    return jax.jit(TINY[name].apply, static_argnames=("train", "mutable"))


def generate(name, *inputs, **options):
    return compiled(name)(variables(name), *inputs, **options)


@pytest.mark.parametrize(
    "generator, count", [(SpadeGenerator, 71_107_523), (WaveletGenerator, 786_663_564)]
)
def test_full_size_has_the_published_number_of_parameters(generator, count):
    module = generator(35)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros((1, 256, 512), jnp.int32), jnp.zeros((1, 64))
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count
    photo = jax.eval_shape(
        module.apply, shapes, jnp.zeros((2, 256, 512), jnp.int32), jnp.zeros((2, 64))
    )
    assert photo.shape == (2, 256, 512, 3) and photo.dtype == jnp.float32


@both
def test_photos_are_in_range_and_of_the_map_size(name):
    photo = np.asarray(generate(name, LABEL, Z))
    assert photo.shape == (2, 8, 16, 3) and photo.dtype == np.float32
    assert (np.abs(photo) <= 1).all() and photo.std() > 0


@both
def test_noise_constant_over_pixels_equals_one_noise_an_image(name):
    everywhere = np.broadcast_to(Z[:, None, None], (2, 8, 16, 3))
    np.testing.assert_allclose(
        generate(name, LABEL, everywhere), generate(name, LABEL, Z), atol=1e-5
    )


@both
def test_noise_and_map_change_the_photo(name):
    photo = np.asarray(generate(name, LABEL, Z))
    assert np.abs(generate(name, LABEL, -Z) - photo).max() > 1e-3
    assert np.abs(generate(name, LABEL[:, ::-1], Z) - photo).max() > 1e-3


@both
def test_evaluation_generates_each_sample_alone(name):
    np.testing.assert_allclose(
        generate(name, LABEL[:1], Z[:1]), generate(name, LABEL, Z)[:1], atol=1e-5
    )


@both
def test_training_updates_statistics_and_spectral_vectors(name):
    _, updates = generate(name, LABEL, Z, train=True, mutable=("batch_stats", "spectral"))
    for collection in ("batch_stats", "spectral"):
        before = variables(name)[collection]
        assert jax.tree.structure(updates[collection]) == jax.tree.structure(before)
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), updates[collection], before)
        assert any(jax.tree.leaves(changed))


@both
def test_bfloat16_generates_nearly_the_same_as_float32(name):
    half = TINY[name].clone(dtype=jnp.bfloat16)
    photo = jax.jit(half.apply)(variables(name), LABEL, Z)
    assert photo.dtype == jnp.float32
    assert np.abs(photo - generate(name, LABEL, Z)).mean() < 0.03


@both
def test_biases_get_a_gradient_unless_normalisation_takes_them_away(name):
    """Those without a gradient leave the photo as it is when they change, the others do not."""

    def photo(params):
        return TINY[name].apply(
            {**variables(name), "params": params},
            LABEL,
            Z,
            train=True,
            mutable=["batch_stats", "spectral"],
        )[0]

    cotangent = jnp.asarray(RANDOM.normal(size=(2, 8, 16, 3)), jnp.float32)
    evaluate = jax.jit(jax.value_and_grad(lambda params: (photo(params) * cotangent).sum()))
    params = variables(name)["params"]
    value, gradients = evaluate(params)
    flat, slopes = (flax.traverse_util.flatten_dict(tree) for tree in (params, gradients))
    biases = [
        path
        for path in flat
        if path[-1] == "bias" and (path[-2].startswith("conv") or path[-2] == "start")
    ]
    fixed = {path: np.asarray(slopes[path]) == 0 for path in biases}
    assert any(one.any() for one in fixed.values())
    for path, without in fixed.items():
        for which in {True, False} & set(without.tolist()):
            moved = flat | {path: flat[path] + 0.5 * (without == which)}
            difference = abs(evaluate(flax.traverse_util.unflatten_dict(moved))[0] - value)
            assert difference < 1e-3 if which else difference > 1e-3, (path, which)


@pytest.mark.parametrize(
    "name, size",
    [("spade", (6, 16)), ("spade", (8, 14)), ("wavelet", (6, 16)), ("wavelet", (8, 14))],
)
def test_size_off_the_stride_is_an_error(name, size):
    with pytest.raises(ValueError, match=f"label map is {size[0]}x{size[1]}.*multiples of 4"):
        jax.eval_shape(TINY[name].init, jax.random.key(0), jnp.zeros((2, *size), jnp.int32), Z)


@both
@pytest.mark.parametrize("shape", [(2, 4), (1, 3), (2, 8, 8, 3)])
def test_noise_of_another_shape_is_an_error(name, shape):
    with pytest.raises(ValueError, match=r"z has shape .* must be \(2, 3\) or \(2, 8, 16, 3\)"):
        jax.eval_shape(TINY[name].init, jax.random.key(0), LABEL, jnp.zeros(shape))
