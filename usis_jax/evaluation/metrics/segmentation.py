"""Segmentation scores from a confusion matrix: mIoU, IoU of each class, pixel accuracy.

Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, section 4.1.3
(IoU); the paper's mIoU. One matrix is summed over all images before any ratio is taken.
"""

import dataclasses

import numpy as np

from usis_jax.errors import UserError

VOID_ONLY = "every label map is void only, so there is no pixel to read right"
_BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class SegmentationScores:
    """Segmentation scores and what they were made with.

    Args:
        miou: mean IoU over the classes that occur.
        accuracy: share of pixels that are right.
        class_accuracy: mean over the classes that occur of the share of their pixels found.
        iou: IoU of each class, K floats; None where the class neither occurs nor is predicted,
            and for void.
        num_classes: classes that the mean is over.
        pixels: pixels counted, void excluded.
        images: label maps counted, or None if not told.
        recall: share of each class's pixels that is right, K floats; None where it does not
            occur, and for void.
        shares: share of each class among the pixels counted, K floats.
    """

    miou: float
    accuracy: float
    class_accuracy: float
    iou: tuple[float | None, ...]
    num_classes: int
    pixels: int
    images: int | None
    recall: tuple[float | None, ...] = ()
    shares: tuple[float, ...] = ()


def is_void_only(labels, void):
    """Whether label maps have no pixel of any class, so that nothing in them can be read right.

    Args:
        labels: int [N, H, W], train ids.
        void: id that does not count, or None.
    """
    return void is not None and not (np.asarray(labels) != void).any()


def confusion(labels, predictions, num_classes, void=None):
    """Counts pixels by true and predicted class. Matrices of several batches may be added.

    Args:
        labels: integers [...], train ids in [0, K), or `void`.
        predictions: integers of the same shape in [0, K).
        num_classes: K.
        void: id in `labels` of pixels that do not count, inside [0, K) or not, or None. A void
            id inside [0, K) may be predicted: on a pixel that counts that is an error.
    Returns:
        int64 [K, K]: rows true classes, columns predicted ones.
    Raises:
        UserError: shapes differ, or an id is outside [0, K).
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise UserError(
            f"labels and predictions must have one shape, got {labels.shape} and "
            f"{predictions.shape}"
        )
    for name, ids in (("labels", labels), ("predictions", predictions)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise UserError(f"{name} must be integers, got {ids.dtype}")
    labels, predictions = labels.ravel(), predictions.ravel()
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for start in range(0, len(labels), _BLOCK):
        block = slice(start, start + _BLOCK)
        matrix += _count(labels[block], predictions[block], num_classes, void)
    return matrix


def _count(labels, predictions, num_classes, void):
    """The matrix of flat arrays, which it checks."""
    if void is not None:
        counted = labels != void
        labels, predictions = labels[counted], predictions[counted]
    _check_ids(labels, "labels", num_classes, void)
    _check_ids(predictions, "predictions", num_classes, None)
    pairs = labels.astype(np.int64) * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou(matrix, void=None):
    """Measures intersection over union of each class.

    Args:
        matrix: int [K, K] from `confusion`.
        void: id of the void class, or None; outside [0, K) it has no entry to leave out.
    Returns:
        float64 [K]; NaN where a class neither occurs nor is predicted, and for void.
    Raises:
        UserError: the matrix is not square.
    """
    matrix = _check_matrix(matrix)
    hits = np.diagonal(matrix).astype(np.float64)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - hits
    return _without_void(_ratio(hits, union), void)


def mean_iou(matrix, void=None):
    """Averages IoU over the classes that occur or are predicted.

    Args:
        matrix: int [K, K] from `confusion`.
        void: id of the void class, or None.
    Returns:
        float in [0, 1]; NaN of a matrix without pixels.
    Raises:
        UserError: the matrix is not square.
    """
    return _mean(iou(matrix, void))


def accuracy(matrix):
    """Measures the share of pixels that are right; NaN of a matrix without pixels.

    Args:
        matrix: int [K, K] from `confusion`.
    Returns:
        float in [0, 1].
    Raises:
        UserError: the matrix is not square.
    """
    matrix = _check_matrix(matrix)
    return float(_ratio(np.trace(matrix), matrix.sum()))


def class_accuracy(matrix, void=None):
    """Averages over the classes that occur the share of their pixels that are right.

    Args:
        matrix: int [K, K] from `confusion`.
        void: id of the void class, or None.
    Returns:
        float in [0, 1]; NaN of a matrix without pixels.
    Raises:
        UserError: the matrix is not square.
    """
    return _mean(_recall(_check_matrix(matrix), void))


def scores(matrix, void=None, images=None):
    """Takes all scores of a confusion matrix.

    Args:
        matrix: int [K, K] from `confusion`, summed over all images.
        void: id of the void class, or None.
        images: label maps that were counted, for the record.
    Returns:
        SegmentationScores.
    Raises:
        UserError: the matrix is not square, or counted no pixel.
    """
    matrix = _check_matrix(matrix)
    if not matrix.any():
        raise UserError("the confusion matrix counted no pixel: every label map was empty or void")
    each = iou(matrix, void)
    return SegmentationScores(
        miou=_mean(each),
        accuracy=accuracy(matrix),
        class_accuracy=class_accuracy(matrix, void),
        iou=_or_none(each),
        num_classes=int(np.isfinite(each).sum()),
        pixels=int(matrix.sum()),
        images=images,
        recall=_or_none(_recall(matrix, void)),
        shares=tuple((matrix.sum(axis=1) / matrix.sum()).tolist()),
    )


def _recall(matrix, void):
    """Share of each class's pixels that is right; NaN where it does not occur, and for void."""
    return _without_void(_ratio(np.diagonal(matrix), matrix.sum(axis=1)), void)


def _or_none(values):
    """Floats, None in the place of NaN."""
    return tuple(None if np.isnan(value) else float(value) for value in values)


def _check_ids(ids, name, num_classes, void):
    """Raises UserError if an id is outside [0, K)."""
    wrong = ids[(ids < 0) | (ids >= num_classes)]
    if wrong.size:
        besides = "" if void is None else f" or void={void}"
        raise UserError(
            f"{name} must be in [0, {num_classes}){besides}, got {wrong[0]} and "
            f"{wrong.size - 1} more pixels outside"
        )


def _check_matrix(matrix):
    """The matrix as an array, if it is square."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"a confusion matrix must be [K, K], got shape {matrix.shape}")
    return matrix


def _ratio(part, whole):
    """part / whole in float64; NaN where whole is 0."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _without_void(values, void):
    """The values with NaN for void."""
    if void is not None and 0 <= void < len(values):
        values[void] = np.nan
    return values


def _mean(values):
    """Mean of the values that are not NaN; NaN if none is."""
    found = values[~np.isnan(values)]
    return float(found.mean()) if found.size else float("nan")
