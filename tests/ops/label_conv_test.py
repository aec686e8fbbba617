import jax
import numpy as np
import pytest
import scipy.signal

from usis_jax.ops.label_conv import label_conv

CLASSES, NOISE, FEATURES = 4, 3, 5
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, CLASSES, (2, 8, 12)).astype(np.int32)


def reference(label, z, kernel, bias, height, width):
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
                    s[b, :, :, c], kernel[:, :, c, f], mode="same")
    return y + bias


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (2, 3), (1, 1), (16, 24)])
@pytest.mark.parametrize("noise_shape", [(2, NOISE), (2, 8, 12, NOISE)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("fast_paths", [True, False])
def test_agrees_with_concatenation_and_scipy(size, noise_shape, kernel_size, fast_paths):
    z = RANDOM.normal(size=noise_shape).astype(np.float32)
    kernel = RANDOM.normal(
        size=(kernel_size, kernel_size, NOISE + CLASSES, FEATURES)).astype(np.float32)
    bias = RANDOM.normal(size=FEATURES).astype(np.float32)
    np.testing.assert_allclose(label_conv(LABEL, z, kernel, bias, *size, fast_paths),
                               reference(LABEL, z, kernel, bias, *size), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (3, 5), (1, 1)])
@pytest.mark.parametrize("noise_shape", [(2, NOISE), (2, 8, 12, NOISE)])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_gradients_are_those_of_the_convolution_of_all_channels(size, noise_shape, kernel_size):
    z = RANDOM.normal(size=noise_shape).astype(np.float32)
    kernel = RANDOM.normal(
        size=(kernel_size, kernel_size, NOISE + CLASSES, FEATURES)).astype(np.float32)
    cotangent = RANDOM.normal(size=(2, *size, FEATURES)).astype(np.float32)

    def slopes(fast_paths):
        def loss(z, kernel, bias):
            return (label_conv(LABEL, z, kernel, bias, *size, fast_paths) * cotangent).sum()
        return jax.grad(loss, (0, 1, 2))(z, kernel, np.zeros(FEATURES, np.float32))

    for fast, plain in zip(slopes(True), slopes(False), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-4)


def test_tpus_convolve_labels_and_noise_of_pixels_at_once():
    z = np.zeros((2, 8, 12, NOISE), np.float32)
    kernel = np.zeros((3, 3, NOISE + CLASSES, FEATURES), np.float32)

    def convolutions(fast_paths):
        def loss(z, kernel):
            return label_conv(LABEL, z, kernel, np.float32(0), 8, 12, fast_paths).sum()
        lowered = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(z, kernel).lower(
            lowering_platforms=("tpu",))
        return lowered.as_text().count("stablehlo.convolution")

    # The convolution and its two gradients; the TPU compiler fails on those of two convolutions.
    assert convolutions(True) == convolutions(False) == 3
