"""Sliced Wasserstein distance against SciPy and a closed form."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from usis_jax.evaluation.metrics import sliced_wasserstein as swd


def _photos(seed, number=6, height=32, width=64):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (number, height, width, 3), dtype=np.uint8)


def test_identical_sets_have_distance_zero():
    photos = _photos(0)
    result = swd.distance(photos, photos.copy(), patches=8, projections=16)
    assert result == {"swd": 0.0, "swd/32": 0.0, "swd/16": 0.0}


def test_distance_is_deterministic_and_grows_with_blur():
    photos = _photos(1)
    smooth = [scipy.ndimage.gaussian_filter(photos, (0, s, s, 0)) for s in (0.5, 2.0)]
    little, much = (swd.distance(photos, s, patches=32, projections=32)["swd"] for s in smooth)
    assert 0 < little < much
    assert swd.distance(photos, smooth[0], patches=32, projections=32)["swd"] == little


def test_projected_distance_of_shifted_points_is_the_closed_form():
    random = np.random.default_rng(2)
    size = 12
    points = random.standard_normal((50, size)).astype(np.float32)
    shift = random.standard_normal(size).astype(np.float32)
    directions = swd.unit_directions(size, 4000, random)
    measured = swd.projected_distance(points, points + shift, directions)
    # E|u . d| for d uniform on the sphere of R^n
    expected = (
        np.linalg.norm(shift)
        * math.gamma(size / 2)
        / (math.sqrt(math.pi) * math.gamma((size + 1) / 2))
    )
    assert measured == pytest.approx(expected, rel=0.05)
    assert measured == pytest.approx(np.abs(shift @ directions).mean(), rel=1e-4)


def test_projected_distance_agrees_with_scipy():
    random = np.random.default_rng(3)
    a, b = random.standard_normal((2, 40, 5)).astype(np.float32)
    directions = swd.unit_directions(5, 130, random)
    expected = np.mean([scipy.stats.wasserstein_distance(a @ d, b @ d) for d in directions.T])
    assert swd.projected_distance(a, b, directions) == pytest.approx(expected, rel=1e-5)


def test_first_pyramid_level_agrees_with_scipy():
    photo = _photos(4, number=1).astype(np.float32)
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])[None, :, :, None] / 256
    low = scipy.ndimage.convolve(photo, kernel, mode="mirror")[:, ::2, ::2]
    spread = np.zeros_like(photo)
    spread[:, ::2, ::2] = low
    high = photo - 4 * scipy.ndimage.convolve(spread, kernel, mode="mirror")
    levels = swd.laplacian_pyramid(photo)
    assert [level.shape[1:3] for level in levels] == [(32, 64), (16, 32)]
    np.testing.assert_allclose(levels[0], high, atol=1e-3)
    np.testing.assert_allclose(levels[1], low, atol=1e-3)


def test_colour_shift_and_contrast_are_normalised_away_as_published():
    photos = _photos(5).astype(np.float32)
    result = swd.distance(photos, 0.5 * photos + 20, patches=8, projections=16)
    assert result["swd"] == pytest.approx(0, abs=0.01)


def test_patches_are_windows_of_the_photos():
    photos = np.arange(2 * 9 * 8 * 3).reshape(2, 9, 8, 3)
    patches = swd.cut_patches(photos, 5, np.random.default_rng(0))
    assert patches.shape == (10, 7, 7, 3)
    for i, patch in enumerate(patches):
        windows = [photos[i // 5, y : y + 7, x : x + 7] for y in range(3) for x in range(2)]
        assert any((patch == window).all() for window in windows)


def test_sets_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        swd.distance(_photos(0, number=2), _photos(0, number=3))


def test_many_photos_are_cut_less_often_so_that_memory_stays(monkeypatch):
    photos = np.random.default_rng(0).integers(0, 256, (2, 6, 32, 32, 3), dtype=np.uint8)
    expected = swd.distance(*photos, patches=4)
    monkeypatch.setattr(swd, "MOST_PATCHES", 29)
    assert swd.distance(*photos, patches=50) == expected
    assert swd.distance(*photos, patches=3) != expected
