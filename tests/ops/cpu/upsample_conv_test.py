import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from usis_jax.ops import conv as reference
from usis_jax.ops.cpu import upsample_conv
from usis_jax.ops.cpu.upsample_conv import conv_average_down, nearest_up_conv, wavelet_up_conv

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 4, 6, 3)).astype(np.float32)
KERNEL = RANDOM.normal(size=(3, 3, 3, 5)).astype(np.float32)

PLAIN = {
    nearest_up_conv: reference.nearest_up_conv,
    conv_average_down: reference.conv_average_down,
    wavelet_up_conv: reference.wavelet_up_conv,
}


def by_scipy(x, kernel):
    """Each pixel repeated 2x2, then correlated with every kernel, channel by channel."""
    large = x.repeat(2, axis=1).repeat(2, axis=2)
    out = np.zeros((*large.shape[:3], kernel.shape[-1]))
    for sample in range(len(x)):
        for i in range(kernel.shape[2]):
            for o in range(kernel.shape[3]):
                out[sample, :, :, o] += signal.correlate2d(
                    large[sample, :, :, i], kernel[:, :, i, o], mode="same"
                )
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
    for got, expected in zip(
        value_and_gradients(function)(x, kernel, cotangent),
        value_and_gradients(plain)(x, kernel, cotangent),
        strict=True,
    ):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def operations(function, *arguments):
    return value_and_gradients(function).lower(*arguments).cost_analysis()["flops"]


def test_equals_convolution_of_the_repeated_image():
    np.testing.assert_allclose(nearest_up_conv(X, KERNEL), by_scipy(X, KERNEL), atol=1e-4)


@pytest.mark.parametrize("few", [0, 10_000])
def test_gradients_are_the_linear_maps_transposes(monkeypatch, few):
    monkeypatch.setattr(upsample_conv, "_FEW_RESULTS", few)
    cotangent = RANDOM.normal(size=(2, 8, 12, 5)).astype(np.float32)
    _, pullback = jax.vjp(nearest_up_conv, X, KERNEL)
    to_x, to_kernel = pullback(cotangent)
    # For a map linear in its argument, <gradient, direction> = <cotangent, map(direction)>.
    other_x = RANDOM.normal(size=X.shape).astype(np.float32)
    other_kernel = RANDOM.normal(size=KERNEL.shape).astype(np.float32)
    np.testing.assert_allclose(
        (to_x * other_x).sum(), (cotangent * by_scipy(other_x, KERNEL)).sum(), rtol=1e-4
    )
    np.testing.assert_allclose(
        (to_kernel * other_kernel).sum(), (cotangent * by_scipy(X, other_kernel)).sum(), rtol=1e-4
    )


@pytest.mark.parametrize("function", [conv_average_down, nearest_up_conv])
@pytest.mark.parametrize("size", [(2, 2), (4, 10), (12, 24)])
def test_sums_of_taps_are_the_same_convolution(monkeypatch, function, size):
    monkeypatch.setattr(upsample_conv, "_FEW_RESULTS", 0)
    assert_same(function, drawn(2, *size, 5), drawn(3, 3, 5, 4), PLAIN[function])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 9), (8, 16)])
def test_upsampled_coefficients_as_an_image_are_the_same_convolution(size):
    """Borders and corners, where upsampled coefficients end in zeros, too."""
    assert_same(
        upsample_conv._by_image, drawn(2, *size, 12), drawn(3, 3, 12, 4), PLAIN[wavelet_up_conv]
    )


@pytest.mark.parametrize(
    "function, size, channels, share",
    [
        (conv_average_down, (32, 64), 64, 0.25),
        (nearest_up_conv, (16, 32), 64, 0.35),
        (wavelet_up_conv, (8, 16), 256, 0.3),
    ],
)
def test_many_channels_take_a_part_of_the_operations(function, size, channels, share):
    x, kernel = drawn(2, *size, channels), drawn(3, 3, channels, 128)
    assert_same(function, x, kernel, PLAIN[function])
    cotangent = drawn(*jax.eval_shape(function, x, kernel).shape)
    counted = [operations(way, x, kernel, cotangent) for way in (function, PLAIN[function])]
    assert counted[0] < share * counted[1]


@pytest.mark.parametrize("function", [conv_average_down, nearest_up_conv])
def test_few_pixels_leave_the_taps_as_they_are(function):
    """Whose sums are larger than the kernel, which is most of what such a layer reads."""
    x, kernel = drawn(1, 4, 4, 4), drawn(3, 3, 4, 6)
    assert "f32[16,9]" not in str(jax.make_jaxpr(function)(x, kernel))
    more = drawn(4, 8, 8, 4)
    assert "f32[16,9]" in str(jax.make_jaxpr(function)(more, kernel))
    assert_same(function, x, kernel, PLAIN[function])


def test_gradient_of_a_gradient_of_upsampled_coefficients():
    x, kernel = drawn(2, 8, 16, 256), drawn(3, 3, 256, 128)

    def penalty(function):
        def slope(x, kernel):
            return jax.grad(lambda x: jnp.square(0.05 * function(x, kernel)).sum())(x)

        return jax.jit(jax.grad(lambda x, kernel: jnp.square(slope(x, kernel)).sum(), (0, 1)))

    for got, expected in zip(
        penalty(wavelet_up_conv)(x, kernel), penalty(PLAIN[wavelet_up_conv])(x, kernel), strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
