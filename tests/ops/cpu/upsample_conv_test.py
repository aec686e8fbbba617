import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from usis_jax.ops import resample
from usis_jax.ops.conv import conv_by_xla
from usis_jax.ops.cpu import upsample_conv
from usis_jax.ops.cpu.upsample_conv import (
    average_down_of_conv,
    conv_of_nearest_up,
    conv_of_wavelet_up,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 4, 6, 3)).astype(np.float32)
KERNEL = RANDOM.normal(size=(3, 3, 3, 5)).astype(np.float32)

PLAIN = {
    conv_of_nearest_up: lambda x, kernel: conv_by_xla(resample.nearest_up(x), kernel, padding=1),
    average_down_of_conv: lambda x, kernel: resample.average_down(
        conv_by_xla(x, kernel, padding=1)),
    conv_of_wavelet_up: lambda x, kernel: conv_by_xla(resample.wavelet_up(x), kernel, padding=1),
}


def by_scipy(x, kernel):
    """Each pixel repeated 2x2, then correlated with every kernel, channel by channel."""
    large = x.repeat(2, axis=1).repeat(2, axis=2)
    out = np.zeros((*large.shape[:3], kernel.shape[-1]))
    for sample in range(len(x)):
        for i in range(kernel.shape[2]):
            for o in range(kernel.shape[3]):
                out[sample, :, :, o] += signal.correlate2d(
                    large[sample, :, :, i], kernel[:, :, i, o], mode="same")
    return out


def drawn(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def value_and_gradients(function):
    def run(x, kernel, cotangent):
        value, pullback = jax.vjp(function, x, kernel)
        return value, *pullback(cotangent)
    return jax.jit(run)


def assert_same(function, x, kernel, plain):
    """Value and both gradients, to 1e-4 of the largest."""
    cotangent = drawn(*jax.eval_shape(plain, x, kernel).shape)
    for got, expected in zip(value_and_gradients(function)(x, kernel, cotangent),
                             value_and_gradients(plain)(x, kernel, cotangent), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def operations(function, *arguments):
    return value_and_gradients(function).lower(*arguments).cost_analysis()["flops"]


def test_equals_convolution_of_the_repeated_image():
    np.testing.assert_allclose(conv_of_nearest_up(X, KERNEL), by_scipy(X, KERNEL), atol=1e-4)


@pytest.mark.parametrize("few", [0, 10_000])
def test_gradients_are_the_linear_maps_transposes(monkeypatch, few):
    monkeypatch.setattr(upsample_conv, "_FEW_RESULTS", few)
    cotangent = RANDOM.normal(size=(2, 8, 12, 5)).astype(np.float32)
    _, pullback = jax.vjp(conv_of_nearest_up, X, KERNEL)
    to_x, to_kernel = pullback(cotangent)
    # For a map linear in its argument, <gradient, direction> = <cotangent, map(direction)>.
    other_x = RANDOM.normal(size=X.shape).astype(np.float32)
    other_kernel = RANDOM.normal(size=KERNEL.shape).astype(np.float32)
    np.testing.assert_allclose(
        (to_x * other_x).sum(), (cotangent * by_scipy(other_x, KERNEL)).sum(), rtol=1e-4)
    np.testing.assert_allclose(
        (to_kernel * other_kernel).sum(), (cotangent * by_scipy(X, other_kernel)).sum(), rtol=1e-4)


@pytest.mark.parametrize("function", [average_down_of_conv, conv_of_nearest_up])
@pytest.mark.parametrize("size", [(2, 2), (4, 10), (12, 24)])
def test_sums_of_taps_are_the_same_convolution(monkeypatch, function, size):
    monkeypatch.setattr(upsample_conv, "_FEW_RESULTS", 0)
    assert_same(function, drawn(2, *size, 5), drawn(3, 3, 5, 4), PLAIN[function])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 9), (8, 16)])
def test_upsampled_coefficients_as_an_image_are_the_same_convolution(size):
    """Borders and corners, where upsampled coefficients end in zeros, too."""
    assert_same(upsample_conv._by_image, drawn(2, *size, 12), drawn(3, 3, 12, 4),
                PLAIN[conv_of_wavelet_up])


@pytest.mark.parametrize("function, size, channels, share", [
    (average_down_of_conv, (32, 64), 64, 0.25), (conv_of_nearest_up, (16, 32), 64, 0.35),
    (conv_of_wavelet_up, (8, 16), 256, 0.3)])
def test_many_channels_take_a_part_of_the_operations(function, size, channels, share):
    x, kernel = drawn(2, *size, channels), drawn(3, 3, channels, 128)
    assert_same(function, x, kernel, PLAIN[function])
    cotangent = drawn(*jax.eval_shape(function, x, kernel).shape)
    counted = [operations(way, x, kernel, cotangent) for way in (function, PLAIN[function])]
    assert counted[0] < share * counted[1]


@pytest.mark.parametrize("function", [average_down_of_conv, conv_of_nearest_up])
def test_few_pixels_leave_the_taps_as_they_are(function):
    """Whose sums are larger than the kernel, which is most of what such a layer reads."""
    x, kernel = drawn(1, 4, 4, 4), drawn(3, 3, 4, 6)
    assert "f32[16,9]" not in jax.jit(function).lower(x, kernel).compile().as_text()
    more = drawn(4, 8, 8, 4)
    assert "f32[16,9]" in jax.jit(function).lower(more, kernel).compile().as_text()
    assert_same(function, x, kernel, PLAIN[function])


def test_gradient_of_a_gradient_of_upsampled_coefficients():
    x, kernel = drawn(2, 8, 16, 256), drawn(3, 3, 256, 128)

    def penalty(function):
        def slope(x, kernel):
            return jax.grad(lambda x: jnp.square(0.05 * function(x, kernel)).sum())(x)
        return jax.jit(jax.grad(lambda x, kernel: jnp.square(slope(x, kernel)).sum(), (0, 1)))

    for got, expected in zip(penalty(conv_of_wavelet_up)(x, kernel),
                             penalty(PLAIN[conv_of_wavelet_up])(x, kernel), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
