"""Fréchet distance against SciPy's matrix root, closed forms and streams of features."""

import numpy as np
import pytest
import scipy.linalg

from usis_jax.evaluation.metrics import fid


def _features(seed, number, dims, shift=0.0):
    """Correlated features with a spectrum that falls, as those of networks do."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((dims, dims)) / np.arange(1, dims + 1)
    return random.standard_normal((number, dims)) @ mixing + shift


def _by_matrix_root(a, b):
    """The published formula: np.cov and scipy.linalg.sqrtm."""
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    step = a.mean(axis=0) - b.mean(axis=0)
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b)
    return step @ step + np.trace(covariance_a + covariance_b - 2 * root.real)


def _by_eigenvalues(a, b):
    """Sum of roots of the eigenvalues of root(A) B root(A), which stays real at any rank."""
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ covariance_b @ root)
    step = a.mean(axis=0) - b.mean(axis=0)
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return step @ step + traces - 2 * np.sqrt(np.maximum(mixed, 0)).sum()


@pytest.mark.parametrize("numbers", [(200, 300), (33, 200), (60, 33)])
def test_distance_of_full_rank_features_agrees_with_matrix_root(numbers):
    a, b = _features(0, numbers[0], 32), _features(1, numbers[1], 32, shift=0.1)
    assert fid.distance(a, b) == pytest.approx(_by_matrix_root(a, b), rel=1e-6)


@pytest.mark.parametrize("numbers", [(10, 15), (20, 100), (2, 2)])
def test_distance_of_fewer_images_than_features_agrees_with_eigenvalues(numbers):
    a, b = _features(2, numbers[0], 40), _features(3, numbers[1], 40, shift=0.1)
    assert fid.distance(a, b) == pytest.approx(_by_eigenvalues(a, b), rel=1e-6)


def test_features_that_never_vary_change_nothing():
    a, b = _features(4, 80, 12), _features(5, 90, 12)
    wide_a, wide_b = (np.hstack([x, np.ones((len(x), 8)), x[:, :3]]) for x in (a, b))
    expected = _by_eigenvalues(wide_a, wide_b)
    assert fid.distance(wide_a, wide_b) == pytest.approx(expected, rel=1e-6)
    assert fid.distance(
        np.hstack([a, np.ones((80, 8))]), np.hstack([b, np.ones((90, 8))])
    ) == pytest.approx(fid.distance(a, b), rel=1e-12)


def test_shifted_features_have_the_squared_length_of_the_shift():
    a = _features(6, 50, 9)
    shift = np.arange(9.0)
    result = fid.compare(a, a + shift)
    assert result.value == pytest.approx(shift @ shift, rel=1e-12)
    assert result.mean_term == pytest.approx(shift @ shift, rel=1e-12)
    assert result.covariance_term == pytest.approx(0, abs=1e-10)


def test_scaled_gaussian_has_the_closed_form():
    a = _features(7, 400, 16)
    a -= a.mean(axis=0)
    expected = (3 - 1) ** 2 * np.trace(np.cov(a, rowvar=False))
    assert fid.distance(a, 3 * a) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("number", [5, 64])
def test_set_has_no_distance_to_itself_in_another_order(number):
    a = _features(8, number, 24, shift=100.0)
    reversed_distance = fid.distance(a, a[::-1])
    assert 0 <= reversed_distance < 1e-9


@pytest.mark.parametrize("cuts", [(1, 2, 50), (7, 130), (100, 101)])
def test_streamed_statistics_equal_those_of_the_whole(cuts):
    features = _features(9, 200, 30, shift=50.0)
    streamed = fid.Statistics.of_batches(iter(np.split(features, cuts)))
    assert streamed.number == 200
    assert len(streamed.factor) <= 30
    np.testing.assert_allclose(streamed.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(features, rowvar=False), atol=1e-11)
    other = _features(10, 150, 30, shift=50.0)
    assert fid.distance(streamed, other) == pytest.approx(fid.distance(features, other), rel=1e-9)


def test_published_moments_and_saved_statistics_give_the_same_distance(tmp_path):
    a, b = _features(11, 90, 20), _features(12, 15, 20)
    expected = fid.distance(a, b)
    moments = fid.Statistics.of_moments(a.mean(axis=0), np.cov(a, rowvar=False), 90)
    assert fid.distance(moments, b) == pytest.approx(expected, rel=1e-9)
    fid.Statistics.of(a).save(tmp_path / "a.npz")
    loaded = fid.Statistics.load(tmp_path / "a.npz")
    assert fid.distance(loaded, b) == expected


def test_result_names_numbers_and_warns_under_2048_images():
    many, few = _features(13, 2048, 4), _features(14, 2047, 4)
    assert fid.compare(many, many).warning is None
    result = fid.compare(many, few)
    assert (result.number_a, result.number_b, result.dims) == (2048, 2047, 4)
    assert "2048 and 2047 images" in result.warning


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), r"features_a must be .* at least 2"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "same number of features, got 3 and 2"),
        (np.zeros((4, 3)), np.full((4, 3), np.nan), "features_b must be finite.* 4 of 4"),
        (np.zeros((4, 3)), np.zeros(4), r"features_b must be \[N, D\]"),
    ],
)
def test_unusable_features_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        fid.distance(a, b)
