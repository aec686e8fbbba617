"""How well generated images show their label maps, as rows: mIoU and pixel accuracy."""

import dataclasses
import functools

from usis_jax import methods
from usis_jax.distributed import sharded_map
from usis_jax.evaluation.evaluators import published_segmenters
from usis_jax.evaluation.metrics import segmentation
from usis_jax.evaluation.rows import HIGHER, NO_EVALUATOR, Row, generated_images
from usis_jax.ops import pixel_range

_BATCH = 8


def measure_evaluator_scores(inputs, evaluator, **_):
    """mIoU and pixel accuracy, as an evaluator reads the generated images."""
    if evaluator is None:
        return [], {"miou": NO_EVALUATOR}
    if isinstance(evaluator, published_segmenters.PublishedSegmenter):
        labels = evaluator.labels(inputs.labels, inputs.generator.spec)
        if segmentation.is_void_only(labels, evaluator.spec.void):
            return [], {f"{_prefix(evaluator)}miou": segmentation.VOID_ONLY}
        return _published_rows(inputs, evaluator, labels), {}
    if segmentation.is_void_only(inputs.labels, inputs.generator.spec.void):
        return [], {"miou": segmentation.VOID_ONLY}
    scores = _scores(evaluator.predict(inputs.generated), inputs)
    bound = evaluator.scores
    if inputs.paired:
        bound = inputs.once(
            "miou", lambda: dataclasses.asdict(_scores(evaluator.predict(inputs.real), inputs))
        )
    where = "on the validation photos" if inputs.paired else "as measured when it was trained"
    protocol = f"{evaluator.name} on {generated_images(inputs)}; real: the evaluator {where}"
    return _segmentation_rows("", "", scores, bound, protocol), {}


def _published_rows(inputs, evaluator, labels):
    scores = _scores(evaluator.predict(inputs.generated), inputs, labels, evaluator.spec)
    bound, where = None, "none, no label maps of the real photos"
    if inputs.paired:
        bound = _scores(evaluator.predict(inputs.real), inputs, labels, evaluator.spec)
        bound, where = dataclasses.asdict(bound), "the same evaluator on the validation photos"
    protocol = (
        f"{evaluator.name}, {evaluator.spec.num_classes - 1} classes of {evaluator.spec.name}, "
        f"void left out; {generated_images(inputs)}; real: {where}"
    )
    return _segmentation_rows(_prefix(evaluator), f"{evaluator.key} ", scores, bound, protocol)


def _prefix(evaluator):
    """What the ids of a published segmenter's rows begin with."""
    return f"{evaluator.key.replace('-', '_')}_"


def measure_segmenter(inputs, **_):
    """Consistency: mIoU and pixel accuracy, as the run's own segmenter reads the images."""
    if inputs.segmenter is None:
        return [], {"consistency_miou": "the run has no segmenter"}
    if segmentation.is_void_only(inputs.labels, inputs.generator.spec.void):
        return [], {"consistency_miou": segmentation.VOID_ONLY}
    network, variables = inputs.segmenter
    method = methods.get(inputs.generator.settings.method.name)
    read = _reader(method.read_labels, network)
    scores = _scores(read(variables, inputs.generated), inputs)
    images = generated_images(inputs)
    protocol = f"the run's own segmenter S on {images}; it never saw a real photo"
    return _segmentation_rows("consistency_", "consistency ", scores, None, protocol), {}


def _segmentation_rows(prefix, title, scores, bound, protocol):
    bound = bound or {}
    details = dataclasses.asdict(scores) | {"iou_of_real": bound.get("iou")}
    return [
        Row(
            f"{prefix}miou",
            f"{title}mIoU",
            scores.miou,
            bound.get("miou"),
            HIGHER,
            protocol,
            None,
            details,
        ),
        Row(
            f"{prefix}pixel_accuracy",
            f"{title}pixel accuracy",
            scores.accuracy,
            bound.get("accuracy"),
            HIGHER,
            protocol,
        ),
    ]


def _scores(predicted, inputs, labels=None, spec=None):
    """Scores of predictions against label maps, by default those of the run."""
    labels, spec = inputs.labels if labels is None else labels, spec or inputs.generator.spec
    matrix = segmentation.confusion(labels, predicted, spec.num_classes, spec.void)
    return segmentation.scores(matrix, spec.void, len(labels))


@functools.lru_cache(maxsize=4)
def _reader(read_labels, network):
    """A segmenter on all devices: uint8 images -> ids of classes."""
    return sharded_map.Spread(
        lambda variables, photo: read_labels(network, variables, pixel_range.to_float(photo)),
        _BATCH,
    )
