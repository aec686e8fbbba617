"""A training run: what it goes on from, what it needs, and how often it goes back."""

import contextlib
import dataclasses
import functools
import itertools
from pathlib import Path

from usis_jax import (
    boards,
    checkpoint,
    compilation_cache,
    environment,
    evaluations,
    kept_step,
    locks,
    logs,
    loop,
    memory,
    parallel,
    peers,
    resumption,
    signals,
    steps,
    storage,
    validation,
    workdirs,
)
from usis_jax import settings as settings_lib
from usis_jax.data import streams
from usis_jax.models import registry
from usis_jax.report import reporting


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
            that of the generator that was imported there; another run uses `workdir`, or all its
            checkpoints are damaged; or a measure cannot be taken.
        FileNotFoundError: data is not prepared, or `evaluation.judge` is no judge.
        PermissionError: `workdir` cannot be written.
        OSError: the disk has no space for a checkpoint.
        NotFiniteError: a loss or the state is not finite, more often than `settings.rollbacks`
            allows; the last good checkpoint stays.
    """
    workdir = Path(workdir)
    parallel.initialize()
    runner = parallel.Runner(settings.mapping)
    settings_lib.check_devices(settings, runner.num_devices)
    boards.check_wandb(settings)
    with locks.Lock(workdir) if runner.process_index == 0 else contextlib.nullcontext():
        workdirs.check(settings, workdir, accept_config_change)
        compilation_cache.use(workdir, settings.compilation_cache)
        alone = runner.process_count == 1
        with signals.StopSignals(alone, peers.leave) as stop, storage.quiet():
            for rollbacks in itertools.count():
                try:
                    return _train(settings, workdir, runner, stop, progress, rollbacks)
                except loop.NotFiniteError:
                    if rollbacks == settings.rollbacks:
                        raise


def _train(settings, workdir, runner, stop, progress, rollbacks):
    """`train`, when it is known that the run may be there, after so many roll-backs of its own."""
    spec = streams.spec(settings)
    networks = registry.build(settings, spec.num_classes)
    start = resumption.find(settings, workdir, spec.num_classes)
    hosts = (runner.process_index, runner.process_count)
    order = start.progress.get("order", 0) + rollbacks
    stream = streams.training(_in_order(settings, order), start.step, *hosts)
    main = runner.process_index == 0
    watch = validation.Validation(settings, spec, runner)
    if main:
        workdirs.create(workdir, settings)
        for step in start.damaged:
            workdirs.set_aside(workdir, step)
        evaluations.drop_after(workdir, start.step)
        environment.note_start(workdir, start.step)
    if parallel.smallest(start.step) != start.step:
        raise ValueError(
            f"the processes do not see the same checkpoints in {workdir}: process "
            f"{runner.process_index} sees {start.step} as the newest good one; use a directory "
            "that all hosts share, and start again"
        )
    best = settings.evaluation.best
    with (
        storage.naming_faults(workdir, running=True),
        checkpoint.Checkpoints(workdir, settings.keep_checkpoints, best=best) as checkpoints,
    ):
        run = loop.Loop(
            settings=settings,
            workdir=workdir,
            runner=runner,
            spec=spec,
            checkpoints=checkpoints,
            validation=watch,
            writer=logs.create_writer(workdir, start.step, settings) if main else None,
            progress=logs.Progress(
                start.step, settings.steps, settings.batch_size, progress and main
            ),
            report=reporting.Background(workdir) if main else None,
            means=logs.Means(start.progress.get("means")),
            stop=stop,
            order=order,
            step_function=_step_function(settings, networks, spec, runner),
        )
        try:
            run.announce(start, rollbacks)
            checkpoints.check_space(start.state)
            state, step = runner.place(start.state), start.step
            del start  # the host's copy of the state
            memory.give_back()
            return run.run(state, stream, step)
        finally:
            run.close()


def _step_function(settings, networks, spec, runner):
    """The mapped step, or what was kept of tracing it."""
    step = functools.partial(
        steps.train_step, settings=settings, networks=networks, void=spec.void)
    return kept_step.of(step, settings, spec, runner)


def _in_order(settings, number):
    """Settings by whose seed the data stream draws its order; number 0 is the run's own."""
    return dataclasses.replace(settings, seed=(settings.seed + 7919 * number) % 2**32)
