"""Spectra against a float64 Fourier sum, SciPy's periodogram, Haar matrices and closed forms."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from PIL import Image

from usis_jax.evaluation.metrics import spectrum


def _photos(seed, number=4, height=32, width=48, blur=1.0):
    random = np.random.default_rng(seed)
    noise = random.standard_normal((number, height, width, 3))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, blur, blur, 0))
    return np.clip(np.rint(128 + 40 * smooth / smooth.std()), 0, 255).astype(np.uint8)


def _by_fourier_sum(photo, window):
    """Power of one channel at every frequency by explicit float64 Fourier matrices."""
    height, width = photo.shape
    level = (window * photo).sum() / window.sum()
    y, x = np.arange(height), np.arange(width)
    rows = np.exp(-2j * np.pi * np.outer(y, y) / height)
    columns = np.exp(-2j * np.pi * np.outer(x, x) / width)
    return np.abs(rows @ (window * (photo - level)) @ columns) ** 2 / (window**2).sum()


@pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 16), (17, 19), (16, 16)])
def test_radial_power_agrees_with_a_fourier_sum(height, width):
    photos = _photos(0, 2, height, width)
    hann = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in (height, width)]
    window = np.outer(*hann)
    power = np.mean(
        [
            _by_fourier_sum(photo[..., channel].astype(np.float64), window)
            for photo in photos
            for channel in range(3)
        ],
        axis=0,
    )
    side = min(height, width)
    rings = {}
    for i in range(height):
        for j in range(width):
            y, x = min(i, height - i) / height, min(j, width - j) / width
            rings.setdefault(round(float(np.hypot(y, x)) * side), []).append(power[i, j])
    result = spectrum.measure([photos])
    expected = [ring for ring in sorted(rings) if ring > 0]
    np.testing.assert_allclose(result.frequencies, np.array(expected) / side)
    np.testing.assert_allclose(result.power, [np.mean(rings[ring]) for ring in expected], rtol=1e-6)


def test_single_rows_agree_with_scipy_periodogram():
    # A photo of equal rows only varies along them: column 0 of the spectrum has no power.
    random = np.random.default_rng(1)
    row = random.integers(0, 256, 64).astype(np.float64)
    photo = np.broadcast_to(row[None, :, None], (64, 64, 3))
    hann = np.sin(np.pi * (np.arange(64) + 0.5) / 64) ** 2
    row = row - (hann * row).sum() / hann.sum()
    _, expected = scipy.signal.periodogram(
        row, window=hann, detrend=False, return_onesided=False, scaling="density"
    )
    found = spectrum._power(photo[None])
    # The window along the columns spreads each frequency over rows 0 and +-1.
    weights = np.abs(np.fft.fft(hann)) ** 2
    weights /= (hann**2).sum()
    np.testing.assert_allclose(found, weights[:, None] * expected[None, :33], rtol=1e-4, atol=1e-3)


def test_white_noise_has_its_variance_at_every_frequency():
    random = np.random.default_rng(2)
    photos = 128 + 10 * random.standard_normal((60, 32, 64, 3))
    result = spectrum.measure([photos[:20], photos[20:]])
    assert result.number == 60
    np.testing.assert_allclose(result.power[1:-1], 100, rtol=0.15)
    assert result.power.mean() == pytest.approx(100, rel=0.03)
    for energy in result.bands.values():
        assert energy == pytest.approx(100, rel=0.1)
    # The mean is taken away, which only shows in the lowest ring.
    assert result.power[0] < 90


def test_wave_has_its_power_at_its_frequency():
    x = np.arange(64)
    photo = 128 + 50 * np.cos(2 * np.pi * 12 / 64 * x)
    result = spectrum.measure([np.broadcast_to(photo[None, None, :, None], (1, 64, 64, 3))])
    assert result.frequencies[np.argmax(result.power)] == 12 / 64
    near = np.abs(result.frequencies - 12 / 64) < 2.5 / 64
    assert result.power[~near].max() < 1e-3 * result.power.max()


def test_haar_energies_agree_with_matrices():
    photos = _photos(3, 3, 32, 48).astype(np.float64)
    expected, low = {}, photos
    for level in (1, 2, 3):
        rows, columns = (_haar_matrix(n) for n in low.shape[1:3])
        both = np.einsum("ih,nhwc,jw->nijc", rows, low, columns)
        height, width = both.shape[1] // 2, both.shape[2] // 2
        expected[f"{level}/LH"] = np.mean(both[:, height:, :width] ** 2)
        expected[f"{level}/HL"] = np.mean(both[:, :height, width:] ** 2)
        expected[f"{level}/HH"] = np.mean(both[:, height:, width:] ** 2)
        low = both[:, :height, :width]
    result = spectrum.measure([photos[:1], photos[1:]])
    assert result.bands == pytest.approx(expected, rel=1e-5)
    assert list(result.bands) == list(expected)


def _haar_matrix(size):
    """Orthonormal Haar matrix of one level: sums of neighbours over differences."""
    matrix = np.zeros((size, size))
    for i in range(size // 2):
        matrix[i, 2 * i : 2 * i + 2] = 1
        matrix[size // 2 + i, 2 * i : 2 * i + 2] = 1, -1
    return matrix / np.sqrt(2)


def test_levels_end_where_a_side_is_odd():
    assert list(spectrum.measure([_photos(4, 1, 24, 44)]).bands) == [
        "1/LH", "1/HL", "1/HH", "2/LH", "2/HL", "2/HH"
    ]  # fmt: skip
    odd = spectrum.measure([_photos(5, 1, 17, 16)])
    assert odd.bands == {}
    assert spectrum.compare(odd, odd).haar_distance == 0


def test_batches_do_not_matter():
    photos = _photos(6, 5)
    whole, parts = (
        spectrum.measure([photos]),
        spectrum.measure(photos[i : i + 2] for i in (0, 2, 4)),
    )
    np.testing.assert_allclose(parts.power, whole.power, rtol=1e-6)
    assert parts.bands == pytest.approx(whole.bands, rel=1e-6)


def test_large_batches_are_measured_in_parts(monkeypatch):
    photos = _photos(3, number=7)
    whole = spectrum.measure([photos])
    monkeypatch.setattr(spectrum, "_CHUNK", 3)
    parts = spectrum.measure([photos])
    np.testing.assert_allclose(parts.power, whole.power, rtol=1e-6)
    assert parts.bands == pytest.approx(whole.bands) and parts.number == 7


def test_halved_contrast_is_six_decibels_everywhere():
    photos = 128 + 60.0 * np.random.default_rng(7).standard_normal((3, 32, 32, 3))
    result = spectrum.compare(
        spectrum.measure([128 + (photos - 128) / 2]), spectrum.measure([photos])
    )
    six = 20 * np.log10(2)
    assert (result.low, result.middle, result.high) == pytest.approx((-six, -six, -six), abs=1e-4)
    assert result.spectral_distance == pytest.approx(six, abs=1e-4)
    assert result.haar_distance == pytest.approx(six, abs=1e-4)
    assert list(result.bands.values()) == pytest.approx([-six] * len(result.bands), abs=1e-4)


def test_blur_loses_high_frequencies_and_grows_both_distances():
    photos = _photos(8, 4, 64, 64, blur=0.7)
    real = spectrum.measure([photos])
    results = [
        spectrum.compare(
            spectrum.measure([scipy.ndimage.gaussian_filter(photos, (0, s, s, 0))]), real
        )
        for s in (0.5, 1.5)
    ]
    for result in results:
        assert result.high < result.middle < result.low <= 0.1
        assert result.bands["1/HH"] < result.bands["2/HH"] < result.bands["3/HH"]
    assert 0 < results[0].spectral_distance < results[1].spectral_distance
    assert 0 < results[0].haar_distance < results[1].haar_distance
    assert (results[0].number_a, results[0].number_b) == (4, 4)
    itself = spectrum.compare(real, real)
    assert itself.spectral_distance == itself.haar_distance == itself.high == 0


def test_checkerboard_of_upsampling_shows_in_the_corner_and_in_hh():
    photos = _photos(9, 4, 32, 32, blur=2.0).astype(np.float64)
    board = np.indices((32, 32)).sum(axis=0) % 2 * 2.0 - 1
    real = spectrum.measure([photos])
    generated = spectrum.measure([photos + 5 * board[..., None]])
    result = spectrum.compare(generated, real)
    assert result.high > 3
    assert max(result.bands, key=result.bands.get) == "1/HH"
    assert np.argmax(generated.power / real.power) >= len(real.power) - 2
    assert result.low == pytest.approx(0, abs=0.5)


def test_flat_photos_have_finite_distances():
    flat = spectrum.measure([np.full((2, 32, 32, 3), 90, np.uint8)])
    result = spectrum.compare(flat, spectrum.measure([_photos(10, 2, 32, 32)]))
    assert np.isfinite([result.spectral_distance, result.haar_distance, result.high]).all()
    assert result.low < -10


def test_plot_is_a_picture(tmp_path):
    spectra = {
        "generated": spectrum.measure([_photos(11)]),
        "real": spectrum.measure([_photos(12)]),
    }
    spectrum.plot(tmp_path / "spectrum.png", spectra)
    with Image.open(tmp_path / "spectrum.png") as picture:
        assert picture.size == (1200, 450)
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "at least 1 photo"),
        ([np.zeros((1, 16, 16, 3)), np.zeros((1, 16, 18, 3))], "one size"),
        ([np.zeros((1, 15, 16, 3))], "at least 16 pixels"),
        ([np.zeros((16, 16, 3))], r"\[N, H, W, 3\]"),
    ],
)
def test_unusable_photos_are_refused(batches, message):
    with pytest.raises(ValueError, match=message):
        spectrum.measure(batches)


def test_spectra_of_other_sizes_are_not_compared():
    with pytest.raises(ValueError, match="one size, got 16x16 and 16x24"):
        spectrum.compare(
            spectrum.measure([_photos(13, 1, 16, 16)]), spectrum.measure([_photos(14, 1, 16, 24)])
        )
