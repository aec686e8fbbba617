"""Segmentation scores against scikit-learn and cases counted by hand."""

import math

import numpy as np
import pytest
import sklearn.metrics

from usis_jax.evaluation.metrics import segmentation


def _maps(seed, num_classes, shape=(3, 16, 24), right=0.6):
    """Label maps, and predictions of which a share is right."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, shape)
    guesses = random.integers(0, num_classes, shape)
    return labels, np.where(random.random(shape) < right, labels, guesses)


def test_confusion_agrees_with_scikit_learn():
    labels, predictions = _maps(0, 7)
    expected = sklearn.metrics.confusion_matrix(labels.ravel(), predictions.ravel())
    np.testing.assert_array_equal(segmentation.confusion(labels, predictions, 7), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_many_classes_do_not_overflow_small_integers(dtype):
    labels, predictions = _maps(1, 200)
    expected = sklearn.metrics.confusion_matrix(
        labels.ravel(), predictions.ravel(), labels=range(200)
    )
    matrix = segmentation.confusion(labels.astype(dtype), predictions.astype(dtype), 200)
    np.testing.assert_array_equal(matrix, expected)


def test_scores_agree_with_scikit_learn():
    labels, predictions = _maps(2, 6)
    matrix = segmentation.confusion(labels, predictions, 6)
    flat = labels.ravel(), predictions.ravel()
    jaccard = sklearn.metrics.jaccard_score(*flat, average=None)
    np.testing.assert_allclose(segmentation.iou(matrix), jaccard, rtol=1e-12)
    result = segmentation.scores(matrix, images=3)
    assert result.miou == pytest.approx(jaccard.mean(), rel=1e-12)
    assert result.iou == pytest.approx(jaccard, rel=1e-12)
    assert result.accuracy == pytest.approx(sklearn.metrics.accuracy_score(*flat), rel=1e-12)
    balanced = sklearn.metrics.balanced_accuracy_score(*flat)
    assert result.class_accuracy == pytest.approx(balanced, rel=1e-12)
    assert (result.num_classes, result.images, result.pixels) == (6, 3, labels.size)


def test_maps_are_counted_block_by_block(monkeypatch):
    labels, predictions = _maps(8, 5)
    expected = segmentation.confusion(labels, predictions, 5, void=2)
    monkeypatch.setattr(segmentation, "_BLOCK", 100)
    np.testing.assert_array_equal(segmentation.confusion(labels, predictions, 5, void=2), expected)


def test_matrices_of_batches_add_up_to_that_of_the_whole():
    labels, predictions = _maps(3, 5)
    parts = [segmentation.confusion(*pair, 5) for pair in zip(labels, predictions, strict=True)]
    np.testing.assert_array_equal(sum(parts), segmentation.confusion(labels, predictions, 5))


@pytest.mark.parametrize("void", [2, 255, -1])
def test_void_pixels_count_nowhere(void):
    labels, predictions = _maps(4, 5)
    ignored = labels == 2
    expected = sklearn.metrics.confusion_matrix(
        labels[~ignored], predictions[~ignored], labels=range(5)
    )
    matrix = segmentation.confusion(np.where(ignored, void, labels), predictions, 5, void=void)
    np.testing.assert_array_equal(matrix, expected)
    assert matrix[2].sum() == 0 and matrix[:, 2].sum() > 0


def test_void_class_has_no_iou_but_predicting_it_costs_the_true_class():
    # Class 0: 2 of 4 pixels right, one taken for void; void pixels are class 2.
    labels, predictions = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 1, 2, 1, 0])
    matrix = segmentation.confusion(labels, predictions, 3, void=2)
    result = segmentation.scores(matrix, void=2)
    assert result.iou == (2 / 4, 1 / 2, None)
    assert (result.miou, result.num_classes, result.pixels) == (0.5, 2, 5)
    assert result.accuracy == 3 / 5
    assert result.class_accuracy == (2 / 4 + 1) / 2


def test_absent_class_is_left_out_but_zero_when_wrongly_predicted():
    labels, predictions = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 3])
    result = segmentation.scores(segmentation.confusion(labels, predictions, 5))
    assert result.iou == (1.0, 0.5, None, 0.0, None)
    assert result.miou == 0.5
    assert result.class_accuracy == 0.75


def test_no_pixel_is_an_error_and_nan_before():
    labels = np.full((1, 2, 2), 255, np.uint8)
    matrix = segmentation.confusion(labels, np.zeros_like(labels), 3, void=255)
    assert math.isnan(segmentation.mean_iou(matrix)) and math.isnan(segmentation.accuracy(matrix))
    with pytest.raises(ValueError, match="counted no pixel"):
        segmentation.scores(matrix)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 3], [0, 1], r"labels must be in \[0, 3\), got 3 and 0 more"),
        ([0, 1], [0, -1], r"predictions must be in \[0, 3\), got -1"),
        ([0, 1], [0, 1, 2], "one shape"),
        ([0.0, 1.0], [0, 1], "labels must be integers, got float64"),
    ],
)
def test_unusable_maps_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        segmentation.confusion(labels, predictions, 3)
