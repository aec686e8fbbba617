import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from usis_jax.models.whole_discriminator import DownBlock, WholeDiscriminator

TINY = WholeDiscriminator(channel_base=128, channel_max=8, levels=2, dense=8)
RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.uniform(-1, 1, (6, 16, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(TINY.init)(jax.random.key(0), PHOTO)


@pytest.mark.parametrize(
    "height, width, levels, count", [(256, 512, 6, 26_885_697), (256, 256, 5, 28_864_129)]
)
def test_full_size_has_the_published_number_of_parameters(height, width, levels, count):
    module = WholeDiscriminator(levels=levels)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, height, width, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize(
    "size, widths",
    [
        (32, [512] * 4),
        (64, [512] * 5),
        (128, [256, *[512] * 5]),
        (256, [128, 256, *[512] * 5]),
        (512, [64, 128, 256, *[512] * 5]),
    ],
)
def test_widths_are_the_published_ones(size, widths):
    assert WholeDiscriminator(levels=len(widths) - 2).widths(size // 2, size) == widths


def test_scores_and_features_have_the_expected_shapes(variables):
    score, features = jax.jit(TINY.apply)(variables, PHOTO)
    assert score.shape == (6, 1) and score.dtype == jnp.float32
    assert [feature.shape for feature in features] == [(6, 8, 16, 8), (6, 4, 8, 8), (6, 2, 4, 8)]


def correlate(x, kernel, mode):
    """[B, H, W, C] and [k, k, C, F], channel by channel."""
    return np.stack(
        [
            np.stack(
                [
                    sum(
                        scipy.signal.correlate2d(x[b, :, :, c], kernel[:, :, c, f], mode=mode)
                        for c in range(x.shape[-1])
                    )
                    for f in range(kernel.shape[-1])
                ],
                -1,
            )
            for b in range(len(x))
        ]
    )


def blur(x, padding):
    """[1, 3, 3, 1] with zeros around."""
    fir = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    wide = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return np.stack(
        [
            correlate(wide[..., c : c + 1], fir[:, :, None, None], "valid")[..., 0]
            for c in range(x.shape[-1])
        ],
        -1,
    )


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def test_block_agrees_with_its_formula():
    """Two convolutions, the second downsampling, plus the shortcut, over sqrt 2."""
    x = RANDOM.normal(size=(2, 6, 4, 3))
    params = {
        "conv_1": {"kernel": (3, 3, 3, 3), "bias": (3,)},
        "conv_2": {"kernel": (3, 3, 3, 5), "bias": (5,)},
        "skip": {"kernel": (1, 1, 3, 5)},
    }
    params = jax.tree.map(
        lambda shape: RANDOM.normal(size=shape),
        params,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )
    y = DownBlock(5).apply({"params": params}, x)
    main = lrelu(
        correlate(x, params["conv_1"]["kernel"], "same") / np.sqrt(27) + params["conv_1"]["bias"]
    )
    main = correlate(blur(main, 2), params["conv_2"]["kernel"], "valid")[:, ::2, ::2]
    main = lrelu(main / np.sqrt(27) + params["conv_2"]["bias"])
    shortcut = correlate(blur(x, 1)[:, ::2, ::2], params["skip"]["kernel"], "same") / np.sqrt(3)
    np.testing.assert_allclose(y, (main + shortcut) / np.sqrt(2), atol=1e-5)


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
