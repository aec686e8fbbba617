"""Going on: from checkpoints, damaged ones and imported generators, with logs of a straight run."""

import os
import shutil

import jax
import numpy as np
import pytest

from tests.support import tiny_run
from tests.support.compiled_run import final_state, rows
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.diagnostics import step_means
from usis_jax.methods import train_state
from usis_jax.storage import lock
from usis_jax.train import run
from usis_jax.workdir import layout

pytest_plugins = ("tests.support.compiled_run",)
pytestmark = pytest.mark.usefixtures("compile_once", "tiny_streams")


def test_resumed_run_equals_straight_run_bit_for_bit(straight, tmp_path):
    first = run.train(tiny_run.settings(steps=3), tmp_path / "run", progress=False)
    second = run.train(tiny_run.settings(steps=6), tmp_path / "run", progress=False)
    assert (first["step"], second["start_step"], second["step"]) == (3, 3, 6)
    step, resumed = final_state(tmp_path / "run")
    straight_step, expected = final_state(straight[0])
    assert step == straight_step == 6
    assert resumed.keys() == expected.keys()
    different = [k for k in expected if not np.array_equal(resumed[k], expected[k])]
    assert different == []


def _events(workdir):
    """(step, tag, value) of every scalar in TensorBoard's files."""
    from tensorboard.backend.event_processing import event_file_loader
    from tensorboard.util import tensor_util

    found = []
    for path in sorted((workdir / "tensorboard").glob("*tfevents*")):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tensor.dtype == 1 and not value.tag.startswith("speed/"):
                    number = float(tensor_util.make_ndarray(value.tensor))
                    found.append((event.step, value.tag, number))
    return sorted(found)


def _best_step(workdir):
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.best_step()


class _Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _killed_at(settings, workdir, step, monkeypatch):
    """Trains until a step's metrics are read, and leaves the directory as kill -9 would."""
    add = step_means.Means.add

    def killing(self, number, metrics):
        add(self, number, metrics)
        if number == step:
            raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(step_means.Means, "add", killing)
        run.train(settings, workdir, progress=False)


def test_killed_runs_leave_the_logs_of_a_straight_run(tmp_path, monkeypatch):
    options = {"steps": 12, "log_interval": 5, "checkpoint_interval": 3, "eval_interval": 4}
    settings = tiny_run.settings(**options)
    run.train(settings, tmp_path / "straight", progress=False)
    for step in (2, 7, 8, 11):
        _killed_at(settings, tmp_path / "run", step, monkeypatch)
    run.train(settings, tmp_path / "run", progress=False)
    expected = rows(tmp_path / "straight")
    assert [row["step"] for row in expected] == [4, 5, 8, 10, 12, 12]
    assert rows(tmp_path / "run") == expected
    events = _events(tmp_path / "straight")
    assert {step for step, _, _ in events} == {4, 5, 8, 10, 12}
    assert _events(tmp_path / "run") == events
    step, resumed = final_state(tmp_path / "run")
    straight_step, state_of_straight = final_state(tmp_path / "straight")
    assert step == straight_step == 12
    assert [k for k in resumed if not np.array_equal(resumed[k], state_of_straight[k])] == []
    assert _best_step(tmp_path / "run") == _best_step(tmp_path / "straight")


def _damage(workdir, step):
    """Cuts every file of a checkpoint's training state in half."""
    for path in (workdir / "checkpoints" / str(step) / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(straight, tmp_path, capsys):
    shutil.copytree(straight[0], tmp_path / "run")
    _damage(tmp_path / "run", 6)
    summary = run.train(tiny_run.settings(checkpoint_interval=2), tmp_path / "run")
    assert (summary["start_step"], summary["step"]) == (4, 6)
    said = capsys.readouterr().err
    assert "checkpoint 6 is damaged (" in said
    assert "moved to damaged/, going on from step 4" in said
    assert [path.name for path in (tmp_path / "run/damaged").iterdir()] == ["6"]
    expected = final_state(straight[0])[1]
    found = final_state(tmp_path / "run")[1]
    assert [k for k in expected if not np.array_equal(found[k], expected[k])] == []


def test_run_whose_checkpoints_are_all_damaged_is_refused(straight, tmp_path):
    shutil.copytree(straight[0], tmp_path / "run")
    for step in (3, 4, 6):
        _damage(tmp_path / "run", step)
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged \(the newest: "):
        run.train(tiny_run.settings(), tmp_path / "run", progress=False)
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == list("346")


def test_second_run_on_a_work_directory_is_refused(tmp_path):
    words = rf"in use by process {os.getpid()} on host "
    with lock.Lock(tmp_path / "run"), pytest.raises(ValueError, match=words):
        run.train(tiny_run.settings(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_training_starts_from_an_imported_generator(tmp_path, capsys):
    # compile_once keeps step functions by this interval: one of its own, for its own rate.
    settings = tiny_run.settings(steps=1, r1_interval=5, optimizer={"generator_rate": 0.0})
    shapes = train_state.shapes(settings, tiny_run.SPEC.num_classes)
    random = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda x: random.standard_normal(x.shape, np.float32),
        {"params": shapes.ema_params, **shapes.ema_collections},
    )
    layout.create(tmp_path, settings)
    with manager.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_imported(variables, settings, tiny_run.SPEC, {"file": "best_EMA.pth"})
    assert run.train(settings, tmp_path)["step"] == 1
    assert "training from best_EMA.pth to step 1" in capsys.readouterr().err
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        after = checkpoints.restore(shapes)
    fresh = flat_trees.flatten(
        train_state.create(settings, tiny_run.SPEC.num_classes).params["segmenter"]
    )
    given = flat_trees.flatten(variables["params"])
    for name, value in flat_trees.flatten(after.params["generator"]).items():
        np.testing.assert_array_equal(value, given[name])
    for name, value in flat_trees.flatten(after.ema_params).items():
        np.testing.assert_allclose(value, given[name], rtol=1e-6)
    moved = [
        np.abs(value - fresh[name]).max()
        for name, value in flat_trees.flatten(after.params["segmenter"]).items()
    ]
    assert 0 < max(moved) < 1e-3


def test_imported_generator_of_another_config_is_refused(tmp_path):
    settings = tiny_run.settings()
    layout.create(tmp_path, settings)
    with manager.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_imported(
            {"params": {"a": np.zeros(1)}}, settings, tiny_run.SPEC, {"file": "best_EMA.pth"}
        )
    with pytest.raises(ValueError, match=r"the generator of best_EMA\.pth does not fit"):
        run.train(settings, tmp_path, progress=False)
