import jax
import numpy as np
import scipy.signal

from usis_jax.models.decoder import WaveletDecoder, instance_norm
from usis_jax.ops import haar, resample

RANDOM = np.random.default_rng(0)
FEATURES = [RANDOM.normal(size=shape).astype(np.float32)
            for shape in ((2, 8, 12, 8), (2, 4, 6, 12), (2, 2, 3, 16))]


def convolve(x, kernel):
    """3x3 convolution, zero padding, channel by channel."""
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for b, f, c in np.ndindex(x.shape[0], kernel.shape[-1], x.shape[-1]):
        y[b, :, :, f] += scipy.signal.correlate2d(x[b, :, :, c], kernel[:, :, c, f], mode="same")
    return y


def test_instance_norm_standardises_each_channel_of_each_sample():
    y = np.asarray(instance_norm(5.0 + 3.0 * FEATURES[0]))
    x = 5.0 + 3.0 * FEATURES[0].astype(np.float64)
    for b, c in np.ndindex(2, 8):
        one = x[b, :, :, c]
        np.testing.assert_allclose(
            y[b, :, :, c], (one - one.mean()) / np.sqrt(one.var() + 1e-5), atol=1e-5)


def test_photo_is_four_times_the_finest_feature():
    photo, variables = jax.jit(WaveletDecoder().init_with_output)(jax.random.key(0), FEATURES)
    assert photo.shape == (2, 32, 48, 3) and np.abs(photo).max() < 1
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items()}
    assert kernels == {"conv_0": (3, 3, 16, 12), "conv_1": (3, 3, 24, 8), "conv_2": (3, 3, 16, 4),
                       "to_wavelet": (1, 1, 4, 12)}


def test_one_block_agrees_with_its_formula():
    coarse = FEATURES[2]
    photo, variables = WaveletDecoder().init_with_output(jax.random.key(0), [coarse])
    params = jax.tree.map(np.asarray, variables["params"])
    x = convolve(np.asarray(resample.wavelet_up(coarse)), params["conv_0"]["kernel"])
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    x = (x - mean) / np.sqrt(variance + 1e-5)
    x = np.where(x > 0, x, 0.2 * x)
    y = x @ params["to_wavelet"]["kernel"][0, 0] + params["to_wavelet"]["bias"]
    np.testing.assert_allclose(photo, np.tanh(haar.inverse(y.astype(np.float32))), atol=1e-4)


def test_every_feature_reaches_the_photo():
    module = WaveletDecoder(width_max=8)
    variables = jax.jit(module.init)(jax.random.key(0), FEATURES)
    gradients = jax.jit(jax.grad(
        lambda x: (module.apply(variables, x) ** 2).sum()))(FEATURES)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
