"""MS-SSIM against scikit-image's SSIM, scale by scale, and cases with known values."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics

import usis_jax
from usis_jax.evaluation.metrics import diversity

PUBLISHED_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def _photos(seed, number, height, width, noise=25.0):
    """Smooth pictures with noise, so that every scale has something to compare."""
    random = np.random.default_rng(seed)
    base = scipy.ndimage.gaussian_filter(random.standard_normal((height, width, 3)), (4, 4, 0))
    base = 128 + 50 * base / base.std()
    photos = base + noise * random.standard_normal((number, height, width, 3))
    return np.clip(np.rint(photos), 0, 255).astype(np.uint8)


def _by_scikit_image(a, b, scales):
    """MS-SSIM of two photos in float64: SSIM with a huge first constant is its contrast term."""
    exponents = np.array(PUBLISHED_EXPONENTS[:scales])
    if scales < 5:
        exponents = exponents / exponents.sum()
    channels = []
    for channel in range(3):
        x, y = a[..., channel].astype(np.float64), b[..., channel].astype(np.float64)
        product = 1.0
        for scale, exponent in enumerate(exponents):
            found = skimage.metrics.structural_similarity(
                x,
                y,
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                K1=0.01 if scale == scales - 1 else 1e5,
            )
            product *= max(found, 0.0) ** exponent
            x, y = (
                skimage.measure.block_reduce(x, 2, np.mean),
                skimage.measure.block_reduce(y, 2, np.mean),
            )
        channels.append(product)
    return np.mean(channels)


@pytest.mark.parametrize(
    ("height", "width", "scales"), [(64, 128, 3), (16, 16, 1), (176, 192, 5), (88, 96, 4)]
)
def test_ms_ssim_agrees_with_scikit_image(height, width, scales):
    a, b = _photos(0, 2, height, width)
    assert diversity.num_scales(height, width) == scales
    expected = _by_scikit_image(a, b, scales)
    assert 0.2 < expected < 0.98
    assert diversity.ms_ssim(a, b) == pytest.approx(expected, rel=1e-4)


def test_dark_and_nearly_flat_photos_agree_with_scikit_image():
    random = np.random.default_rng(1)
    a, b = random.integers(0, 4, (2, 32, 32, 3), dtype=np.uint8)
    assert diversity.ms_ssim(a, b) == pytest.approx(_by_scikit_image(a, b, 2), rel=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "scales"), [(176, 500, 5), (175, 500, 4), (2048, 1024, 5), (10, 64, 0)]
)
def test_window_fits_at_the_coarsest_scale(height, width, scales):
    assert diversity.num_scales(height, width) == scales


def test_batches_are_compared_one_by_one():
    photos = _photos(2, 6, 24, 24).reshape(2, 3, 24, 24, 3)
    others = _photos(3, 6, 24, 24).reshape(2, 3, 24, 24, 3)
    found = usis_jax.evaluation.ms_ssim(photos, others)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(float(diversity.ms_ssim(photos[1, 2], others[1, 2])))


def test_equal_photos_have_similarity_one_and_inverted_ones_zero():
    photo = _photos(4, 1, 48, 48)[0]
    assert diversity.ms_ssim(photo, photo) == pytest.approx(1.0, abs=1e-6)
    assert diversity.ms_ssim(photo, 255 - photo) == 0


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_pairs_are_all_pairs_in_order(number):
    photos = _photos(5, number, 16, 24)
    expected = [
        float(diversity.ms_ssim(photos[i], photos[j]))
        for i in range(number)
        for j in range(i + 1, number)
    ]
    np.testing.assert_allclose(diversity.pairs(photos), expected, rtol=1e-5)


def test_diversity_is_the_mean_over_maps_and_names_what_it_was_made_with():
    maps = [_photos(6, 3, 32, 48), _photos(7, 3, 32, 48, noise=5.0)]
    result = diversity.diversity(iter(maps))
    means = [float(diversity.pairs(samples).mean()) for samples in maps]
    assert result.each == pytest.approx(means)
    assert result.value == pytest.approx(np.mean(means))
    assert means[0] < means[1] < 1
    assert (result.label_maps, result.samples, result.height, result.width) == (2, 3, 32, 48)
    assert result.scales == 2
    assert "2 of the 5" in result.warning


def test_large_photos_carry_no_warning():
    samples = np.repeat(_photos(8, 1, 176, 176), 2, axis=0)
    result = diversity.diversity([samples])
    assert (result.scales, result.warning) == (5, None)
    assert result.value == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([], "at least 1 label map"),
        ([np.zeros((1, 16, 16, 3))], "N at least 2"),
        ([np.zeros((2, 16, 16, 3)), np.zeros((3, 16, 16, 3))], "one shape"),
        ([np.zeros((2, 10, 16, 3))], "at least 11 pixels"),
        ([np.zeros((2, 16, 16))], r"\[\.\.\., H, W, 3\]"),
    ],
)
def test_unusable_samples_are_refused(maps, message):
    with pytest.raises(ValueError, match=message):
        diversity.diversity(maps)
