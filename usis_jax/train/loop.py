"""The training loop: steps, logs, sample grids, measurements, checkpoints, and a clean stop."""

import contextlib
import dataclasses
import itertools
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from usis_jax.checkpoint import flat_trees, manager
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.diagnostics import loss_jumps, step_means
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import mesh, preemption
from usis_jax.methods.method import Method
from usis_jax.methods.train_state import TrainState
from usis_jax.report import reporting
from usis_jax.runtime import compilation
from usis_jax.storage import disk_errors
from usis_jax.train import periodic, periodic_eval, resume
from usis_jax.train.periodic import due
from usis_jax.workdir import layout, provenance

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
        step_function: the mapped step, or a trace_cache.CachedStep.
        report: reporting.Background, None in all processes but the first.
        means: step_means.Means of the logging interval so far.
        measured: whether the evaluation that may have been due at the first step is done.
        levels: means of the losses on the last line.
        jumps_said: how large the jump of each loss was that was said.
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
    data: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    report: reporting.Background | None = None
    pending: tuple[int, Metrics] | None = None
    last_means: dict[str, float] = dataclasses.field(default_factory=dict)
    means: step_means.Means = dataclasses.field(default_factory=step_means.Means)
    measured: bool = True
    levels: dict[str, float] = dataclasses.field(default_factory=dict)
    jumps_said: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.periodic = periodic.Periodic(
            self.settings, self.workdir, self.runner, self.checkpoints, self.validation,
            self.writer, self.progress, self.report,
        )  # fmt: skip

    def run(self, state: TrainState, stream: Iterable, start: int) -> dict[str, Any]:
        """Steps until `settings.steps` or a signal; returns the summary."""
        began, step = time.perf_counter(), start
        self.catch_up(state, start)
        if start >= self.settings.steps:
            return self.summary(start, step, None, 0.0)
        batches = mesh.prefetch(stream, self.runner)
        first = next(batches)
        compiled = compilation.compile_ahead(self.step_function, state, first)
        self.progress.restart(start)  # the bar's rate is that of steps
        batches = itertools.chain([first], batches)
        self.stop.begin()
        while step < self.settings.steps:
            try:
                state, metrics = compiled(state, next(batches))
                metrics = self.method.measured(self.settings, step, metrics)
                step += 1
                self.progress.advance()
                self.read_pending()
                self.pending = (step, _start_copy(metrics))
                stopping = self.stop_asked(step)
                self.attend(state, step, stopping)
            except Exception as error:
                self.rescue(state, step, error)
                raise
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
        """Reads the metrics of the step before, which by now is done or nearly so.

        A line is logged where one is due, and at the last step for the steps since the last line.
        """
        if self.pending is None:
            return
        (step, metrics), self.pending = self.pending, None
        values = {name: float(value) for name, value in self.runner.fetch(metrics).items()}
        try:
            self.means.add(step, values)
        except FloatingPointError as error:
            raise self.not_finite(error) from None
        whole = due(step, self.settings.log_interval)
        if whole or step == self.settings.steps:
            self.log(step, whole)

    def log(self, step: int, whole: bool = True) -> None:
        """Writes the rate and the means since the last log; they go on if the interval does."""
        highest = self.means.highest()
        means = self.means.take() if whole else self.means.so_far()
        for jump in loss_jumps.in_interval(highest, self.levels, self.spec.num_classes):
            self.say_jump(jump)
        self.last_means = means or self.last_means
        self.levels = {name: value for name, value in means.items() if name in highest}
        rates = self.progress.rates(step)
        values = means | rates | provenance.memory()
        for name, (value, _) in highest.items():
            values[f"{loss_jumps.PREFIX}{name.removeprefix(loss_jumps.LOSS)}"] = value
        self.progress.show(step, values)
        if self.writer:
            self.writer.write_scalars(step, values)

    def say_jump(self, jump: loss_jumps.Jump) -> None:
        """Says that a loss jumped, unless a larger jump of it was said already."""
        if jump.times <= self.jumps_said.get(jump.name, 0.0):
            return
        self.jumps_said[jump.name] = jump.times
        diagnostic = loss_jumps.diagnostic({}, ())
        self.progress.say(
            f"step {jump.step:,}: a loss jumps: {jump}. {diagnostic.meaning} {diagnostic.advice}"
        )

    def attend(self, state: TrainState, step: int, stopping: bool) -> None:
        """Does what is due at a step: first the checkpoint, then grid, evaluation and report."""
        last, sees = step == self.settings.steps, self.validation is not None
        sample = sees and self.periodic.shows(step)
        measure = sees and self.periodic.measures_at(step)
        save = last or stopping or measure or due(step, self.settings.checkpoint_interval)
        if not (sample or save):
            return
        self.read_pending()
        with self.progress.aside():
            host = self.finite_copy(state, step)
            collections = self.periodic.statistics(host)
            if save:
                self.save(step, host, collections)
            self.look(step, host, collections, sample, measure)

    def look(
        self, step: int, host: TrainState, collections: dict | None, sample: bool, measure: bool
    ) -> None:
        """Generates a sample grid and takes the measures, where each is due."""
        if sample:
            self.periodic.show(step, host, collections)
        if measure:
            self.periodic.measure(step, host, collections)

    def catch_up(self, state: TrainState, step: int) -> None:
        """Does what was due at the step a run goes on from, if it ended before it was done."""
        sample, measure = self.periodic.owed(step, self.measured)
        if sample or measure:
            host = self.finite_copy(state, step)
            self.look(step, host, self.periodic.statistics(host), sample, measure)

    def rescue(self, state: TrainState, step: int, error: Exception) -> None:
        """Saves the step when something ends the run that is no fault of its state, if it can."""
        if isinstance(error, NotFiniteError) or self.runner.process_count > 1:
            return
        latest = self.checkpoints.latest_step()
        if not step or (latest is not None and latest >= step):
            return
        with contextlib.suppress(Exception):  # the error that is raised explains more
            host = self.runner.fetch(state)
            if flat_trees.first_not_finite(host) is None:
                self.save(step, host, self.periodic.statistics(host))
                self.checkpoints.wait()
                self.progress.say(f"saved step {step} before it ends")

    def finite_copy(self, state: TrainState, step: int) -> TrainState:
        """The state on the host; raises NotFiniteError if it is not finite."""
        host = self.runner.fetch(state)
        if name := flat_trees.first_not_finite(host):
            raise self.not_finite(f"step {step}: {name} of the state")
        return host

    def save(self, step: int, host: TrainState, collections: dict | None) -> None:
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
            None,  # measures are added when they are taken
            {
                "means": self.means.get_state(),
                "order": self.order,
                "levels": self.levels,
                "data": self.data,
            },
        )

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

    def announce(self, start: resume.Start, rollbacks: int, notes: Sequence[str] = ()) -> None:
        """Says what is about to run, from which checkpoint or imported file, and what to know."""
        for note in notes if not rollbacks else ():
            self.progress.say(note)
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
            "swd": self.periodic.evaluation.get("swd"),
            "evaluation": self.periodic.evaluation,
            "left_out": self.periodic.left_out,
            "best_step": self.checkpoints.best_step(),
        }

    def close(self) -> None:
        """Writes what is left, draws the loss plot and writes the report."""
        self.progress.close()
        if self.writer:
            self.writer.close()
            self.periodic.plot()
        if self.report:
            self.report.end(self.progress.say)


def _start_copy(metrics: Metrics) -> Metrics:
    """Begins copying metrics to the host without waiting for them."""
    for value in metrics.values():
        value.copy_to_host_async()
    return metrics
