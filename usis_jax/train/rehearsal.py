"""What would end an evaluation hours later, found in seconds before the first step."""

import importlib
from collections.abc import Callable, Sequence

import numpy as np

from usis_jax import errors
from usis_jax.config import schema
from usis_jax.config.settings import Settings
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.display import image_grid
from usis_jax.errors import UserError
from usis_jax.evaluation import suite
from usis_jax.evaluation.evaluators import inception_features
from usis_jax.evaluation.evaluators import segmentation_evaluator as evaluators
from usis_jax.evaluation.metrics import diversity, segmentation, sliced_wasserstein, spectrum
from usis_jax.storage import cache_dir

_LEAST_SIDES = {"swd": sliced_wasserstein.PATCH, "spectrum": spectrum.SMALLEST_SIDE,
                "ms_ssim": diversity.WINDOW}  # fmt: skip
FEW = 8
"""Real photos that stand in for generated images."""
OF_ALL_REAL_PHOTOS = {"fid", "fid floors", "fd_evaluator", "fd_evaluator floors", "spectra"}
"""Results in `EvalInputs.real_cache` that do not depend on the number of generated images."""
_READ_BY_CLASS = {"consistency", "evaluator"}
_BY_PIXEL = ("miou", "pixel_accuracy")


def rehearse(
    settings: Settings,
    spec: LabelSpec,
    photos: np.ndarray,
    labels: np.ndarray,
    measured: Sequence[str],
    take: Callable[[str], tuple[list[suite.Row], dict[str, str]]],
) -> list[str]:
    """Tries measures and grids on held-out data.

    Args:
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
        photos: uint8 [N, H, W, 3], held out.
        labels: int [N, H, W], held out.
        measured: names of `schema.MEASURES` that the run will take.
        take: function of such a name that takes the measure of real photos; returns (rows, dict
            of measure -> why it was left out).
    Returns:
        list of sentences on what will be left out.
    Raises:
        UserError: a measure cannot be taken, or `evaluation.best` will be left out.
    """
    notes = []
    where = f"data.validation={settings.data.validation}"
    if spec.num_classes - (spec.void is not None) == 1:
        notes.append(ONE_CLASS)
    try:
        image_grid.grid([("label map", spec.colour(labels[:1])), ("real", photos[:1])])
    except Exception as error:
        raise errors.UserError(
            f"no sample grid can be made of {where}: {_line(error)}; look at the held-out data "
            "with usis inspect"
        ) from None
    if segmentation.is_void_only(labels, spec.void) and _READ_BY_CLASS & set(measured):
        _check_best(settings, measured, where, len(labels))
        notes.append(
            f"the {len(labels)} held-out label maps of {where} are void only: mIoU and pixel "
            "accuracy are left out of every evaluation"
        )
    for name in measured:
        try:
            rows, _ = take(name)
        except Exception as error:
            raise errors.UserError(
                f"evaluation.measures is {settings.evaluation.measures}, and {name} cannot be "
                f"taken of the {len(photos)} photos of {where}: {_line(error)}; leave {name} out, "
                "use other held-out data, or set eval_interval=0"
            ) from None
        values = {row.id: row.value for row in rows}
        if not np.isfinite(values.get(settings.evaluation.best, 0.0)):
            raise errors.UserError(
                f"evaluation.best is {settings.evaluation.best}, which is not finite on the "
                f"{len(photos)} photos of {where}: choose another value of {name}, or more photos"
            )
    try:
        importlib.import_module("matplotlib.figure")
    except Exception as error:
        notes.append(f"no losses.png will be drawn: matplotlib cannot be used ({_line(error)})")
    return notes


ONE_CLASS = (
    "the label spec has a single class: every label map says the same, so the segmenter learns "
    "nothing, mIoU is always 1, and the generator sees only noise; add classes to the spec"
)


def networks(
    settings: Settings, spec: LabelSpec, measured: Sequence[str]
) -> tuple[evaluators.Evaluator | None, inception_features.Extractor | None]:
    """The networks that measures need.

    Args:
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
        measured: names of `schema.MEASURES`.
    Returns:
        (evaluator, Extractor of Inception), each None where no measure needs it.
    Raises:
        FileNotFoundError, ValueError: it is not there, or does not fit the run.
    """
    own, evaluator, extractor = settings.evaluation, None, None
    if "evaluator" in measured:
        evaluator = evaluators.Evaluator.load(own.evaluator)
        size = (settings.data.height, settings.data.width)
        evaluators.check_fits(
            evaluator, size, spec, settings.data.validation, "evaluation.evaluator"
        )
    if {"fid", "kid"} & set(measured):
        network = inception_features.inception(own.inception or None)
        extractor = inception_features.Extractor(
            network, own.preset, cache=cache_dir.folder("features")
        )
    return evaluator, extractor


def check_sizes(settings: Settings, measured: Sequence[str]) -> None:
    """Raises UserError where photos are too small for a measure."""
    side = min(settings.data.height, settings.data.width)
    for name in measured:
        least = _LEAST_SIDES.get(name, 0)
        if side < least:
            raise UserError(
                f"evaluation.measures is {settings.evaluation.measures}; {name} needs photos of at "
                f"least {least} pixels a side, these are {settings.data.height}x"
                f"{settings.data.width}; leave {name} out, or set eval_interval=0"
            )


def _check_best(settings: Settings, measured: Sequence[str], where: str, number: int) -> None:
    """Raises UserError where the value that decides the best checkpoint is one by pixel."""
    lost = {
        value
        for name in _READ_BY_CLASS & set(measured)
        for value in schema.MEASURES[name]
        if value.endswith(_BY_PIXEL)
    }
    if settings.evaluation.best in lost:
        rest = [value for name in measured for value in schema.MEASURES[name]
                if value not in lost]  # fmt: skip
        instead = f"set evaluation.best to {' or '.join(rest)}" if rest else "add a measure"
        raise errors.UserError(
            f"evaluation.best is {settings.evaluation.best}, and the {number} held-out label maps "
            f"of {where} are void only, so it cannot be measured: {instead}, or use held-out label "
            "maps with classes"
        )


def _line(error: Exception) -> str:
    """The first line of an error, with its type."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
