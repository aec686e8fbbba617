"""Kernel distance against loops over pairs, scikit-learn's kernel, and its own statistics."""

import itertools

import numpy as np
import pytest
import sklearn.metrics.pairwise

import usis_jax
from usis_jax.evaluation.metrics import kid


def _features(seed, number, dims, shift=0.0):
    return np.random.default_rng(seed).standard_normal((number, dims)) + shift


def _by_loops(a, b):
    """Unbiased squared MMD, one pair at a time."""

    def k(x, y):
        return (float(np.dot(x, y)) / len(x) + 1.0) ** 3

    within_a = [k(x, y) for x, y in itertools.permutations(a, 2)]
    within_b = [k(x, y) for x, y in itertools.permutations(b, 2)]
    between = [k(x, y) for x, y in itertools.product(a, b)]
    return np.mean(within_a) + np.mean(within_b) - 2 * np.mean(between)


def _by_scikit_learn(a, b):
    """The same from scikit-learn's polynomial kernel."""

    def off_diagonal_mean(x):
        gram = sklearn.metrics.pairwise.polynomial_kernel(x, degree=3, coef0=1)
        return (gram.sum() - np.trace(gram)) / (len(x) * (len(x) - 1))

    between = sklearn.metrics.pairwise.polynomial_kernel(a, b, degree=3, coef0=1).mean()
    return off_diagonal_mean(a) + off_diagonal_mean(b) - 2 * between


@pytest.mark.parametrize(("numbers", "dims"), [((20, 30), 8), ((12, 9), 40), ((2, 2), 5)])
def test_full_estimate_agrees_with_loops(numbers, dims):
    a, b = _features(0, numbers[0], dims), _features(1, numbers[1], dims, shift=0.3)
    assert kid.kernel_distance(a, b) == pytest.approx(_by_loops(a, b), rel=1e-6)


def test_full_estimate_over_several_blocks_agrees_with_scikit_learn():
    a, b = _features(2, 1100, 16), _features(3, 700, 16, shift=0.1)
    expected = _by_scikit_learn(a, b)
    assert kid.kernel_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert usis_jax.evaluation.kernel_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_weighted_estimates_do_not_depend_on_the_blocks(monkeypatch):
    a, b = _features(3, 11, 4), _features(4, 14, 4, shift=1.0)
    expected = kid.compare(a, b, subsets=5, subset_size=6, bootstrap=20)
    monkeypatch.setattr(kid, "_BLOCK", 4)
    found = kid.compare(a, b, subsets=5, subset_size=6, bootstrap=20)
    for name in ("value", "low", "high", "subset_mean", "subset_deviation"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)


def test_rank_deficient_features_agree_with_loops():
    a, b = _features(4, 20, 3), _features(5, 25, 3, shift=0.2)
    a, b = (np.hstack([x, x, np.ones((len(x), 10))]) for x in (a, b))
    assert kid.kernel_distance(a, b) == pytest.approx(_by_loops(a, b), rel=1e-6)


def test_estimates_on_subsets_are_full_estimates_of_those_images():
    a, b = _features(6, 30, 6), _features(7, 40, 6, shift=0.3)
    random = np.random.default_rng(8)
    weights_a = kid._subset_weights(random, 30, 5, 12)
    weights_b = kid._subset_weights(random, 40, 5, 12)
    expected = [
        _by_loops(a[chosen_a == 1], b[chosen_b == 1])
        for chosen_a, chosen_b in zip(weights_a.T, weights_b.T, strict=True)
    ]
    np.testing.assert_allclose(kid._estimates(a, b, weights_a, weights_b), expected, rtol=1e-6)
    assert (weights_a.sum(axis=0) == 12).all() and (weights_a.std(axis=1) > 0).any()


def test_published_estimate_is_the_mean_over_subsets():
    a, b = _features(9, 200, 6), _features(10, 150, 6, shift=0.3)
    result = kid.compare(a, b, subsets=200, subset_size=50, bootstrap=0)
    assert result.subset_mean == pytest.approx(result.value, rel=0.1)
    assert 0 < result.subset_deviation < result.value
    assert (result.low, result.high) == (None, None)
    everything = kid.compare(a[:150], b, subsets=3, bootstrap=0)
    assert everything.subset_size == 150
    assert everything.subset_mean == pytest.approx(everything.value, rel=1e-9)
    assert everything.subset_deviation == pytest.approx(0, abs=1e-12)


def test_estimate_of_one_distribution_is_zero_in_the_mean():
    values = [
        kid.kernel_distance(_features(20 + i, 25, 4), _features(120 + i, 25, 4)) for i in range(100)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert min(values) < 0


def test_bootstrap_interval_covers_the_true_distance():
    truth = kid.kernel_distance(_features(30, 4000, 4), _features(31, 4000, 4, shift=0.5))
    covered = 0
    for i in range(40):
        a, b = _features(200 + i, 80, 4), _features(300 + i, 80, 4, shift=0.5)
        result = kid.compare(a, b, subsets=1, bootstrap=200, seed=i)
        assert result.low < result.value < result.high
        covered += result.low < truth < result.high
    # 95% of 40 is 38; 33 or fewer has a chance below 1 in 200.
    assert covered > 33


def test_result_names_what_it_was_made_with_and_repeats():
    a, b = _features(40, 60, 5), _features(41, 50, 5)
    result = kid.compare(a, b, subsets=4, subset_size=20, bootstrap=10, seed=3)
    assert result == kid.compare(a, b, subsets=4, subset_size=20, bootstrap=10, seed=3)
    assert result.subset_mean != kid.compare(a, b, 4, 20, 10, seed=4).subset_mean
    assert (result.number_a, result.number_b, result.dims) == (60, 50, 5)
    assert (result.subsets, result.subset_size, result.bootstrap) == (4, 20, 10)
    assert "60 and 50 images" in result.warning


def test_two_images_have_an_interval():
    result = kid.compare(_features(50, 2, 3), _features(51, 2, 3), subsets=2, bootstrap=50)
    assert np.isfinite([result.value, result.low, result.high, result.subset_mean]).all()


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 3), (4, 3)), {}, "features_a must be .* at least 2"),
        (((4, 3), (4, 2)), {}, "same number of features, got 3 and 2"),
        (((4, 3), (4, 3)), {"subset_size": 1}, "subset_size must be at least 2, got 1"),
        (((4, 3), (4, 3)), {"subsets": 0}, "subsets must be at least 1, got 0"),
    ],
)
def test_unusable_arguments_are_refused(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        kid.compare(*(np.zeros(shape) for shape in shapes), **options)
