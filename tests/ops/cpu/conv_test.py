import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from usis_jax.ops import conv as reference
from usis_jax.ops.cpu import conv as conv_module
from usis_jax.ops.cpu.conv import conv

# size of the input and its channels, kernel, stride, padding
FORMS = [
    ((4, 7, 3), 3, 1, 1),
    ((5, 7, 3), 3, 2, 0),
    ((9, 5, 3), 3, 2, 0),
    ((5, 4, 3), 1, 1, 0),
    ((5, 4, 3), 2, 1, 0),
    ((1, 1, 3), 3, 1, 1),
    ((3, 3, 3), 3, 2, 0),
    ((6, 8, 3), 3, 2, 0),
    # More pixels than are computed from neighbourhoods, unless channels are few.
    ((23, 25, 3), 3, 1, 1),
    ((23, 25, 5), 3, 1, 1),
    ((47, 49, 3), 3, 2, 0),
    ((48, 50, 3), 3, 2, 0),
    ((24, 24, 3), 1, 1, 0),
    ((24, 25, 3), 2, 1, 0),
]
forms = pytest.mark.parametrize("size, kernel_size, stride, padding", FORMS)


def drawn(size, kernel_size, batch=2, features=5):
    random = np.random.default_rng(0)
    return (
        random.normal(size=(batch, *size)).astype(np.float32),
        random.normal(size=(kernel_size, kernel_size, size[2], features)).astype(np.float32),
    )


def by_scipy(x, kernel, stride, padding):
    """Correlation channel by channel, then every `stride`-th pixel."""
    x = np.pad(np.asarray(x, np.float64), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    return np.stack(
        [
            sum(
                signal.correlate2d(sample[:, :, c], kernel[:, :, c, f], mode="valid")
                for c in range(x.shape[-1])
            )[::stride, ::stride]
            for sample in x
            for f in range(kernel.shape[-1])
        ]
    ).reshape(len(x), kernel.shape[-1], -1)


def flat(y):
    return np.moveaxis(np.asarray(y, np.float64), 3, 1).reshape(len(y), y.shape[-1], -1)


@forms
@pytest.mark.parametrize("batch", [1, 3])
def test_agrees_with_scipy(size, kernel_size, stride, padding, batch):
    x, kernel = drawn(size, kernel_size, batch)
    np.testing.assert_allclose(
        flat(conv(x, kernel, stride, padding)), by_scipy(x, kernel, stride, padding), atol=1e-4
    )


@forms
def test_gradients_are_the_linear_maps_transposes(size, kernel_size, stride, padding):
    x, kernel = drawn(size, kernel_size)
    y, pullback = jax.vjp(lambda x, kernel: conv(x, kernel, stride, padding), x, kernel)
    cotangent = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    to_x, to_kernel = pullback(cotangent)
    other_x, other_kernel = (-np.flip(array) for array in drawn(size, kernel_size))
    for got, one, pair in (
        (to_x, other_x, (other_x, kernel)),
        (to_kernel, other_kernel, (x, other_kernel)),
    ):
        # For a map linear in its argument, <gradient, direction> = <cotangent, map(direction)>.
        expected = (flat(cotangent) * by_scipy(*pair, stride, padding)).sum()
        np.testing.assert_allclose((got * one).sum(), expected, rtol=1e-4, atol=1e-3)


@forms
@pytest.mark.slow
def test_second_order_gradients_agree_with_finite_differences(size, kernel_size, stride, padding):
    """Of the squared slope of a curved function of the convolution, as in the R1 penalty."""

    def penalty(x, kernel):
        def score(x):
            return jnp.square(conv(jnp.tanh(conv(x, kernel, stride, padding)), mix)).sum()

        return jnp.square(jax.grad(score)(x)).sum()

    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(0.3 * array, jnp.float64) for array in drawn(size, kernel_size))
        mix = jnp.asarray(drawn((1, 1, 5), 1, features=2)[1], jnp.float64)
        slopes = jax.grad(penalty, (0, 1))(x, kernel)
        ways = tuple(
            jnp.asarray(np.random.default_rng(2).normal(size=array.shape)) for array in (x, kernel)
        )
        for number in range(2):
            moved = [
                [
                    array + sign * 1e-5 * (which == number) * way
                    for which, (array, way) in enumerate(zip((x, kernel), ways, strict=True))
                ]
                for sign in (1, -1)
            ]
            expected = (penalty(*moved[0]) - penalty(*moved[1])) / 2e-5
            np.testing.assert_allclose((slopes[number] * ways[number]).sum(), expected, rtol=1e-5)


@pytest.mark.parametrize("most, together", [(0, 1), (2 * 12 * 12 * 27, 2), (10**9, 4)])
def test_strided_images_are_computed_some_at_a_time_with_the_same_result(
    monkeypatch, most, together
):
    monkeypatch.setattr(conv_module, "_SEEN_TOGETHER", most)
    x, kernel = drawn((25, 25, 3), 3, batch=4)
    assert conv_module._seen_together(4, 12, 12, 27) == together
    value, pullback = jax.vjp(lambda x, kernel: conv(x, kernel, 2), x, kernel)
    expected, plain = jax.vjp(lambda x, kernel: reference.conv(x, kernel, 2, 0), x, kernel)
    np.testing.assert_allclose(value, expected, atol=1e-4)
    for got, wanted in zip(pullback(value), plain(value), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())
