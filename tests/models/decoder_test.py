import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from usis_jax.models.decoder import BatchNorm, TransposedDecoder, WaveletDecoder, instance_norm
from usis_jax.ops import haar, resample

RANDOM = np.random.default_rng(0)
FEATURES = [
    RANDOM.normal(size=shape).astype(np.float32)
    for shape in ((2, 8, 12, 8), (2, 4, 6, 12), (2, 2, 3, 16))
]


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
            y[b, :, :, c], (one - one.mean()) / np.sqrt(one.var() + 1e-5), atol=1e-5
        )


def batch_norm(x, layer):
    x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    return x * layer["scale"] + layer["bias"]


def drawn(params):
    """The same layers with other numbers: scale and shift do not start with an effect."""
    return jax.tree.map(lambda leaf: RANDOM.normal(size=leaf.shape), params)


def test_batch_norm_on_devices_standardises_the_whole_batch():
    x = 5.0 + 3.0 * RANDOM.normal(size=(8, 3, 2, 4))
    layer = {"scale": RANDOM.normal(size=4), "bias": RANDOM.normal(size=4)}
    mapped = jax.pmap(
        lambda part: BatchNorm("batch").apply({"params": layer}, part), axis_name="batch"
    )
    y = mapped(x.reshape(4, 2, 3, 2, 4).astype(np.float32)).reshape(x.shape)
    np.testing.assert_allclose(y, batch_norm(x, layer), atol=1e-5)


def test_photo_is_four_times_the_finest_feature():
    photo, variables = jax.jit(WaveletDecoder().init_with_output)(jax.random.key(0), FEATURES)
    assert photo.shape == (2, 32, 48, 3) and np.abs(photo).max() < 1
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items()}
    assert kernels == {
        "conv_0": (3, 3, 16, 12),
        "conv_1": (3, 3, 24, 8),
        "conv_2": (3, 3, 16, 4),
        "to_wavelet": (1, 1, 4, 12),
    }


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


def test_one_block_with_batch_norm_agrees_with_its_formula():
    coarse = FEATURES[2]
    module = WaveletDecoder(batch_norm=True)
    params = drawn(module.init(jax.random.key(0), [coarse])["params"])
    x = convolve(np.asarray(resample.wavelet_up(coarse)), params["conv_0"]["kernel"])
    x = batch_norm(x, params["norm_0"])
    y = np.where(x > 0, x, 0.2 * x) @ params["to_wavelet"]["kernel"][0, 0]
    y = (y + params["to_wavelet"]["bias"]).astype(np.float32)
    photo = module.apply({"params": params}, [coarse])
    np.testing.assert_allclose(photo, np.tanh(haar.inverse(y)), atol=1e-4)


def transposed(x, kernel):
    """Zeros between pixels, then a correlation: each pixel spreads over 4x4, shifted by one."""
    batch, height, width, channels = x.shape
    wide = np.zeros((batch, 2 * height + 3, 2 * width + 3, channels))
    wide[:, 2:-2:2, 2:-2:2] = x
    y = np.zeros((batch, 2 * height, 2 * width, kernel.shape[-1]))
    for b, f, c in np.ndindex(batch, kernel.shape[-1], channels):
        y[b, :, :, f] += scipy.signal.correlate2d(wide[b, :, :, c], kernel[:, :, c, f], "valid")
    return y


def test_transposed_convolutions_agree_with_their_formula():
    features = [0.3 * feature for feature in FEATURES[1:]]
    module = TransposedDecoder()
    params = drawn(module.init(jax.random.key(0), features)["params"])
    params["to_rgb"] = jax.tree.map(lambda leaf: 0.1 * leaf, params["to_rgb"])  # no saturation
    x = features[1]
    for number in range(2):
        x = batch_norm(transposed(x, params[f"up_{number}"]["kernel"]), params[f"norm_{number}"])
        x = np.where(x > 0, x, 0.2 * x)
        x = np.concatenate([x, features[0]], axis=-1) if number == 0 else x
    y = transposed(x, params["to_rgb"]["kernel"]) + params["to_rgb"]["bias"]
    photo = module.apply({"params": params}, features)
    assert photo.shape == (2, 16, 24, 3)
    np.testing.assert_allclose(photo, np.tanh(y), atol=1e-4)


DECODERS = {
    "instance": WaveletDecoder(width_max=8),
    "transposed": TransposedDecoder(width_max=8),
    "batch": WaveletDecoder(width_max=8, batch_norm=True),
}


@pytest.mark.parametrize("name", DECODERS)
def test_every_feature_reaches_the_photo(name):
    module = DECODERS[name]
    variables = jax.jit(module.init)(jax.random.key(0), FEATURES)
    gradients = jax.jit(jax.grad(lambda x: (module.apply(variables, x) ** 2).sum()))(FEATURES)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("name", DECODERS)
def test_no_bias_stands_before_a_normalisation_and_none_is_wider_than_allowed(name):
    shapes = jax.eval_shape(DECODERS[name].init, jax.random.key(0), FEATURES)["params"]
    blocks = {
        layer: leaves for layer, leaves in shapes.items() if layer.startswith(("conv_", "up_"))
    }
    assert len(blocks) == 3
    for leaves in blocks.values():
        assert set(leaves) == {"kernel"} and leaves["kernel"].shape[-1] <= 8


@pytest.mark.parametrize("name", DECODERS)
def test_bfloat16_reconstructs_nearly_the_same_as_float32(name):
    module = DECODERS[name]
    variables = module.init(jax.random.key(0), FEATURES)
    photo = module.clone(dtype=jnp.bfloat16).apply(variables, FEATURES)
    assert photo.dtype == jnp.float32
    assert np.abs(photo - module.apply(variables, FEATURES)).mean() < 0.03
