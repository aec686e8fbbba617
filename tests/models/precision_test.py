"""With compute_dtype=bfloat16 the networks' arithmetic is bfloat16 and nothing else is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import tiny_step
from usis_jax.layers.spade import Spade
from usis_jax.layers.spectral import SpectralConv
from usis_jax.methods import usis
from usis_jax.models.decoder import instance_norm
from usis_jax.models.discriminator import WaveletDiscriminator


def in_bfloat16(settings):
    return dataclasses.replace(settings, compute_dtype="bfloat16")


@pytest.mark.parametrize("update", ["joint", "alternating"])
@pytest.mark.slow
def test_state_stays_float32_and_losses_stay_near(update):
    settings = tiny_step.settings(update)
    wide, wide_metrics = tiny_step.run(settings, 1, 1)
    narrow, narrow_metrics = tiny_step.run(in_bfloat16(settings), 1, 1)
    assert jax.tree.structure(wide) == jax.tree.structure(narrow)
    for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True):
        assert a.dtype == b.dtype and b.dtype in (np.float32, np.int32, np.uint32)
    for name, value in narrow_metrics[0].items():
        assert value.dtype == np.float32
        if name != "pixel_accuracy":
            np.testing.assert_allclose(value, wide_metrics[0][name], rtol=0.1, atol=0.02)


def jaxpr_of_step(settings):
    from usis_jax.distributed.mesh import Runner
    from usis_jax.models import registry
    from usis_jax.ops import kernels

    runner = Runner(devices=jax.devices()[:1])
    step = runner.compile(
        lambda state, batch: usis.train_step(
            state,
            batch,
            settings=settings,
            void=None,
            networks=registry.build(settings, tiny_step.CLASSES, kernels=kernels.REFERENCE),
        )
    )
    return step.trace(tiny_step.created(settings), tiny_step.batch(0)).jaxpr


def equations(jaxpr):
    """All equations, those of inner functions too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def test_convolutions_are_bfloat16_and_sent_values_float32():
    dtypes = {"conv_general_dilated": set(), "psum": set(), "exp": set(), "rsqrt": set()}
    for equation in equations(jaxpr_of_step(in_bfloat16(tiny_step.settings()))):
        name = equation.primitive.name
        for kind in dtypes:
            if name.startswith(kind):
                dtypes[kind] |= {str(value.aval.dtype) for value in equation.invars}
    assert dtypes["conv_general_dilated"] == {"bfloat16"}
    for kind in ("psum", "exp", "rsqrt"):  # gradients and statistics, softmax, normalisation
        assert dtypes[kind] == {"float32"}, kind


def test_batch_statistics_are_those_of_float32():
    # A mean of 8 with a deviation of 0.05: in bfloat16 sums alone the variance would be lost.
    x = (8 + 0.05 * jax.random.normal(jax.random.key(0), (4, 16, 16, 8))).astype(jnp.bfloat16)
    label = jnp.zeros((4, 16, 16), jnp.int32)
    spade = Spade(3, hidden=4, dtype=jnp.bfloat16)
    z = jnp.zeros((4, 4))
    variables = spade.init(jax.random.key(1), x, label, z, True)
    _, updates = spade.apply(variables, x, label, z, True, mutable=["batch_stats"])
    wide = np.asarray(x, np.float64)
    norm = updates["batch_stats"]["norm"]
    np.testing.assert_allclose(norm["mean"], 0.1 * wide.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm["var"], 0.9 + 0.1 * wide.var((0, 1, 2)), rtol=1e-5)


def test_spectral_norm_is_that_of_float32():
    x = jnp.ones((1, 4, 4, 8))
    vectors = []
    for dtype in (jnp.float32, jnp.bfloat16):
        conv = SpectralConv(16, (3, 3), iterate=True, dtype=dtype)
        variables = conv.init(jax.random.key(0), x)
        out, updates = conv.apply(variables, x, mutable=["spectral"])
        assert out.dtype == dtype
        vectors.append(updates["spectral"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *vectors)


def test_instance_norm_is_that_of_float32():
    x = (8 + 0.05 * jax.random.normal(jax.random.key(0), (2, 64, 64, 3))).astype(jnp.bfloat16)
    wide = np.asarray(x, np.float64)
    mean = wide.mean((1, 2), keepdims=True)
    expected = (wide - mean) / np.sqrt(wide.var((1, 2), keepdims=True) + 1e-5)
    out = instance_norm(x)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(out, np.float64), expected, atol=0.02)


def test_details_of_a_photo_reach_the_discriminator_unrounded():
    # A faint checkerboard on white: its Haar detail is 0.004, which bfloat16 photos cannot hold.
    rows = np.indices((16, 16)).sum(0) % 2
    photo = (0.9 + 0.002 * (2 * rows - 1))[None, :, :, None].repeat(3, 3).astype(np.float32)
    discriminator = WaveletDiscriminator(64, 8, levels=1, dense=4, dtype=jnp.bfloat16)
    variables = discriminator.init(jax.random.key(0), photo)
    wide = WaveletDiscriminator(64, 8, levels=1, dense=4)

    def change(module):
        """What the checkerboard does to the score."""
        flat = np.full_like(photo, 0.9)
        return module.apply(variables, photo)[0] - module.apply(variables, flat)[0]

    kernel = variables["params"]["from_wavelet_0"]["kernel"]
    details = kernel.at[:, :, :9].set(0.0)  # only the diagonal details are read
    variables = {
        "params": variables["params"]
        | {
            "from_wavelet_0": variables["params"]["from_wavelet_0"] | {"kernel": 100 * details},
            "from_wavelet_1": jax.tree.map(jnp.zeros_like, variables["params"]["from_wavelet_1"]),
        }
    }
    np.testing.assert_allclose(change(discriminator), change(wide), rtol=0.1)
    assert abs(change(wide)).max() > 1e-3
