"""The measures' public names, which scripts rely on."""

import numpy as np
import pytest

import usis_jax


def test_public_measures_work_from_the_package():
    features = np.random.default_rng(0).standard_normal((2, 20, 4))
    assert usis_jax.evaluation.frechet.distance(*features) > 0
    assert np.isfinite(usis_jax.evaluation.kernel_distance(*features))
    photo = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert usis_jax.evaluation.ms_ssim(photo, photo) == pytest.approx(1, abs=1e-6)
    labels = np.array([[0, 1], [1, 1]])
    assert usis_jax.evaluation.confusion(labels, labels, 2).tolist() == [[1, 0], [0, 3]]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'fid'"):
        usis_jax.evaluation.fid  # noqa: B018
