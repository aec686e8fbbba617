"""Faults while a run trains: broken directories, clocks that jump, values that are not finite."""

import errno
import os
import shutil
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.support import tiny_run
from tests.support.compiled_run import at_step, final_state, rows
from usis_jax.checkpoint import manager
from usis_jax.data.pipeline import input_pipeline
from usis_jax.diagnostics import step_means
from usis_jax.train import run
from usis_jax.workdir import metric_writers

pytest_plugins = ("tests.support.compiled_run",)
pytestmark = pytest.mark.usefixtures("compile_once", "tiny_streams")


@pytest.mark.slow
def test_directory_that_vanishes_while_training_is_one_line(tmp_path, monkeypatch):
    def vanish():
        while (tmp_path / "run").exists():  # a checkpoint may be written into it meanwhile
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    at_step(3, vanish, monkeypatch)
    words = r"--workdir .*/run .*vanished while training; checkpoints"
    with pytest.raises(FileNotFoundError, match=words):
        run.train(tiny_run.settings(checkpoint_interval=2), tmp_path / "run", progress=False)


def _raising(error):
    def function(*args, **kwargs):
        raise error

    return function


WRITERS = {
    "log": lambda patch, error: patch.setattr(
        metric_writers.JsonLines, "write_scalars", _raising(error)
    ),
    "grid": lambda patch, error: patch.setattr(os, "replace", _raising(error)),
    "checkpoint": lambda patch, error: patch.setattr(
        ocp.CheckpointManager, "save", _raising(ValueError(f"UNKNOWN: {error.strerror} [x/y]"))
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.slow
def test_directory_that_cannot_be_written_any_more_is_one_line(
    tmp_path, monkeypatch, capsys, writer, code
):
    error = OSError(code, os.strerror(code))
    settings = tiny_run.settings(checkpoint_interval=2, sample_interval=5)
    at_step(4, lambda: WRITERS[writer](monkeypatch, error), monkeypatch)
    with pytest.raises(OSError) as raised:
        run.train(settings, tmp_path / "run", progress=False)
    assert raised.value.errno == code
    words = f"{os.strerror(code)} in --workdir {tmp_path}/run: training stopped; checkpoints"
    assert words.lower() in str(raised.value).lower()
    monkeypatch.undo()
    assert final_state(tmp_path / "run")[0] in (2, 4, 5)  # what could be saved on the way out


def test_log_on_a_disk_that_is_really_full_is_one_line(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"[Nn]o space left") as raised:
        run.train(tiny_run.settings(), tmp_path / "run", progress=False)
    assert raised.value.errno == errno.ENOSPC and f"--workdir {tmp_path}/run" in str(raised.value)


@pytest.mark.slow
def test_clock_that_jumps_changes_nothing(straight, tmp_path, monkeypatch):
    settings = tiny_run.settings(sample_interval=3, eval_interval=3, checkpoint_interval=2)
    # Forward before the first checkpoint: Orbax gives a write up when its time seems over, and
    # the run ends with a line that says so (docs/reliability.md).
    now, shift = time.time, [0]
    monkeypatch.setattr(time, "time", lambda: now() + shift[0])
    at_step(1, lambda: shift.__setitem__(0, 86400), monkeypatch)
    at_step(4, lambda: shift.__setitem__(0, -86400 * 365), monkeypatch)
    run.train(settings, tmp_path / "run", progress=False)
    monkeypatch.undo()
    expected, found = final_state(straight[0])[1], final_state(tmp_path / "run")[1]
    assert [name for name in expected if not np.array_equal(expected[name], found[name])] == []
    assert rows(tmp_path / "run") == rows(straight[0])


@pytest.mark.parametrize("rollbacks", [0, 1])
def test_run_that_is_not_finite_goes_back_as_often_as_allowed(tmp_path, monkeypatch, rollbacks):
    add, seeds = step_means.Means.add, []
    training = input_pipeline.training

    def spoiling(self, number, metrics):
        add(self, number, metrics | ({"loss_real": float("nan")} if number == 5 else {}))

    def noting(settings, start, *hosts):
        seeds.append((settings.seed, start))
        return training(settings, start, *hosts)

    monkeypatch.setattr(step_means.Means, "add", spoiling)
    monkeypatch.setattr(input_pipeline, "training", noting)
    settings = tiny_run.settings(checkpoint_interval=2, rollbacks=rollbacks)
    with pytest.raises(FloatingPointError, match="step 5: loss_real = nan; the checkpoint of step"):
        run.train(settings, tmp_path / "run", progress=False)
    wanted = [seed for seed in seeds if seed[1] in (0, 4)]
    assert [start for _, start in wanted if start == 4] == [4] * rollbacks
    assert len({seed for seed, _ in wanted}) == 1 + rollbacks
    orders = [row for row in rows(tmp_path / "run") if "data_order" in row]
    assert orders == [{"step": 4, "data_order": 1.0}] * rollbacks


def test_order_of_the_data_after_going_back_travels_in_the_checkpoint(tmp_path, monkeypatch):
    add, failures = step_means.Means.add, iter([True])

    def spoiling_once(self, number, metrics):
        bad = number == 4 and next(failures, False)
        add(self, number, metrics | ({"loss_real": float("nan")} if bad else {}))

    monkeypatch.setattr(step_means.Means, "add", spoiling_once)
    settings = tiny_run.settings(checkpoint_interval=2, rollbacks=1)
    assert run.train(settings, tmp_path / "run", progress=False)["step"] == 6
    with manager.Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        assert checkpoints.meta()["progress"]["order"] == 1
