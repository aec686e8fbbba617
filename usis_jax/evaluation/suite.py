"""The measures of an evaluation, each with the protocol that its number belongs to.

Every result is a row: the value of generated images, the same measure of real photos beside it, and
in words what was compared with what. A measure that needs something that is missing (an evaluator,
Inception's weights, pairs) is left out, and the result says why.
"""

from usis_jax.config import schema
from usis_jax.evaluation import distance_rows, diversity_rows, segmentation_rows
from usis_jax.evaluation.distance_rows import spectra
from usis_jax.evaluation.rows import HIGHER, LOWER, Row

__all__ = [
    "DISTANCES",
    "DIVERSITY",
    "HIGHER",
    "LOWER",
    "SCORES",
    "Row",
    "rows_of",
    "spectra",
    "take",
]


def rows_of(inputs, evaluator=None, inception=None, perceptual=(), measures=None, begin=None):
    """Takes every measure that can be taken.

    Args:
        inputs: EvalInputs.
        evaluator: `segmentation_evaluator.Evaluator` of the same classes and size,
            `published_segmenters.PublishedSegmenter`, or None.
        inception: `inception_features.Extractor` for FID and KID, or None.
        perceptual: `metrics.perceptual.Perceptual` of each learned distance between samples.
        measures: names of `schema.MEASURES`, for these only; None for all.
        begin: called with the name of each measure before it is taken, or None.
    Returns:
        (list of Row, dict of id -> why it was left out).
    """
    chosen = dict.fromkeys(
        function for name in measures or _FUNCTIONS for function in _FUNCTIONS[name]
    )
    rows, left_out = take(inputs, chosen, evaluator, inception, perceptual, begin)
    if measures is not None:
        wanted = {value for name in measures for value in schema.MEASURES[name]}
        rows = [row for row in rows if row.id in wanted]
    return rows, left_out


def take(inputs, functions, evaluator=None, inception=None, perceptual=(), begin=None):
    """Takes some measures, such as those of DISTANCES; arguments and result as of `rows_of`."""
    rows, left_out = [], {}
    for measure in functions:
        if begin:
            begin(measure.__name__.removeprefix("measure_").replace("_", " "))
        found, why = measure(
            inputs, evaluator=evaluator, inception=inception, perceptual=perceptual
        )
        rows += found
        left_out |= why
    return rows, left_out


_FUNCTIONS = {
    "swd": (distance_rows.measure_sliced_wasserstein,),
    "fid": (distance_rows.measure_inception,),
    "kid": (distance_rows.measure_inception,),
    "evaluator": (
        distance_rows.measure_evaluator_distances,
        segmentation_rows.measure_evaluator_scores,
    ),
    "consistency": (segmentation_rows.measure_segmenter,),
    "ms_ssim": (diversity_rows.measure_diversity,),
    "perceptual": (diversity_rows.measure_perceptual,),
    "spectrum": (distance_rows.measure_spectrum,),
}
DISTANCES = (
    distance_rows.measure_sliced_wasserstein,
    distance_rows.measure_inception,
    distance_rows.measure_evaluator_distances,
    distance_rows.measure_spectrum,
)
"""Measures of a set of images against the validation photos."""
SCORES = (segmentation_rows.measure_evaluator_scores, segmentation_rows.measure_segmenter)
"""Measures of images against their label maps."""
DIVERSITY = (diversity_rows.measure_diversity, diversity_rows.measure_perceptual)
"""Measures of samples of the same label map."""
