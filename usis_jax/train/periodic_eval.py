"""Sample grids and evaluations during training, beside the held-out real photos."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from flax import linen as nn

from usis_jax import methods
from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.diagnostics import measurements
from usis_jax.display import image_grid
from usis_jax.distributed import mesh, sharded_map
from usis_jax.errors import UserError
from usis_jax.evaluation import eval_inputs, suite
from usis_jax.inference import sampling
from usis_jax.methods.train_state import TrainState
from usis_jax.train import ema_estimates, rehearsal
from usis_jax.workdir import eval_records

GRID_ROWS = 6
EMA_SAMPLES = 3
_GROUP = "evaluation"


class _Origin(NamedTuple):
    """What measures ask of the generator that made the images."""

    settings: settings_lib.Settings
    spec: LabelSpec


class Measured(NamedTuple):
    """What was measured at one step.

    Attributes:
        rows: list of suite.Row.
        diagnostics: training diagnostics by name, from measurements.measure.
        left_out: dict of measure -> why it was not taken.
    """

    rows: list[suite.Row]
    diagnostics: dict[str, float]
    left_out: dict[str, str] = {}  # noqa: RUF012 (never changed)


class Validation:
    """Fixed label maps and noise, so that grids and values of different steps can be compared.

    On several hosts each of them has one, and all call its methods at the same steps: they share
    the work.

    Args:
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
        runner: mesh.Runner of the run.
    Raises:
        FileNotFoundError: validation data or the evaluator is not there.
        UserError: a measure cannot be taken: Inception's weights are missing, the evaluator does
            not fit the run, photos are too small or too few.
    """

    def __init__(
        self, settings: settings_lib.Settings, spec: LabelSpec, runner: mesh.Runner
    ) -> None:
        self._settings, self._spec, self._runner = settings, spec, runner
        self._measured = settings.evaluation.names if settings.eval_interval else ()
        rehearsal.check_sizes(settings, self._measured)
        self._evaluator, self._inception = rehearsal.networks(settings, spec, self._measured)
        self._method = methods.get(settings.method.name)
        networks = self._method.networks(settings, spec.num_classes, axis_name=None)
        self._networks = networks
        examples = input_pipeline.validation(settings, settings.evaluation.photos)
        if len(examples.photos) < 2 and {"fid", "kid", "evaluator"} & set(self._measured):
            raise UserError(
                f"evaluation.measures is {settings.evaluation.measures}; fid, kid and evaluator "
                f"need at least 2 photos, data.validation={settings.data.validation} has 1"
            )
        self._photos, self._labels = examples.photos, examples.labels
        self._paired = examples.paired
        self._rows = min(GRID_ROWS, len(self._labels))
        # Neighbours by name are often the same place, so the grid shows maps from all over.
        self._shown = self._spread_out(self._rows)
        self._generate = sampling.ShardedSampler(
            networks.generator, settings.generator, -(-self._rows // jax.device_count())
        )
        self._real_cache: dict[str, Any] = {}
        self._statistics = ema_estimates.EmaStatistics(settings, spec.num_classes, runner)

    def rehearse(self) -> list[str]:
        """Tries on the held-out data, without the run's networks, what grids and evaluations do.

        What depends on the real photos only is kept for the evaluations to come.

        Returns:
            list of sentences on what will be left out.
        Raises:
            UserError: a measure cannot be taken, or `evaluation.best` is one that is left out.
        """
        return rehearsal.rehearse(
            self._settings, self._spec, self._photos, self._labels, self._measured,
            functools.partial(self._rehearsed, self._photos[: rehearsal.FEW]),
        )  # fmt: skip

    def _rehearsed(
        self, generated: np.ndarray, measure: str
    ) -> tuple[list[suite.Row], dict[str, str]]:
        """One measure, real photos in the place of generated images: (rows, why not)."""
        few = min(eval_inputs.Sizes().diversity_maps, len(generated))
        found = eval_inputs.EvalInputs(
            name="", step=0, generator=cast(Any, _Origin(self._settings, self._spec)),
            labels=self._labels[: len(generated)], generated=generated, real=self._photos,
            paired=False, other=self._training_photos(),
            samples=np.stack([generated[:few], 255 - generated[:few]]),
            segmenter=None, sizes=eval_inputs.Sizes(), real_cache=dict(self._real_cache),
        )  # fmt: skip
        rows, left_out = suite.rows_of(found, self._evaluator, self._inception, measures=[measure])
        for name in rehearsal.OF_ALL_REAL_PHOTOS & found.real_cache.keys():
            self._real_cache[name] = found.real_cache[name]
        return rows, left_out

    def _spread_out(self, number: int) -> np.ndarray:
        return np.linspace(0, len(self._labels) - 1, number).astype(int)

    def ema_collections(self, state: TrainState) -> dict[str, Any]:
        """Re-estimates the EMA generator's batch statistics on fixed training label maps.

        Args:
            state: TrainState of NumPy arrays.
        Returns:
            its collections, NumPy arrays; the state itself is left as it is, so that looking at
            a run does not change it. Without batch statistics they are the live ones.
        """
        return self._statistics.collections(state)

    def grid(self, state: TrainState, ema_collections: dict[str, Any]) -> np.ndarray:
        """Generates the sample grid.

        Args:
            state: TrainState of NumPy arrays.
            ema_collections: from `ema_collections`.
        Returns:
            uint8 [H, W, 3]: label map in colour | live generator | EMA generator with three
            noises | the real validation photo, for comparison: no network ever sees it. Where
            photos and label maps are not paired, it shows another place, and its title says so.
        """
        live = {"params": state.params["generator"], **state.collections["generator"]}
        ema = self._generate.place({"params": state.ema_params, **ema_collections})
        labels = self._labels[self._shown]
        columns = [
            ("label map", self._spec.colour(labels)),
            ("live", self._generate(live, labels)[0]),
        ]
        generated = self._generate(ema, labels, 0, range(EMA_SAMPLES))
        columns += [(f"EMA, noise {n + 1}", photos) for n, photos in enumerate(generated)]
        title = "real, not a target" if self._paired else "real, another place"
        columns.append((title, self._photos[self._shown]))
        return image_grid.grid(columns)

    @property
    def num_generated(self) -> int:
        """Number of images that `measure` generates."""
        maps, samples = self._noise_maps()
        return len(self._labels) + len(maps) * len(samples)

    def measure(
        self,
        state: TrainState,
        ema_collections: dict[str, Any],
        advance: Callable[[int], Any] | None = None,
        begin: Callable[[str], Any] | None = None,
    ) -> Measured:
        """Takes `evaluation.measures` and the training diagnostics of the EMA generator's images.

        Args:
            state: TrainState of NumPy arrays.
            ema_collections: from `ema_collections`.
            advance: called with the number of images each time some are generated, or None.
            begin: called with the name of each measure before it is taken, or None.
        Returns:
            Measured, the same on every host.
        """
        ema = self._generate.place({"params": state.ema_params, **ema_collections})
        maps, samples = self._noise_maps()
        (generated,) = self._generate(ema, self._labels, advance=advance)
        # Measures ask no more of a generator than its settings and its classes.
        origin = cast(sampling.Generator, _Origin(self._settings, self._spec))
        found = eval_inputs.EvalInputs(
            name="", step=int(state.step), generator=origin,
            labels=self._labels, generated=generated, real=self._photos, paired=self._paired,
            other=self._training_photos(),
            samples=self._generate(ema, self._labels[maps], 0, samples, advance),
            segmenter=self._player(state, self._method.segmenter), sizes=eval_inputs.Sizes(),
            real_cache=self._real_cache,
            discriminator=self._player(state, self._method.discriminator),
        )  # fmt: skip
        rows, left_out = suite.rows_of(
            found, self._evaluator, self._inception, measures=self._measured, begin=begin
        )
        if begin:
            begin("training diagnostics")
        diagnostics = measurements.measure(found, rows)
        values = sharded_map.agreed([row.value for row in rows])
        rows = [
            dataclasses.replace(row, value=value) for row, value in zip(rows, values, strict=True)
        ]
        return Measured(rows, diagnostics, left_out)

    def record(self, step: int, measured: Measured) -> dict[str, Any]:
        """What the work directory keeps of a Measured: a dict of `eval_records.record`."""
        real = {"number": len(self._photos), "hash": eval_inputs.digest(self._photos)}
        return eval_records.record(
            eval_records.TRAINING, step, self._spec, len(self._labels), measured.rows,
            measured.diagnostics, measured.left_out, real_photos=real,
        )  # fmt: skip

    def _player(
        self, state: TrainState, name: str | None
    ) -> tuple[nn.Module, dict[str, Any]] | None:
        """A network and its variables in a state; None without a name."""
        if name is None:
            return None
        variables = {"params": state.params[name], **state.collections.get(name, {})}
        return getattr(self._networks, name), variables

    def _noise_maps(self) -> tuple[list[int], range]:
        """Label maps of which several images are generated, and the numbers of these samples."""
        number = self._settings.evaluation.samples if "ms_ssim" in self._measured else 2
        few = min(eval_inputs.Sizes().diversity_maps, len(self._labels))
        return self._spread_out(few).tolist(), range(1, number + 1)

    def _training_photos(self) -> np.ndarray:
        if "training" not in self._real_cache:
            photos = input_pipeline.first_photos(self._settings, len(self._labels))
            self._real_cache["training"] = photos
        return self._real_cache["training"]


def scalars(rows: list[suite.Row]) -> dict[str, float]:
    """Values of rows for the log.

    Args:
        rows: list of suite.Row.
    Returns:
        dict of floats: "evaluation/fid", and "evaluation/fid_real" where real photos have one.
    """
    found = {}
    for row in rows:
        name = f"{_GROUP}/{row.id}"
        found[name] = row.value
        if row.real is not None:
            found[f"{name}_real"] = row.real
        levels = {key: value for key, value in row.details.items() if key.startswith("swd/")}
        found |= {f"{name}_{key.removeprefix('swd/')}": value for key, value in levels.items()}
    return found


def values(rows: list[suite.Row]) -> dict[str, float]:
    """Values of rows by their names in the settings and in checkpoints, such as "fd_evaluator"."""
    return {row.id: row.value for row in rows}


def text(rows: list[suite.Row]) -> str:
    """Values of rows in one line, those of real photos in brackets."""
    return ", ".join(
        f"{row.measure} {row.value:.4g}" + ("" if row.real is None else f" (real {row.real:.4g})")
        for row in rows
    )
