"""A training run: what it goes on from, what it needs, and how often it goes back."""

import contextlib
import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

from usis_jax import methods
from usis_jax.checkpoint import manager, readback
from usis_jax.config import settings as settings_lib
from usis_jax.config.settings import Settings
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.diagnostics import meanings, step_means
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import liveness, mesh, preemption
from usis_jax.errors import UserError
from usis_jax.methods.method import Method
from usis_jax.report import reporting
from usis_jax.runtime import compilation_cache, host_memory, trace_cache
from usis_jax.storage import disk_errors, lock, paths
from usis_jax.train import loop, periodic, periodic_eval, resume
from usis_jax.workdir import eval_records, layout, metric_writers, provenance, wandb_writer


def train(
    settings: Settings,
    workdir: str | Path,
    accept_config_change: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains a run to `settings.steps`, from its latest checkpoint or from the start.

    The start is fresh networks, but for the generator if one was imported into `workdir`.

    Args:
        settings: Settings.
        workdir: directory of the run; made when everything was checked.
        accept_config_change: go on although the run was started with another config, or with other
            data of the same classes.
        progress: show a progress bar.
    Returns:
        dict: workdir, start_step, step, interrupted (name of a signal or None), seconds,
        steps_per_second, images_per_second, peak_memory_mib, metrics (last means), swd,
        evaluation (last values by name), best_step.
    Raises:
        UserError: the config does not fit the devices, or is not the one of `workdir`, or not
            that of the generator that was imported there; another run uses `workdir`, or all its
            checkpoints are damaged; or a measure cannot be taken.
        FileNotFoundError: data is not prepared, or `evaluation.evaluator` holds no evaluator.
        PermissionError: `workdir` cannot be written.
        OSError: the disk has no space for a checkpoint.
        NotFiniteError: a loss or the state is not finite, more often than `settings.rollbacks`
            allows; the last good checkpoint stays.
    """
    workdir = paths.of(workdir, "--workdir", paths.FOLDER)
    layout.check_name(workdir)
    mesh.initialize()
    runner = mesh.Runner(settings.mapping)
    settings_lib.check_devices(settings, runner.num_devices)
    wandb_writer.check_wandb(settings)
    with lock.Lock(workdir) if runner.process_index == 0 else contextlib.nullcontext():
        layout.check(settings, workdir, accept_config_change)
        compilation_cache.use(workdir, settings.compilation_cache)
        alone = runner.process_count == 1
        with preemption.StopSignals(alone, liveness.leave) as stop, disk_errors.quiet():
            for rollbacks in itertools.count():
                try:
                    return _train(
                        settings, workdir, runner, stop, progress, rollbacks, accept_config_change
                    )
                except loop.NotFiniteError:
                    if rollbacks == settings.rollbacks:
                        raise
    raise AssertionError("the loop above ends by returning or raising")


def _train(
    settings: Settings,
    workdir: Path,
    runner: mesh.Runner,
    stop: preemption.StopSignals,
    progress: bool,
    rollbacks: int,
    accept: bool,
) -> dict[str, Any]:
    """`train`, when it is known that the run may be there, after so many roll-backs of its own."""
    spec = input_pipeline.spec(settings)
    method = methods.get(settings.method.name)
    data = input_pipeline.counts(settings)
    start = resume.find(settings, workdir, spec, data, accept)
    hosts = (runner.process_index, runner.process_count)
    order = start.progress.get("order", 0) + rollbacks
    stream = input_pipeline.training(_in_order(settings, order), start.step, *hosts)
    main = runner.process_index == 0
    watch = periodic_eval.Validation(settings, spec, runner)
    notes = watch.rehearse() if start.step < settings.steps else []
    if main:
        layout.create(workdir, settings)
        for step in start.damaged:
            layout.set_aside(workdir, step)
        eval_records.drop_after(workdir, start.step)
        provenance.note_start(workdir, start.step)
    if mesh.smallest(start.step) != start.step:
        raise UserError(
            f"the processes do not see the same checkpoints in {workdir}: process "
            f"{runner.process_index} sees {start.step} as the newest good one; use a directory "
            "that all hosts share, and start again"
        )
    best = settings.evaluation.best
    with (
        disk_errors.naming_faults(workdir, running=True),
        manager.Checkpoints(workdir, settings.keep_checkpoints, best=best) as checkpoints,
    ):
        again = not start.measured and periodic.measures_at(settings, start.step)
        writer = _writer(workdir, start.step, settings, again) if main else None
        run = loop.Loop(
            settings=settings,
            method=method,
            workdir=workdir,
            runner=runner,
            spec=spec,
            checkpoints=checkpoints,
            validation=watch,
            writer=writer,
            progress=progress_lib.Progress(
                start.step,
                settings.steps,
                settings.batch_size,
                progress and main,
                lines={metric.name: metric.line for metric in method.metrics},
            ),
            report=reporting.Background(workdir) if main else None,
            means=step_means.Means(start.progress.get("means")),
            stop=stop,
            order=order,
            data=data,
            measured=start.measured,
            levels=start.progress.get("levels", {}),
            step_function=_step_function(settings, method, spec, runner),
        )
        try:
            run.announce(start, rollbacks, notes)
            checkpoints.check_space(start.state, periodic.checkpoints_to_come(settings, start.step))
            if runner.process_count == 1:
                readback.try_out(manager.Checkpoints, workdir, start.state, settings, spec)
            state, step = runner.place(start.state), start.step
            del start  # the host's copy of the state
            host_memory.give_back()
            return run.run(state, stream, step)
        finally:
            run.close()


def _writer(workdir: Path, start_step: int, settings: Settings, again: bool) -> Any:
    """The writer of a run's numbers, with what they mean."""
    return metric_writers.create_writer(workdir, start_step, settings, meanings.markdown(), again)


def _step_function(settings: Settings, method: Method, spec: LabelSpec, runner: mesh.Runner) -> Any:
    """The mapped step, or what was kept of tracing it."""
    step = functools.partial(
        method.step,
        settings=settings,
        void=spec.void,
        networks=method.networks(settings, spec.num_classes),
    )
    return trace_cache.of(step, settings, spec, runner)


def _in_order(settings: Settings, number: int) -> Settings:
    """Settings by whose seed the data stream draws its order; number 0 is the run's own."""
    return dataclasses.replace(settings, seed=(settings.seed + 7919 * number) % 2**32)
