import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.ops import conv as reference
from usis_jax.ops.cpu import winograd
from usis_jax.ops.cpu.conv import conv

forms = pytest.mark.parametrize(
    "size, kernel_size, padding",
    [
        ((16, 32), 3, 1),
        ((13, 18), 3, 1),
        ((1, 1), 3, 1),
        ((7, 9), 3, 0),
        ((3, 6), 2, 1),
        ((16, 15), 2, 1),
        ((4, 4), 2, 1),
        ((9, 17), 2, 0),
        ((12, 9), 5, 0),
        ((9, 14), 5, 2),
    ],
)


def drawn(size, kernel_size, channels=6, features=5, batch=2, padding=1):
    random = np.random.default_rng(0)
    image = random.normal(size=(batch, *size, channels)).astype(np.float32)
    kernel = random.normal(size=(kernel_size, kernel_size, channels, features)).astype(np.float32)
    result = np.asarray(reference.conv(image, kernel, 1, padding))
    return image, kernel, result, random.normal(size=result.shape).astype(np.float32)


def assert_close(got, expected):
    """To 1e-4 of the largest value; what is computed in float32 is some ten times closer."""
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


@forms
def test_is_the_convolution(size, kernel_size, padding):
    image, kernel, result, _ = drawn(size, kernel_size, padding=padding)
    assert_close(winograd.conv(image, kernel, padding), result)


@forms
def test_kernels_gradient_is_the_convolutions(size, kernel_size, padding):
    image, kernel, _, cotangent = drawn(size, kernel_size, padding=padding)
    pullback = jax.vjp(lambda kernel: reference.conv(image, kernel, 1, padding), kernel)[1]
    assert_close(winograd.kernel_gradient(image, cotangent, padding), pullback(cotangent)[0])


@forms
def test_inputs_gradient_is_the_convolutions(size, kernel_size, padding):
    image, kernel, _, cotangent = drawn(size, kernel_size, padding=padding)
    pullback = jax.vjp(lambda image: reference.conv(image, kernel, 1, padding), image)[1]
    assert_close(winograd.input_gradient(kernel, cotangent, padding), pullback(cotangent)[0])


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.parametrize("most", [0, 24, 50])
@pytest.mark.slow
def test_images_are_computed_some_at_a_time_with_the_same_result(monkeypatch, most, kernel_size):
    image, kernel, result, cotangent = drawn((13, 18), kernel_size, batch=4)
    whole = (
        winograd.kernel_gradient(image, cotangent, 1),
        winograd.input_gradient(kernel, cotangent, 1),
    )
    monkeypatch.setattr(winograd, "TILES_TOGETHER", most)  # one image has 12 to 20 tiles
    assert winograd._together(4, 13, 18) == {0: 1, 24: 1, 50: 2}[most]
    assert_close(winograd.conv(image, kernel, 1), result)
    assert_close(winograd.kernel_gradient(image, cotangent, 1), whole[0])
    assert_close(winograd.input_gradient(kernel, cotangent, 1), whole[1])


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
def test_error_of_wide_layers_stays_below_a_third_of_the_tolerance(kernel_size):
    image, kernel, result, _ = drawn((32, 32), kernel_size, 256, 128, 1)
    assert np.abs(winograd.conv(image, kernel, 1) - result).max() < 3e-5 * np.abs(result).max()


def multiplications(function, *arguments):
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


@pytest.mark.parametrize(
    "kernel_size, channels, features, share",
    [(3, 64, 128, 0.35), (3, 32, 32, 0.5), (2, 64, 128, 0.6), (5, 64, 128, 0.25)],
)
def test_convolution_of_many_channels_takes_it_forward_and_for_both_gradients(
    kernel_size, channels, features, share
):
    image, kernel, _, cotangent = drawn((32, 32), kernel_size, channels, features)

    def value_and_gradients(convolve):
        def run(image, kernel, cotangent):
            value, pullback = jax.vjp(lambda x, k: convolve(x, k, 1, 1), image, kernel)
            return value, *pullback(cotangent)

        return run

    fast, plain = value_and_gradients(conv), value_and_gradients(reference.conv)
    for got, expected in zip(
        jax.jit(fast)(image, kernel, cotangent),
        jax.jit(plain)(image, kernel, cotangent),
        strict=True,
    ):
        assert_close(got, expected)
    counted = [multiplications(way, image, kernel, cotangent) for way in (fast, plain)]
    assert counted[0] < share * counted[1]


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.slow
def test_gradient_penalty_of_many_channels_has_the_plain_gradients(kernel_size):
    """Which differentiates the gradients once more."""
    image, kernel, *_ = drawn((24, 24), kernel_size, 64, 128)

    def penalty(convolve):
        def slope(image, kernel):
            return jax.grad(lambda x: jnp.square(jnp.tanh(0.05 * convolve(x, kernel, 1, 1))).sum())(
                image
            )

        return jax.jit(
            jax.grad(lambda image, kernel: jnp.square(slope(image, kernel)).sum(), (0, 1))
        )

    for got, expected in zip(
        penalty(conv)(image, kernel), penalty(reference.conv)(image, kernel), strict=True
    ):
        assert_close(got, expected)


@pytest.mark.parametrize(
    "height, channels, is_taken",
    [(128, 32, True), (128, 31, False), (129, 32, False), (129, 128, True)],
)
def test_large_images_need_more_channels(height, channels, is_taken):
    image = jax.ShapeDtypeStruct((1, height, 128, channels), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, channels, channels), jnp.float32)
    counted = [
        multiplications(functools.partial(way, padding=1), image, kernel)
        for way in (conv, reference.conv)
    ]
    assert (counted[0] < counted[1]) == is_taken


def test_few_bits_are_not_transformed():
    """The transforms' sums would lose most of bfloat16's eight."""
    image, kernel, *_ = drawn((32, 32), 3, 64, 128)
    image, kernel = (jnp.asarray(array, jnp.bfloat16) for array in (image, kernel))
    assert multiplications(lambda x, k: conv(x, k, 1, 1), image, kernel) == multiplications(
        lambda x, k: reference.conv(x, k, 1, 1), image, kernel
    )


def test_known_kernel_is_not_transformed_by_the_compiler():
    """Which took minutes for a network whose weights are constants of the program."""
    image, kernel, *_ = drawn((16, 16), 3, 8, 8)
    compiled = jax.jit(lambda image: winograd.conv(image, kernel, 1)).lower(image).compile()
    assert compiled.as_text().count(" dot(") == 2
