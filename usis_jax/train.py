"""The training loop: steps, logs, sample grids, measurements, checkpoints, and a clean stop."""

import dataclasses
import functools
import itertools
import resource
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from usis_jax import (
    atomic,
    checkpoint,
    compilation_cache,
    logs,
    parallel,
    plots,
    signals,
    steps,
    trees,
    validation,
    workdirs,
)
from usis_jax import settings as settings_lib
from usis_jax import state as state_lib
from usis_jax.data import streams
from usis_jax.models import registry


def train(settings, workdir, accept_config_change=False, progress=True):
    """Trains a run to `settings.steps`, from its latest checkpoint or from the start.

    The start is fresh networks, but for the generator if one was imported into `workdir`.

    Args:
        settings: Settings.
        workdir: directory of the run; made when everything was checked.
        accept_config_change: go on although the run was started with another config.
        progress: show a progress bar.
    Returns:
        dict: workdir, start_step, step, interrupted (name of a signal or None), seconds,
        steps_per_second, images_per_second, peak_memory_mib, metrics (last means), swd,
        evaluation (last values by name), best_step.
    Raises:
        ValueError: the config does not fit the devices, or is not the one of `workdir`, or not
            that of the generator that was imported there; or a measure cannot be taken.
        FileNotFoundError: data is not prepared, or `evaluation.judge` is no judge.
        PermissionError: `workdir` cannot be written.
        OSError: the disk has no space for a checkpoint.
        FloatingPointError: a loss or the state is not finite; the last good checkpoint stays.
    """
    workdir = Path(workdir)
    parallel.initialize()
    runner = parallel.Runner(settings.mapping)
    settings_lib.check_devices(settings, runner.num_devices)
    workdirs.check(settings, workdir, accept_config_change)
    compilation_cache.use(workdir, settings.compilation_cache)
    spec = streams.spec(settings)
    networks = registry.build(settings, spec.num_classes)
    start = _latest_step(workdir)
    hosts = (runner.process_index, runner.process_count)
    stream = streams.training(settings, start, *hosts)
    main = runner.process_index == 0
    watch = validation.Validation(settings, spec, runner)
    if main:
        workdirs.create(workdir, settings)
    best = settings.evaluation.best
    with checkpoint.Checkpoints(workdir, settings.keep_checkpoints, best=best) as checkpoints:
        state, imported = _first_state(settings, spec.num_classes, checkpoints, start)
        run = _Run(
            settings=settings,
            workdir=workdir,
            runner=runner,
            spec=spec,
            checkpoints=checkpoints,
            validation=watch,
            writer=logs.create_writer(workdir, start) if main else None,
            progress=logs.Progress(start, settings.steps, settings.batch_size, progress and main),
            step_functions=_step_functions(settings, networks, spec, runner),
        )
        try:
            run.announce(state, start, imported)
            checkpoints.check_space(state)
            return run.loop(runner.place(state), stream, start)
        finally:
            run.close()


