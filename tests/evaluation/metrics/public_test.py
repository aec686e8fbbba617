import subprocess
import sys

import numpy as np
import pytest

import usis_jax


def test_distances_of_sets_moved_apart_are_those_of_their_formulas():
    a = np.random.default_rng(0).normal(size=(40, 3))
    shift = np.array([3.0, 0.0, 4.0])
    assert usis_jax.metrics.frechet_distance(a, a + shift) == pytest.approx(25)

    def kernel(x, y):
        return (x @ y.T / 3 + 1) ** 3

    b = a + shift
    off = ~np.eye(40, dtype=bool)
    expected = kernel(a, a)[off].mean() + kernel(b, b)[off].mean() - 2 * kernel(a, b).mean()
    assert usis_jax.metrics.kernel_distance(a, b) == pytest.approx(expected)


def test_images_and_label_maps_are_compared_one_by_one():
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(usis_jax.metrics.ms_ssim(images, images), [1, 1], atol=1e-6)
    matrix = usis_jax.metrics.confusion_matrix(
        np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), num_classes=3, void=0
    )
    assert matrix.tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 1]]


def test_they_are_listed_and_cost_no_import_before_they_are_used():
    names = {"frechet_distance", "kernel_distance", "ms_ssim", "confusion_matrix"}
    assert names == set(usis_jax.metrics.__all__) <= set(dir(usis_jax.metrics))
    with pytest.raises(AttributeError, match="has no attribute 'psnr'"):
        _ = usis_jax.metrics.psnr
    code = "import sys, usis_jax; usis_jax.metrics; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
