import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from usis_jax.ops import haar, resample

FILTER = np.array([1.0, 3.0, 3.0, 1.0])


def image(height=8, width=12, channels=4):
    return np.random.default_rng(1).normal(size=(2, height, width, channels)).astype(np.float32)


def along_both(x, function):
    for axis in (1, 2):
        x = np.apply_along_axis(function, axis, x)
    return x


def test_nearest_up_repeats_pixels():
    x = image()
    np.testing.assert_array_equal(resample.nearest_up(x), x.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (3, 5), (16, 24), (2, 12)])
def test_nearest_to_takes_the_floor_of_the_scaled_index(size):
    label = np.random.default_rng(2).integers(0, 9, (2, 8, 12))
    y = np.asarray(resample.nearest_to(label, *size))
    for i in range(size[0]):
        for j in range(size[1]):
            np.testing.assert_array_equal(y[:, i, j], label[:, i * 8 // size[0], j * 12 // size[1]])


def test_average_down_is_the_mean_of_blocks():
    x = image()
    np.testing.assert_allclose(
        resample.average_down(x), x.reshape(2, 4, 2, 6, 2, 4).mean(axis=(2, 4)), atol=1e-6
    )


def test_fir_down_agrees_with_scipy():
    x = image()
    expected = along_both(x, lambda row: np.convolve(row, FILTER / 8)[2::2][: len(row) // 2])
    np.testing.assert_allclose(resample.fir_down(x), expected, atol=1e-6)


def test_fir_blur_agrees_with_scipy():
    x = image()
    expected = along_both(x, lambda row: np.convolve(row, FILTER / 8)[1 : len(row) + 2])
    y = resample.fir_blur(x)
    assert y.shape == (2, 9, 13, 4)
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_fir_up_agrees_with_scipy():
    x = image()
    expected = along_both(x, lambda row: scipy.signal.upfirdn(FILTER / 4, row, up=2)[1:-1])
    np.testing.assert_allclose(resample.fir_up(x), expected, atol=1e-6)


def bilinear(x):
    rows = (np.arange(2 * x.shape[1]) + 0.5) / 2 - 0.5
    columns = (np.arange(2 * x.shape[2]) + 0.5) / 2 - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    y = np.empty((x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    for b in range(x.shape[0]):
        for c in range(x.shape[3]):
            y[b, :, :, c] = scipy.ndimage.map_coordinates(
                x[b, :, :, c], grid, order=1, mode="nearest"
            )
    return y


def test_bilinear_up_agrees_with_scipy():
    x = image()
    np.testing.assert_allclose(resample.bilinear_up(x), bilinear(x), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 3)])
def test_bilinear_up_of_single_pixels_repeats_them(size):
    x = image(*size)
    np.testing.assert_allclose(resample.bilinear_up(x), bilinear(x), atol=1e-6)


def test_wavelet_up_enlarges_the_image_of_the_coefficients():
    x = image()
    y = np.asarray(haar.inverse(resample.wavelet_up(haar.forward(x))))
    np.testing.assert_allclose(y, bilinear(x), atol=2e-6)


def test_wavelet_up_needs_four_sub_bands():
    with pytest.raises(ValueError, match="multiple of 4"):
        resample.wavelet_up(image(channels=6))
