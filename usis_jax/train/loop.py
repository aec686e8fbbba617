"""The training loop: steps, logs, sample grids, measurements, checkpoints, and a clean stop."""

import dataclasses
import itertools
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from usis_jax.checkpoint import flat_trees, manager
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.display import loss_plot
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import mesh, preemption
from usis_jax.methods.method import Method
from usis_jax.methods.train_state import TrainState
from usis_jax.report import reporting
from usis_jax.runtime import compilation
from usis_jax.storage import atomic, disk_errors
from usis_jax.train import periodic_eval, resume
from usis_jax.workdir import eval_records, layout, provenance

Metrics = dict[str, jax.Array]


class NotFiniteError(FloatingPointError):
    """A loss or the state is not finite."""


@dataclasses.dataclass
class Loop:
    """One go at a run, with what it needs at hand.

    Attributes:
        settings: Settings.
        method: what is trained.
        workdir: directory of the run.
        runner: mesh.Runner.
        spec: LabelSpec of the label maps.
        checkpoints: manager.Checkpoints.
        validation: periodic_eval.Validation, None for no grids and measurements.
        writer: a clu MetricWriter, None in all processes but the first.
        progress: display.progress.Progress.
        stop: preemption.StopSignals.
        order: number of the data's order, see `settings.rollbacks`.
        data: numbers of images, of `input_pipeline.counts`; kept in checkpoints.
        step_function: the mapped step, or a trace_cache.KeptStep.
        report: reporting.Background, None in all processes but the first.
        means: display.progress.Means of the logging interval so far.
    """

    settings: settings_lib.Settings
    method: Method
    workdir: Path
    runner: mesh.Runner
    spec: LabelSpec
    checkpoints: manager.Checkpoints
    validation: periodic_eval.Validation | None
    writer: Any
    progress: progress_lib.Progress
    stop: preemption.StopSignals
    order: int
    step_function: Any
    data: dict[str, int] = dataclasses.field(default_factory=dict)
    report: reporting.Background | None = None
    pending: tuple[int, Metrics] | None = None
    last_means: dict[str, float] = dataclasses.field(default_factory=dict)
    means: progress_lib.Means = dataclasses.field(default_factory=progress_lib.Means)
    evaluation: dict[str, float] = dataclasses.field(default_factory=dict)

    def run(self, state: TrainState, stream: Iterable, start: int) -> dict[str, Any]:
        """Steps until `settings.steps` or a signal; returns the summary."""
        began, step = time.perf_counter(), start
        if start >= self.settings.steps:
            return self.summary(start, step, None, 0.0)
        batches = mesh.prefetch(stream, self.runner)
        first = next(batches)
        compiled = compilation.compile_ahead(self.step_function, state, first)
        self.progress.restart(start)  # the bar's rate is that of steps
        batches = itertools.chain([first], batches)
        self.stop.begin()
        while step < self.settings.steps:
            state, metrics = compiled(state, next(batches))
            metrics = self.method.measured(self.settings, step, metrics)
            step += 1
            self.progress.advance()
            self.read_pending()
            self.pending = (step, _start_copy(metrics))
            stopping = self.stop_asked(step)
            self.attend(state, step, stopping)
            if stopping:
                break
        self.checkpoints.wait()
        interrupted = None if step >= self.settings.steps else self.stop.name or "preemption"
        if interrupted:
            self.progress.say(f"{interrupted}: saved step {step}; the same command goes on there")
        return self.summary(start, step, interrupted, time.perf_counter() - began)

    def stop_asked(self, step: int) -> bool:
        """Whether to stop after a step; several hosts agree on one through JAX's service."""
        if self.checkpoints.reached_preemption(step):
            self.stop.second_leaves()
            return True
        return self.runner.process_count == 1 and self.stop.name is not None

    def read_pending(self) -> None:
        """Reads the metrics of the step before, which by now is done or nearly so."""
        if self.pending is None:
            return
        (step, metrics), self.pending = self.pending, None
        values = {name: float(value) for name, value in self.runner.fetch(metrics).items()}
        try:
            self.means.add(step, values)
        except FloatingPointError as error:
            raise self.not_finite(error) from None
        if step % self.settings.log_interval == 0:
            self.log(step)

    def log(self, step: int) -> None:
        """Writes the means since the last log and the rate."""
        means = self.means.take()
        self.last_means = means or self.last_means
        rates = self.progress.rates(step)
        values = means | rates | provenance.memory()
        self.progress.show(step, values)
        if self.writer:
            self.writer.write_scalars(step, values)

    def attend(self, state: TrainState, step: int, stopping: bool) -> None:
        """Does what is due at a step: sample grid, measurement, checkpoint."""
        settings = self.settings
        last = step == settings.steps
        sample = _due(step, settings.sample_interval, last)
        measure = _due(step, settings.eval_interval, last)
        save = measure or last or stopping or _due(step, settings.checkpoint_interval, False)
        if not (sample or save):
            return
        self.read_pending()
        with self.progress.aside():
            host = self.runner.fetch(state)
            if name := flat_trees.first_not_finite(host):
                raise self.not_finite(f"step {step}: {name} of the state")
            collections, metrics = None, {}
            if self.validation:
                collections = self.validation.ema_collections(host)
                if measure:
                    metrics = self.evaluation = self.measure(step, host, collections)
                if sample:
                    self.show(step, self.validation.grid(host, collections))
            if save:
                self.save(step, host, collections, metrics)
            if measure and self.report:
                self.report.begin(self.progress.say)

    def save(
        self, step: int, host: TrainState, collections: dict | None, metrics: dict[str, float]
    ) -> None:
        """Starts a checkpoint, once the log files hold all that came before it."""
        if self.writer:
            disk_errors.check_present(self.workdir)
            self.writer.flush()
        self.checkpoints.save(
            step,
            host,
            self.settings,
            self.spec,
            collections,
            metrics,
            {"means": self.means.get_state(), "order": self.order, "data": self.data},
        )

    def measure(self, step: int, host: TrainState, collections: dict) -> dict[str, float]:
        """Takes the measures, logs them, and returns them by name."""
        assert self.validation is not None
        with self.progress.inner(self.validation.painted, "evaluate") as bar:
            found = self.validation.measure(host, collections, bar.update, bar.set_postfix_str)
        if self.writer:
            self.writer.write_scalars(step, periodic_eval.scalars(found.rows) | found.signs)
            eval_records.keep(self.workdir, self.validation.record(step, found))
        self.progress.say(f"step {step:,}: {periodic_eval.text(found.rows)}")
        return periodic_eval.values(found.rows)

    def show(self, step: int, picture: np.ndarray) -> None:
        """Writes a sample grid and the loss plot."""
        if not self.writer:
            return
        atomic.write_png(self.workdir / "samples" / f"step_{step:06d}.png", picture)
        self.writer.write_images(step, {"samples": picture[None]})
        self.writer.flush()
        loss_plot.plot_losses(self.workdir)

    def not_finite(self, what: object) -> NotFiniteError:
        """The error that ends a run which has gone astray, or has it go back."""
        self.checkpoints.wait()
        step = self.checkpoints.latest_step()
        kept = "there is no checkpoint" if step is None else f"the checkpoint of step {step} stays"
        return NotFiniteError(
            f"training stopped, not finite at {what}; {kept} in {self.workdir}; lower the rates "
            "(--config.optimizer.*), use --config.compute_dtype=float32, or let it go back by "
            "itself with --config.rollbacks"
        )

    def announce(self, start: resume.Start, rollbacks: int) -> None:
        """Says what is about to run, and from which checkpoint or imported file, if any."""
        if rollbacks:
            self.progress.say(
                f"not finite: back to step {start.step} and on with another order of the data, "
                f"{rollbacks} of {self.settings.rollbacks} times"
            )
            if self.writer:
                self.writer.write_scalars(start.step, {"data_order": self.order})
        for step, reason in start.damaged.items():
            self.progress.say(
                f"checkpoint {step} is damaged ({reason}): moved to {layout.DAMAGED_FOLDER}/, "
                f"going on from step {start.step}"
            )
        counts = ", ".join(
            f"{name} {sum(np.size(x) for x in jax.tree.leaves(params)):,}"
            for name, params in start.state.params.items()
        )
        where = f"from {start.imported} " if start.imported else ""
        where = f"from step {start.step} " if start.step else where
        self.progress.say(
            f"training {where}to step {self.settings.steps} on {self.runner.num_devices} "
            f"{jax.default_backend()} device(s); parameters: {counts}; results in {self.workdir}"
        )

    def summary(
        self, start: int, step: int, interrupted: str | None, seconds: float
    ) -> dict[str, Any]:
        """What `train` returns."""
        return {
            "workdir": str(self.workdir),
            "start_step": start,
            "step": step,
            "interrupted": interrupted,
            "seconds": seconds,
            **self.progress.overall(),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "metrics": self.last_means,
            "swd": self.evaluation.get("swd"),
            "evaluation": self.evaluation,
            "best_step": self.checkpoints.best_step(),
        }

    def close(self) -> None:
        """Writes what is left, draws the loss plot and writes the report."""
        self.progress.close()
        if self.writer:
            self.writer.close()
            loss_plot.plot_losses(self.workdir)
        if self.report:
            self.report.end(self.progress.say)


def _due(step: int, interval: int, last: bool) -> bool:
    """Whether something with an interval (0 = never) happens at a step."""
    return bool(interval) and (last or step % interval == 0)


def _start_copy(metrics: Metrics) -> Metrics:
    """Begins copying metrics to the host without waiting for them."""
    for value in metrics.values():
        value.copy_to_host_async()
    return metrics
