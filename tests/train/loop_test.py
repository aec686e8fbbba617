"""The loop with step functions of few lines: signals, means, values that are not finite."""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax import methods
from usis_jax.diagnostics import step_means
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import mesh, preemption
from usis_jax.runtime import compilation
from usis_jax.train import loop as loop_lib
from usis_jax.workdir import layout, metric_writers


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch):
    """Step functions of a few lines run as they are."""
    monkeypatch.setattr(compilation, "compile_ahead", lambda step, *_: step)


def _poisoned(at, what):
    """A step function that spoils the metrics or the state at one step."""

    def step(state, batch):
        bad = float("nan") if int(state["step"]) == at else 0.0
        metrics = {"loss_real": jax.numpy.float32(1.0 + (bad if what == "metrics" else 0.0))}
        weight = state["weight"] + 1.0 + (bad if what == "state" else 0.0)
        return {"step": state["step"] + 1, "weight": weight}, metrics

    return step


class _Store:
    """Stands in for Checkpoints: remembers steps and weights."""

    def __init__(self):
        self.saved = {}

    def save(self, step, state, *rest):
        self.saved[step] = float(state["weight"])

    def latest_step(self):
        return max(self.saved, default=None)

    best_step = latest_step

    def wait(self):
        """Nothing to wait for."""

    def reached_preemption(self, step):
        return False


def _loop(tmp_path, step_function, steps=8, **changes):
    changes = {"r1_interval": 0, "checkpoint_interval": 2} | changes
    settings = tiny_run.settings(steps=steps, **changes)
    layout.save_settings(tmp_path, settings)
    runner, store = mesh.Runner(), _Store()
    run = loop_lib.Loop(
        settings=settings,
        method=methods.get(settings.method.name),
        workdir=tmp_path,
        runner=runner,
        spec=tiny_run.SPEC,
        checkpoints=store,
        validation=None,
        writer=metric_writers.JsonLines(tmp_path / "metrics.jsonl"),
        progress=progress_lib.Progress(0, steps, 4, shown=False),
        stop=preemption.StopSignals(),
        order=0,
        step_function=step_function,
    )
    start = runner.place({"step": np.int32(0), "weight": np.float32(0)})
    stream = iter([{"photo": np.zeros((4, 4, 4, 3), np.uint8)}] * (steps + 4))

    def loop():
        with run.stop:
            return run.run(start, stream, 0)

    return store, loop


@pytest.mark.parametrize("what", ["metrics", "state"])
def test_run_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, what):
    store, loop = _loop(tmp_path, _poisoned(4, what))
    name = {"metrics": "step 5: loss_real = nan", "state": "step 6: weight of the state"}[what]
    with pytest.raises(FloatingPointError, match=f"{name}; the checkpoint of step 4 stays"):
        loop()
    assert store.saved == {2: 2.0, 4: 4.0}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGXCPU"])
def test_signal_saves_the_step_and_ends_cleanly(tmp_path, name):
    plain = _poisoned(-1, "state")
    before = signal.getsignal(signal.Signals[name])

    def step(state, batch):
        if int(state["step"]) == 4:
            os.kill(os.getpid(), signal.Signals[name])
        return plain(state, batch)

    store, loop = _loop(tmp_path, step)
    summary = loop()
    assert (summary["interrupted"], summary["step"], store.latest_step()) == (name, 5, 5)
    assert signal.getsignal(signal.Signals[name]) == before


def test_signal_in_the_last_step_leaves_nothing_out(tmp_path):
    plain = _poisoned(-1, "state")

    def step(state, batch):
        if int(state["step"]) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(state, batch)

    store, loop = _loop(tmp_path, step)
    assert (loop()["interrupted"], store.latest_step()) == (None, 8)


def test_signal_before_the_first_step_ends_the_process_with_its_code():
    code = (
        "import os, signal\n"
        "from usis_jax.distributed import preemption as signals\n"
        "with signals.StopSignals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == preemption.STOPPED
    assert done.stderr == "usis: SIGTERM before the first step: nothing to save\n"


def test_first_of_several_processes_signals_goes_to_jax_and_the_second_ends_it():
    code = (
        "import ctypes, os, signal\n"
        "from usis_jax.distributed import preemption as signals\n"
        "called = []\n"
        "handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(called.append)\n"
        "ctypes.CDLL(None).signal(signal.SIGTERM, handler)\n"
        "with signals.StopSignals(alone=False):\n"
        "    pass\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "with signals.StopSignals(alone=False) as stop:\n"
        "    stop.begin()\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    print(stop.name, called, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "SIGUSR1 [15, 15]\n"
    assert done.returncode == -signal.SIGTERM


def test_second_signal_is_not_held_back():
    # A shell starts its background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with preemption.StopSignals() as stop, pytest.raises(KeyboardInterrupt):
            stop.begin()
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.name == "SIGINT"
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_terminal_that_is_closed_sends_many_signals_and_none_of_them_is_the_second():
    plain = signal.getsignal(signal.SIGHUP)
    with preemption.StopSignals() as stop:
        stop.begin()
        for name in ("SIGTERM", "SIGHUP", "SIGHUP"):
            os.kill(os.getpid(), signal.Signals[name])
        assert stop.name == "SIGTERM"
    assert signal.getsignal(signal.SIGHUP) == plain


def test_hang_up_that_is_ignored_as_under_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with preemption.StopSignals() as stop:
            stop.begin()
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.name is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_logged_values_are_means_over_the_interval(tmp_path):
    def step(state, batch):
        state = {"step": state["step"] + 1, "weight": state["weight"]}
        return state, {"loss_real": state["step"].astype(np.float32)}

    _, loop = _loop(tmp_path, step, log_interval=4)
    loop()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss_real"]) for row in rows] == [(4, 2.5), (8, 6.5)]


def test_mean_of_the_penalty_is_that_of_the_steps_that_have_it(tmp_path):
    def step(state, batch):
        penalty = jax.numpy.where(state["step"] % 4 == 0, 3.0 + state["step"], 0.0)
        return state | {"step": state["step"] + 1}, {"r1": penalty, "loss_real": penalty + 1}

    _, loop = _loop(tmp_path, step, log_interval=8, r1_interval=4)
    loop()
    (row,) = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert (row["r1"], row["loss_real"]) == (5.0, 1 + 10 / 8)


def test_means_go_on_from_a_saved_state():
    whole, first = step_means.Means(), step_means.Means()
    values = [0.1, 0.7, 1e-9, 3.3, 5.0]
    for number, value in enumerate(values):
        whole.add(number, {"a": value})
    for number, value in enumerate(values[:2]):
        first.add(number, {"a": value})
    second = step_means.Means(json.loads(json.dumps(first.get_state())))
    for number, value in enumerate(values[2:]):
        second.add(number, {"a": value})
    assert second.take() == whole.take() == {"a": pytest.approx(9.100000001 / 5)}


def test_lines_after_the_resumed_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    odd = '[1]\n{"a": 3}\n{"step": "x"}\n\n'
    path.write_text('{"step": 2, "a": 1}\n' + odd + '{"step": 4, "a": 2}\n{"step": 6, "a')
    metric_writers.drop_lines_after(path, 3)
    assert path.read_text() == '{"step": 2, "a": 1}\n'
