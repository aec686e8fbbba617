"""What a run does every so many steps beside its steps: sample grids, evaluations, loss plots.

None of it may end a run: the step is saved before, and what fails is said and left out.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from usis_jax.checkpoint import manager
from usis_jax.config.settings import Settings
from usis_jax.display import loss_plot
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import mesh
from usis_jax.methods.train_state import TrainState
from usis_jax.report import reporting
from usis_jax.storage import atomic, disk_errors
from usis_jax.train import periodic_eval
from usis_jax.workdir import eval_records, layout

T = TypeVar("T")


@dataclasses.dataclass
class Periodic:
    """Sample grids, evaluations and loss plots of a run, each at its interval.

    Attributes:
        settings: Settings.
        workdir: directory of the run.
        runner: mesh.Runner.
        checkpoints: manager.Checkpoints, to which measures are added.
        validation: periodic_eval.Validation, None for no grids and evaluations.
        writer: a clu MetricWriter, None in all processes but the first.
        progress: display.progress.Progress.
        report: reporting.Background, None in all processes but the first.
        evaluation: the newest measures by name.
        left_out: what could not be done, in words.
    """

    settings: Settings
    workdir: Path
    runner: mesh.Runner
    checkpoints: manager.Checkpoints
    validation: periodic_eval.Validation | None
    writer: Any
    progress: progress_lib.Progress
    report: reporting.Background | None = None
    evaluation: dict[str, float] = dataclasses.field(default_factory=dict)
    left_out: list[str] = dataclasses.field(default_factory=list)

    def shows(self, step: int) -> bool:
        """Whether a sample grid is due at a step; there is always one at the end."""
        return step == self.settings.steps or due(step, self.settings.sample_interval)

    def measures_at(self, step: int) -> bool:
        """Whether an evaluation is due at a step."""
        return measures_at(self.settings, step)

    def owed(self, step: int, measured: bool) -> tuple[bool, bool]:
        """What was due at the step that a run goes on from, and was not done before it ended.

        Args:
            step: int.
            measured: whether its evaluation, if one was due, is done.
        Returns:
            (whether a sample grid is owed, whether an evaluation is), the same on every host.
        """
        if not step or self.validation is None:
            return False, False
        # Only the first host has the files, so it decides.
        show = self.writer and self.shows(step) and not self.grid_file(step).is_file()
        return mesh.smallest(0 if show else 1) == 0, not measured and self.measures_at(step)

    def statistics(self, host: TrainState) -> dict | None:
        """The moving average's own statistics; None where they cannot be made."""
        if self.validation is None:
            return None
        estimate = self.validation.ema_collections
        return self.surely("its statistics", lambda: estimate(host))

    def surely(self, what: str, act: Callable[[], T]) -> T | None:
        """Returns what `act` returns; where it fails, says so and returns None: training goes on.

        Raises what must end a run: faults of the work directory. Of several hosts one cannot go on
        alone, so there every error ends the run.
        """
        try:
            return act()
        except Exception as error:
            gone = not (self.workdir / layout.CONFIG_FILE).is_file()
            if gone or self.runner.process_count > 1 or disk_errors.fault_of(error, self.workdir):
                raise
            first = (str(error).strip().splitlines() or [""])[0]
            text = f"{what} failed ({type(error).__name__}: {first}); training goes on without"
            if text not in self.left_out:
                self.left_out.append(text)
                self.progress.say(text)
            return None

    def measure(self, step: int, host: TrainState, collections: dict | None) -> None:
        """Takes the measures, logs them, adds them to the step's checkpoint, begins the report."""
        found = None
        if self.validation and collections is not None:
            found = self.surely(
                f"step {step:,}: the evaluation", lambda: self._measured(step, host, collections)
            )
        if found is not None:
            self.evaluation = found
            self.checkpoints.add_metrics(step, found)
        if self.report:
            self.report.begin(self.progress.say)

    def _measured(self, step: int, host: TrainState, collections: dict) -> dict[str, float]:
        """Measures by name, as they are logged and stored."""
        assert self.validation is not None
        with self.progress.inner(self.validation.num_generated, "evaluate") as bar:
            found = self.validation.measure(host, collections, bar.update, bar.set_postfix_str)
        if self.writer:
            eval_records.write(self.workdir, self.validation.record(step, found))
            self.writer.write_scalars(step, periodic_eval.scalars(found.rows) | found.diagnostics)
        self.progress.say(f"step {step:,}: {periodic_eval.text(found.rows)}")
        return periodic_eval.values(found.rows)

    def show(self, step: int, host: TrainState, collections: dict | None) -> None:
        """Writes a sample grid and the loss plot."""
        if self.validation is None or collections is None:
            return
        what = f"step {step:,}: the sample grid"
        draw = self.validation.grid
        picture = self.surely(what, lambda: draw(host, collections))
        if self.writer and picture is not None:
            self.surely(what, lambda: self._write_grid(step, picture))
        self.plot()

    def _write_grid(self, step: int, picture: np.ndarray) -> None:
        """Writes a sample grid to its file and to the dashboards."""
        atomic.write_png(self.grid_file(step), picture)
        self.writer.write_images(step, {"samples": picture[None]})
        self.writer.flush()

    def grid_file(self, step: int) -> Path:
        """Path of the sample grid of a step."""
        return self.workdir / "samples" / f"step_{step:06d}.png"

    def plot(self) -> None:
        """Draws the loss plot, in the first process."""
        if self.writer:
            self.surely(f"{loss_plot.PLOT_FILE}:", lambda: loss_plot.plot_losses(self.workdir))


def due(step: int, interval: int) -> bool:
    """Whether something with an interval (0 = not before the end) happens at a step."""
    return bool(interval) and step % interval == 0


def checkpoints_to_come(settings: Settings, step: int) -> int:
    """How many checkpoints a run still writes after a step, up to what it keeps at once.

    Those are `keep_checkpoints`, the best one, and the one that is being written.
    """
    last, most = settings.steps, settings.keep_checkpoints + 2
    saves = {last} if step < last else set()
    for interval in filter(None, (settings.checkpoint_interval, settings.eval_interval)):
        first = step // interval + 1
        saves |= {n * interval for n in range(first, first + most) if n * interval <= last}
    return min(len(saves), most)


def measures_at(settings: Settings, step: int) -> bool:
    """Whether an evaluation is due at a step: with the interval 0 not even at the end."""
    last = step == settings.steps
    return bool(settings.eval_interval) and (last or due(step, settings.eval_interval))
