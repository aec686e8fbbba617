"""Controls: images that a person ranks at a glance, through the same measures as generated images.

An untrained generator's images are worse than a trained one's, and these worse than photos; a photo
loses by blurring, and a label map in flat colours has no texture at all. A measure that ranks them
otherwise is not to be believed on these data, and the table says so.

Distances compare sets with the validation photos, so their control is the training photos, blurred:
against the validation photos' own blurred copies they would be near for showing the same places.
Scores of segmenters need the label maps, so their control is the validation photos, blurred.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from usis_jax import methods
from usis_jax.data.pipeline import input_pipeline
from usis_jax.evaluation import eval_inputs, suite
from usis_jax.inference import ema_statistics, sampling

UNTRAINED, REAL, FAINT, STRONG, FLAT = "untrained", "real", "faint blur", "strong blur", "flat"
NAMES = (UNTRAINED, FAINT, STRONG, FLAT)
"""Columns of the controls."""
BLURS = {FAINT: 0.7, STRONG: 3.0}
"""Standard deviations of Gaussian blurs, in pixels of 64 rows; in proportion for larger photos."""
_DIVERSITY = ("ms_ssim", "lpips", "st_lpips")
_BATCHES = 8


def add(
    rows: Sequence[suite.Row],
    inputs: eval_inputs.EvalInputs,
    advance: Callable | None = None,
    **tools,
) -> list[suite.Row]:
    """The rows with the controls' values, and a warning where a measure orders them otherwise.

    One control at a time is kept in memory.

    Args:
      rows: from `suite.rows_of` with the same inputs.
      inputs: EvalInputs that were measured.
      advance: called with the number of images each time some were measured, or None.
      tools: evaluator, inception and perceptual, as of `suite.rows_of`.

    Returns:
      The rows, each with `controls`: name -> value, None where it has none.

    Raises:
      FileNotFoundError: data is not prepared any more.
    """
    by_name = {row.id: row for row in rows}
    values = {name: dict.fromkeys(NAMES) for name in by_name}
    for name, subject, functions in _subjects(inputs):
        for row in suite.take(subject, functions, **tools)[0]:
            if name == REAL:
                by_name[row.id] = _with_real(by_name[row.id], row)
            else:
                values[row.id][name] = row.value
        if advance:
            advance(len(subject.generated))
        del subject
    return [_warned(dataclasses.replace(by_name[name], controls=values[name])) for name in by_name]


def disorder(row: suite.Row) -> list[str]:
    """Pairs that a measure does not order as a person would.

    Args:
      row: with `controls`.

    Returns:
      Such as "flat before generated" where a measure prefers the first and a person the second;
      none for measures of diversity, which do not say what is good.
    """
    if row.id.startswith(_DIVERSITY):
        return []
    values = {**row.controls, "generated": row.value, "real": row.real}
    pairs = ((UNTRAINED, "generated"), ("generated", "real"), (STRONG, FAINT), (FAINT, "real"),
             (FLAT, "generated"), (FLAT, "real"))  # fmt: skip
    sign = 1 if row.better == suite.HIGHER else -1
    return [
        f"{worse} before {better}"
        for worse, better in pairs
        if values[worse] is not None
        and values[better] is not None
        and sign * values[worse] >= sign * values[better]
    ]


def untrained(generator: sampling.Generator) -> sampling.Generator:
    """A generator of the same configuration with the weights that training starts from.

    Its batch statistics are those of its own activations on training label maps.

    Args:
      generator: of a run.

    Returns:
      sampling.Generator of step 0.

    Raises:
      FileNotFoundError: the run's training data is not prepared any more.
    """
    settings, network = generator.settings, generator.network
    stream = input_pipeline.training(settings)
    key = jax.random.key(settings.seed)

    @jax.jit
    def estimate(params, collections, label, number):
        z = sampling.map_noise(settings.generator, jax.random.fold_in(key, number), label.shape)
        return ema_statistics.estimate_statistics(network, params, collections, label, z)

    initial = methods.get(settings.method.name).create(settings, generator.spec.num_classes)
    params, collections = initial.params["generator"], initial.collections["generator"]
    found = []
    for number in range(_BATCHES):
        collections = estimate(params, collections, next(stream)["label"], number)
        found.append(collections["batch_stats"])
    statistics = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *found)
    variables = {"params": params, **collections, "batch_stats": statistics}
    return sampling.Generator(network, variables, settings, generator.spec)


def blurred(photos: np.ndarray, deviation: float) -> np.ndarray:
    """Photos through a Gaussian filter with mirrored borders.

    Args:
      photos: uint8 [N, H, W, 3].
      deviation: in pixels of 64 rows; the filter grows with the shorter side.

    Returns:
      uint8 [N, H, W, 3].
    """
    sigma = deviation * min(photos.shape[1:3]) / 64
    reach = max(1, round(4 * sigma))
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    weights = (weights / weights.sum()).astype(np.float32)
    found = np.empty_like(photos)
    for i, photo in enumerate(photos):
        smooth = photo.astype(np.float32)
        for axis in (0, 1):
            margin = [(reach, reach) if other == axis else (0, 0) for other in range(3)]
            wide = np.pad(smooth, margin, mode="symmetric")
            smooth = sum(
                weight * wide.take(range(k, k + photo.shape[axis]), axis)
                for k, weight in enumerate(weights)
            )
        found[i] = np.rint(smooth).clip(0, 255)
    return found


def flat_colours(inputs: eval_inputs.EvalInputs) -> np.ndarray:
    """Label maps in one colour a class: its mean in the real photos, or the palette's.

    Args:
      inputs: whose real photos belong to the label maps, or else the palette is taken.

    Returns:
      uint8 [N, H, W, 3].
    """
    spec, colours = inputs.generator.spec, inputs.generator.spec.colours
    if inputs.paired:
        total, number = np.zeros((spec.num_classes, 3)), np.zeros(spec.num_classes)
        for labels, photos in zip(inputs.labels, inputs.real, strict=True):
            flat = labels.ravel()
            number += np.bincount(flat, minlength=spec.num_classes)
            for channel in range(3):
                total[:, channel] += np.bincount(
                    flat, photos[..., channel].ravel(), spec.num_classes
                )
        mean = np.rint(total / np.maximum(number, 1)[:, None]).astype(np.uint8)
        colours = np.where(number[:, None] > 0, mean, colours)
    return colours[inputs.labels]


def _subjects(inputs) -> Iterator[tuple[str, Any, Sequence[Callable]]]:
    """(name of the control, EvalInputs with its images as the generated ones, what to measure)."""
    everything = (*suite.DISTANCES, *suite.SCORES, *suite.DIVERSITY)
    generated, samples = eval_inputs.generate_all(
        untrained(inputs.generator), inputs.labels, inputs.sizes
    )
    yield UNTRAINED, dataclasses.replace(inputs, generated=generated, samples=samples), everything
    del generated, samples
    chosen = eval_inputs.spread_out(len(inputs.real), inputs.sizes.samples)
    if len(chosen) > 1:
        different = dataclasses.replace(inputs, samples=inputs.real[chosen][:, None])
        yield REAL, different, suite.DIVERSITY
    if inputs.paired:
        yield REAL, _showing(inputs, inputs.real), (suite.SCORES[-1],)
    others = inputs.real if inputs.other is None else inputs.other
    for name, deviation in BLURS.items():
        yield name, _showing(inputs, blurred(others, deviation)), suite.DISTANCES
        if inputs.paired:
            yield name, _showing(inputs, blurred(inputs.real, deviation)), suite.SCORES
    flat = _showing(inputs, flat_colours(inputs))
    yield FLAT, flat, (*suite.DISTANCES, *suite.SCORES)


def _showing(inputs, photos):
    return dataclasses.replace(inputs, generated=photos)


def _with_real(row, found):
    """A row that had no bound, with one that only the controls ask for."""
    what = (
        "pairs of different validation photos"
        if row.id.startswith(_DIVERSITY)
        else ("the same on the validation photos")
    )
    return dataclasses.replace(row, real=found.value, protocol=f"{row.protocol}; real: {what}")


def _warned(row):
    """A row with a warning where its controls are in another order than a person's."""
    wrong = disorder(row)
    if not wrong:
        return row
    note = f"does not rank these images as a person does: it puts {', '.join(wrong)}"
    return dataclasses.replace(row, warning="; ".join(filter(None, [row.warning, note])))