@dataclasses.dataclass
class _Run:
    """One call of `train`: what the loop needs at hand."""

    settings: Any
    workdir: Path
    runner: Any
    spec: Any
    checkpoints: Any
    validation: Any
    writer: Any
    progress: Any
    step_functions: dict
    pending: Any = None
    last_means: dict = dataclasses.field(default_factory=dict)
    means: Any = dataclasses.field(default_factory=logs.Means)
    evaluation: dict = dataclasses.field(default_factory=dict)

    def loop(self, state, stream, start):
        """Steps until `settings.steps` or a signal; returns the summary."""
        began, step = time.perf_counter(), start
        batches = parallel.prefetch(stream, self.runner)
        first = next(batches)
        interval = self.settings.r1_interval
        penalise = bool(interval) and start % interval == 0
        compiled = self.runner.compile_all(self.step_functions, state, first, penalise)
        compiled[penalise]  # waits: the bar's rate is that of steps
        self.progress.restart(start)
        batches = itertools.chain([first], batches)
        with signals.StopSignals(self.runner.process_count == 1) as stop:
            while step < self.settings.steps:
                penalise = bool(interval) and step % interval == 0
                state, metrics = compiled[penalise](state, next(batches))
                step += 1
                self.progress.advance()
                self.read_pending()
                self.pending = (step, _start_copy(metrics))
                stopping = stop.name or self.checkpoints.reached_preemption(step)
                self.attend(state, step, bool(stopping))
                if stopping:
                    break
        self.checkpoints.wait()
        interrupted = None if step >= self.settings.steps else stop.name or "preemption"
        if interrupted:
            self.progress.say(f"{interrupted}: saved step {step}; the same command goes on there")
        return self.summary(start, step, interrupted, time.perf_counter() - began)

    def read_pending(self):
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

    def log(self, step):
        """Writes the means since the last log and the rate."""
        means = self.means.take()
        self.last_means = means or self.last_means
        rates = self.progress.rates(step)
        self.progress.show(means, rates)
        if self.writer:
            self.writer.write_scalars(step, means | rates)

    def attend(self, state, step, stopping):
        """Does what is due at a step: sample grid, measurement, checkpoint."""
        settings = self.settings
        last = step == settings.steps or stopping
        sample = _due(step, settings.sample_interval, last and not stopping)
        measure = _due(step, settings.eval_interval, last and not stopping)
        if not (sample or measure or last or _due(step, settings.checkpoint_interval, False)):
            return
        self.read_pending()
        with self.progress.aside():
            host = self.runner.fetch(state)
            self.check_finite(host, step)
            collections, metrics = None, {}
            if self.validation:
                collections = self.validation.ema_collections(host)
                if measure:
                    metrics = self.evaluation = self.measure(step, host, collections)
                if sample:
                    self.show(step, self.validation.grid(host, collections))
            if measure or last or _due(step, settings.checkpoint_interval, False):
                self.checkpoints.save(step, host, settings, self.spec, collections, metrics)

    def measure(self, step, host, collections):
        """Takes the measures, logs them, and returns them by name."""
        with self.progress.inner(self.validation.painted, "evaluate") as bar:
            rows = self.validation.measure(host, collections, bar.update, bar.set_postfix_str)
        if self.writer:
            self.writer.write_scalars(step, validation.scalars(rows))
        self.progress.say(f"step {step}: {validation.text(rows)}")
        return validation.values(rows)

    def show(self, step, picture):
        """Writes a sample grid and the loss plot."""
        if not self.writer:
            return
        atomic.write_png(self.workdir / "samples" / f"step_{step:06d}.png", picture)
        self.writer.write_images(step, {"samples": picture[None]})
        self.writer.flush()
        plots.plot_losses(self.workdir)

    def check_finite(self, host, step):
        """Raises FloatingPointError when an array of the state is not finite."""
        for name, value in trees.flatten(host).items():
            if value.dtype.kind not in "iub" and not np.isfinite(value).all():
                raise self.not_finite(f"step {step}: {name} of the state")

    def not_finite(self, what):
        """The error that ends a run which has gone astray."""
        self.checkpoints.wait()
        kept = self.checkpoints.latest_step()
        kept = "there is no checkpoint" if kept is None else f"the checkpoint of step {kept} stays"
        return FloatingPointError(
            f"training stopped, not finite at {what}; {kept} in {self.workdir}; lower the rates "
            "(--config.optimizer.*) or use --config.compute_dtype=float32"
        )

    def announce(self, state, start, imported):
        """Says what is about to run, and from which imported file, if any."""
        counts = ", ".join(
            f"{name} {sum(np.size(x) for x in jax.tree.leaves(params)):,}"
            for name, params in state.params.items()
        )
        where = f"from step {start} " if start else f"from {imported} " if imported else ""
        self.progress.say(
            f"training {where}to step {self.settings.steps} on {self.runner.num_devices} "
            f"{jax.default_backend()} device(s); parameters: {counts}; results in {self.workdir}"
        )

    def summary(self, start, step, interrupted, seconds):
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

    def close(self):
        """Writes what is left and draws the loss plot."""
        self.progress.close()
        if self.writer:
            self.writer.close()
            plots.plot_losses(self.workdir)


def _step_functions(settings, networks, spec, runner):
    """The mapped steps: {False: without R1, True: with R1 if it is on}."""
    step = functools.partial(steps.train_step, settings=settings, networks=networks, void=spec.void)
    kinds = (False, True) if settings.r1_interval else (False,)
    return {on: runner.compile(functools.partial(step, penalise=on)) for on in kinds}


def _first_state(settings, num_classes, checkpoints, start):
    """The state to go on from, and the file of the imported generator in it or None."""
    if start:
        shapes = state_lib.shapes(settings, num_classes)
        return checkpoints.restore(shapes, start), None
    state, imported = state_lib.create(settings, num_classes), checkpoints.restore_imported()
    if imported is None:
        return state, None
    variables, file = imported
    return state_lib.with_generator(state, variables, f"the generator of {file}"), file


def _due(step, interval, last):
    """Whether something with an interval (0 = never) happens at a step."""
    return bool(interval) and (last or step % interval == 0)


def _start_copy(metrics):
    """Begins copying metrics to the host without waiting for them."""
    for value in metrics.values():
        value.copy_to_host_async()
    return metrics


def _latest_step(workdir):
    """Step of the newest checkpoint, 0 if there is none."""
    if not (workdir / "checkpoints").is_dir():
        return 0
    with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.latest_step() or 0
