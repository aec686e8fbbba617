import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.models.discriminator import WaveletDiscriminator
from usis_jax.ops import haar, resample

TINY = WaveletDiscriminator(channel_base=128, channel_max=8, levels=2, dense=8)
PHOTO = np.random.default_rng(0).uniform(-1, 1, (4, 16, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(TINY.init)(jax.random.key(0), PHOTO)


def test_full_size_has_the_published_number_of_parameters():
    shapes = jax.eval_shape(
        WaveletDiscriminator().init, jax.random.key(0), jnp.zeros((1, 256, 512, 3))
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 25_333_377


@pytest.mark.parametrize(
    "size, widths",
    [
        (128, [256, 512, 512, 512, 512]),
        (256, [128, 512, 512, 512, 512, 512]),
        (512, [64, 256, 512, 512, 512, 512, 512]),
    ],
)
def test_widths_are_the_published_ones(size, widths):
    assert WaveletDiscriminator(levels=len(widths) - 1).widths(size // 2, size) == widths


def test_scores_and_features_have_the_expected_shapes(variables):
    score, features = jax.jit(TINY.apply)(variables, PHOTO)
    assert score.shape == (4, 1) and score.dtype == jnp.float32
    assert [feature.shape for feature in features] == [(4, 4, 8, 8), (4, 2, 4, 8)]


def test_first_level_agrees_with_its_formula(variables):
    """from-wavelet, two convolutions, plus the smaller photo's from-wavelet, step by step."""
    params = variables["params"]

    def layer(x, name, down=False):
        kernel, bias = np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"])
        kernel = kernel / np.sqrt(kernel.shape[0] * kernel.shape[1] * kernel.shape[2])
        x = resample.fir_blur(x) if down else x
        y = (
            jax.lax.conv_general_dilated(
                jnp.asarray(x),
                kernel,
                (2, 2) if down else (1, 1),
                "VALID" if down else "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            + bias
        )
        return np.where(y > 0, y, 0.2 * y) * np.sqrt(2)

    x = layer(haar.forward(PHOTO), "from_wavelet_0")
    x = layer(layer(x, "conv_1_1"), "conv_1_2", down=True)
    x = x + layer(haar.forward(resample.fir_down(PHOTO)), "from_wavelet_1")
    _, features = TINY.apply(variables, PHOTO)
    np.testing.assert_allclose(features[0], x, atol=1e-4)


def test_score_depends_on_the_photo(variables):
    gradient = jax.jit(jax.grad(lambda x: TINY.apply(variables, x)[0].sum()))(PHOTO)
    assert (np.abs(gradient).sum(axis=(1, 2, 3)) > 0).all()


def test_bfloat16_scores_in_float32(variables):
    score, features = jax.jit(TINY.clone(dtype=jnp.bfloat16).apply)(variables, PHOTO)
    assert score.dtype == jnp.float32 and features[0].dtype == jnp.bfloat16


@pytest.mark.parametrize("size", [(12, 32), (16, 28)])
def test_size_off_the_stride_is_an_error(size):
    with pytest.raises(ValueError, match=f"photo is {size[0]}x{size[1]}.*multiples of 8"):
        jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros((1, *size, 3)))
