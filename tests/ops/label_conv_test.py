import jax
import numpy as np
import pytest
import scipy.signal

from usis_jax.ops import label_conv as reference
from usis_jax.ops.cpu import label_conv as on_cpus

CLASSES, NOISE, FEATURES = 4, 3, 5
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, CLASSES, (2, 8, 12)).astype(np.int32)


def by_scipy(label, z, kernel, bias, height, width):
    """Concatenate, resize by index, convolve channel by channel."""
    batch, old_height, old_width = label.shape
    rows = np.arange(height) * old_height // height
    columns = np.arange(width) * old_width // width
    z = np.broadcast_to(z[:, None, None], (*label.shape, NOISE)) if z.ndim == 2 else z
    s = np.concatenate([z, np.eye(CLASSES)[label]], axis=-1)[:, rows][:, :, columns]
    y = np.zeros((batch, height, width, FEATURES))
    for b in range(batch):
        for f in range(FEATURES):
            for c in range(s.shape[-1]):
                y[b, :, :, f] += scipy.signal.correlate2d(
                    s[b, :, :, c], kernel[:, :, c, f], mode="same"
                )
    return y + bias


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (2, 3), (1, 1), (16, 24)])
@pytest.mark.parametrize("noise_shape", [(2, NOISE), (2, 8, 12, NOISE)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(
    "function", [reference.label_conv, reference.concatenated, on_cpus.label_conv]
)
def test_agrees_with_concatenation_and_scipy(size, noise_shape, kernel_size, function):
    z = RANDOM.normal(size=noise_shape).astype(np.float32)
    kernel = RANDOM.normal(size=(kernel_size, kernel_size, NOISE + CLASSES, FEATURES)).astype(
        np.float32
    )
    bias = RANDOM.normal(size=FEATURES).astype(np.float32)
    np.testing.assert_allclose(
        function(LABEL, z, kernel, bias, *size),
        by_scipy(LABEL, z, kernel, bias, *size),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (3, 5), (1, 1)])
@pytest.mark.parametrize("noise_shape", [(2, NOISE), (2, 8, 12, NOISE)])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_gradients_are_those_of_the_convolution_of_all_channels(size, noise_shape, kernel_size):
    z = RANDOM.normal(size=noise_shape).astype(np.float32)
    kernel = RANDOM.normal(size=(kernel_size, kernel_size, NOISE + CLASSES, FEATURES)).astype(
        np.float32
    )
    cotangent = RANDOM.normal(size=(2, *size, FEATURES)).astype(np.float32)

    def slopes(function):
        def loss(z, kernel, bias):
            return (function(LABEL, z, kernel, bias, *size) * cotangent).sum()

        return jax.grad(loss, (0, 1, 2))(z, kernel, np.zeros(FEATURES, np.float32))

    plain = slopes(reference.concatenated)
    for function in (reference.label_conv, on_cpus.label_conv):
        for got, expected in zip(slopes(function), plain, strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-4)


def test_labels_and_noise_of_pixels_are_one_convolution():
    """Its gradients are two more: the TPU compiler fails on those of two convolutions."""
    z = np.zeros((2, 8, 12, NOISE), np.float32)
    kernel = np.zeros((3, 3, NOISE + CLASSES, FEATURES), np.float32)

    def loss(z, kernel):
        return reference.label_conv(LABEL, z, kernel, np.float32(0), 8, 12).sum()

    traced = str(jax.make_jaxpr(jax.value_and_grad(loss, (0, 1)))(z, kernel))
    assert traced.count("conv_general_dilated[") == 3
