import numpy as np
import pytest

from usis_jax.ops import haar


def image(height=6, width=4, channels=3):
    return np.random.default_rng(0).normal(size=(2, height, width, channels)).astype(np.float32)


def test_forward_agrees_with_a_loop_over_blocks():
    x = image()
    y = np.asarray(haar.forward(x))
    assert y.shape == (2, 3, 2, 12)
    for i in range(3):
        for j in range(2):
            a, b = x[:, 2 * i, 2 * j], x[:, 2 * i, 2 * j + 1]
            c, d = x[:, 2 * i + 1, 2 * j], x[:, 2 * i + 1, 2 * j + 1]
            bands = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]
            np.testing.assert_allclose(y[:, i, j], np.concatenate(bands, -1) / 2, atol=1e-6)


def test_inverse_restores_image_to_float_precision():
    x = image(16, 8)
    np.testing.assert_allclose(haar.inverse(haar.forward(x)), x, atol=2e-6)


def test_forward_restores_coefficients():
    y = image(4, 8, 12)
    np.testing.assert_allclose(haar.forward(haar.inverse(y)), y, atol=2e-6)


def test_energy_is_preserved():
    x = image(32, 16)
    np.testing.assert_allclose(np.square(haar.forward(x)).sum(), np.square(x).sum(), rtol=1e-5)


def test_constant_image_is_all_low_band():
    y = np.asarray(haar.forward(np.full((1, 4, 4, 2), 3.0, np.float32)))
    np.testing.assert_array_equal(y[..., :2], 6.0)
    np.testing.assert_array_equal(y[..., 2:], 0.0)


def test_odd_size_is_an_error():
    with pytest.raises(ValueError, match=r"even, got \(5, 4\)"):
        haar.forward(image(5, 4))


def test_channels_not_multiple_of_four_are_an_error():
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        haar.inverse(image(4, 4, 6))
