"""`usis train` in several processes: the same result, and what happens when one is gone."""

import signal

import numpy as np
import pytest

from tests.support import pod_run, tiny_run
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.distributed import preemption
from usis_jax.methods import train_state
from usis_jax.storage import lock


def _arrays(workdir):
    shapes = train_state.shapes(tiny_run.settings(), tiny_run.SPEC.num_classes)
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.latest_step(), flat_trees.flatten(checkpoints.restore(shapes))


def _train(folder, workdir, count=1, *more, **variables):
    words = ["train", f"--workdir={workdir}", "--lost_timeout=15", *more]
    return pod_run.run(folder, words, count, **variables)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Work directory of an undisturbed run in two processes."""
    folder = tmp_path_factory.mktemp("two")
    codes, said = _train(folder, folder / "run", 2)
    assert codes == [0, 0], said
    return folder / "run"


@pytest.mark.slow
def test_two_processes_train_as_one(two, tmp_path):
    codes, said = _train(tmp_path, tmp_path / "one")
    assert codes == [0], said
    one_step, one = _arrays(tmp_path / "one")
    two_step, both = _arrays(two)
    assert one_step == two_step == 6
    names = [name for name in one if name.startswith(("params/", "ema_params/"))]
    assert max(np.abs(one[name] - both[name]).max() for name in names) < 1e-5
    for folder in (two, tmp_path / "one"):
        assert (folder / "metrics.jsonl").read_text().count("\n") == 6


@pytest.mark.slow
def test_run_of_two_processes_goes_on_in_one(two, tmp_path):
    codes, said = _train(tmp_path, tmp_path / "run", 2, SEND="1:3:SIGTERM")
    assert codes == [preemption.STOPPED] * 2, said
    step = _arrays(tmp_path / "run")[0]
    codes, said = _train(tmp_path, tmp_path / "run")
    assert codes == [0] and 0 < step < 6 and f"training from step {step}" in said[0], said
    expected, found = _arrays(two)[1], _arrays(tmp_path / "run")[1]
    names = [name for name in expected if name.startswith(("params/", "ema_params/"))]
    assert max(np.abs(expected[name] - found[name]).max() for name in names) < 1e-5


@pytest.mark.slow
def test_survivor_of_a_killed_process_ends_and_all_go_on_exactly(two, tmp_path):
    codes, said = _train(tmp_path, tmp_path / "run", 2, AFTER="1:5:SIGKILL")
    assert codes == [preemption.STOPPED, -signal.SIGKILL], said
    last = said[0].strip().splitlines()[-1]
    assert last.startswith("usis: process 1 of 2 (") and "start all of them again" in last
    codes, said = _train(tmp_path, tmp_path / "run", 2)
    assert codes == [0, 0], said
    assert "training from step " in said[0]
    expected, found = _arrays(two)[1], _arrays(tmp_path / "run")[1]
    assert [name for name in expected if not np.array_equal(expected[name], found[name])] == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.slow
def test_signal_to_one_process_stops_all_at_one_step(two, tmp_path, name):
    more = ("--config.steps=3000", "--config.log_interval=1000")
    codes, said = _train(tmp_path, tmp_path / "run", 2, *more, SEND=f"1:8:{name}")
    assert codes == [preemption.STOPPED] * 2, said
    step, _ = _arrays(tmp_path / "run")
    assert f"saved step {step}; the same command goes on there" in said[0] and 0 < step < 3000


def test_signal_before_the_first_step_ends_all_at_once(tmp_path):
    codes, said = _train(tmp_path, tmp_path / "run", 2, SEND="1:0:SIGTERM")
    assert codes == [preemption.STOPPED] * 2, said
    reason = "SIGTERM before the first step: nothing to save"
    assert said[0].splitlines()[-1] == f"usis: process 1 ended: {reason}"
    assert f"usis: {reason}" in said[1].splitlines()


@pytest.mark.slow
def test_others_end_when_the_coordinating_process_is_killed(tmp_path):
    codes, said = _train(tmp_path, tmp_path / "run", 2, SEND="0:0:SIGKILL")
    assert codes == [-signal.SIGKILL, preemption.STOPPED], said
    last = said[1].strip().splitlines()[-1]
    assert last.startswith("usis: process 0 of 2, which coordinates the others, ")


def test_process_whose_others_never_join_ends_in_the_set_time(tmp_path):
    words = ["train", f"--workdir={tmp_path}/run", "--join_timeout=3"]
    process = pod_run.start(tmp_path, words, 0, 2, pod_run.free_port())
    assert process.wait(120) == preemption.STOPPED
    last = (tmp_path / "0.err").read_text().strip().splitlines()[-1]
    assert last.startswith("usis: not all of the 2 processes came together at 127.0.0.1:")
    assert "within 3 s" in last and not (tmp_path / "run").exists()


def test_others_end_with_the_reason_of_the_one_that_refuses(tmp_path):
    with lock.Lock(tmp_path / "run"):
        codes, said = _train(tmp_path, tmp_path / "run", 2)
    assert codes == [2, 2], said
    assert said[0].splitlines()[-1].startswith(f"usis: {tmp_path}/run is in use by process ")
    assert said[1].splitlines()[-1].startswith(f"usis: process 0 ended: {tmp_path}/run is in use")
