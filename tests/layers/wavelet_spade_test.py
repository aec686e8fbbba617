import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from usis_jax.layers.wavelet_spade import WaveletSpade

RANDOM = np.random.default_rng(0)
K, Z = 3, 2
X = RANDOM.normal(size=(2, 3, 5, 8)).astype(np.float32)
LABEL = RANDOM.integers(0, K, (2, 12, 40)).astype(np.int32)
NOISE = RANDOM.normal(size=(2, Z)).astype(np.float32)
MODULE = WaveletSpade(K, hidden=4)
HAAR = 0.5 * np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])


@pytest.fixture(scope="module")
def variables():
    """Initial variables with kernels large enough to matter."""
    found = jax.jit(lambda key: MODULE.init(key, X, LABEL, NOISE, True))(jax.random.key(0))
    params = jax.tree.map(
        lambda leaf: jnp.asarray(RANDOM.normal(size=leaf.shape), jnp.float32), found["params"]
    )
    return {**found, "params": params}


def to_image(coefficients):
    """Inverse Haar, pixel by pixel: [B, h, w, 4C] -> [B, 2h, 2w, C]."""
    batch, height, width, channels = coefficients.shape
    image = np.empty((batch, 2 * height, 2 * width, channels // 4))
    for i, j in np.ndindex(height, width):
        bands = coefficients[:, i, j].reshape(batch, 4, -1)
        block = np.einsum("sp,bsc->bpc", HAAR, bands).reshape(batch, 2, 2, -1)
        image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = block
    return image


def to_coefficients(image):
    """Haar transform, block by block: [B, 2h, 2w, C] -> [B, h, w, 4C]."""
    batch, height, width, channels = image.shape
    out = np.empty((batch, height // 2, width // 2, 4 * channels))
    for i, j in np.ndindex(height // 2, width // 2):
        block = image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(batch, 4, channels)
        out[:, i, j] = np.einsum("sp,bpc->bsc", HAAR, block).reshape(batch, -1)
    return out


def convolve(x, layer):
    kernel = np.asarray(layer["kernel"], np.float64)
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for b, f, c in np.ndindex(len(x), kernel.shape[-1], x.shape[-1]):
        y[b, :, :, f] += scipy.signal.correlate2d(x[b, :, :, c], kernel[:, :, c, f], mode="same")
    return y + np.asarray(layer["bias"])


def by_hand(params, normalise):
    """Inverse Haar, normalisation and modulation at the doubled size, Haar."""
    image = to_image(X.astype(np.float64))
    rows, columns = np.arange(6) * 12 // 6, np.arange(10) * 40 // 10
    one_hot = np.eye(K)[LABEL[:, rows][:, :, columns]]
    noise = np.broadcast_to(NOISE[:, None, None], (2, 6, 10, Z))
    hidden = convolve(np.concatenate([noise, one_hot], -1), params["modulation"]["shared"])
    hidden = np.maximum(hidden, 0)
    gamma, beta = (convolve(hidden, params["modulation"][name]) for name in ("gamma", "beta"))
    return to_coefficients(normalise(image) * (1 + gamma) + beta)


def test_training_agrees_with_spade_between_two_haar_transforms(variables):
    def normalise(x):
        return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)

    y, _ = MODULE.apply(variables, X, LABEL, NOISE, True, mutable=["batch_stats"])
    expected = by_hand(variables["params"], normalise)
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def test_evaluation_uses_the_stored_statistics_of_images(variables):
    mean, var = np.array([0.5, -1.0]), np.array([2.0, 0.3])
    stored = {"norm": {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}}
    y = MODULE.apply({**variables, "batch_stats": stored}, X, LABEL, NOISE, False)
    expected = by_hand(variables["params"], lambda x: (x - mean) / np.sqrt(var + 1e-5))
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def test_of_added_constants_only_the_one_on_the_first_band_is_taken_away(variables):
    def layer(x):
        return MODULE.apply(variables, x, LABEL, NOISE, True, mutable=["batch_stats"])[0]

    y = layer(X)
    moved = [np.abs(layer(X + 3.0 * np.eye(8, dtype=np.float32)[c]) - y).max() for c in range(8)]
    assert max(moved[:2]) < 1e-4 < 1e-1 < min(moved[2:])


def test_channels_not_in_fours_are_an_error():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        jax.eval_shape(lambda: MODULE.init(jax.random.key(0), X[..., :6], LABEL, NOISE, True))
