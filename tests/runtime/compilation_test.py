"""Compiling ahead: the program outlives its first state, signals are heard, faults come through."""

import os
import signal
import threading

import jax
import numpy as np
import pytest

from usis_jax.distributed import mesh
from usis_jax.runtime import compilation


@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_program_runs_after_the_state_that_it_was_compiled_for_is_gone(mapping):
    runner = mesh.Runner(mapping)

    def step(state, batch):
        return state + jax.lax.psum(batch.sum(), mesh.AXIS), {}

    state, batch = runner.place(np.float32(1)), runner.put(np.ones(8, np.float32))
    compiled = compilation.compile_ahead(runner.compile(step), state, batch)
    after, _ = compiled(state, batch)
    after, _ = compiled(after, batch)
    assert runner.fetch(after) == 17


def test_a_signal_is_heard_while_a_step_is_compiled():
    class Slow:
        def lower(self, state, batch):
            assert state["a"].shape == (3,) and batch.dtype == np.int32
            return self

        def compile(self):
            os.kill(os.getpid(), signal.SIGUSR1)
            return "compiled" if heard.wait(10) else "not heard"

    heard = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:
        arguments = {"a": jax.numpy.zeros(3)}, jax.numpy.zeros(2, np.int32)
        assert compilation.compile_ahead(Slow(), *arguments) == "compiled"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_fault_of_compiling_is_raised():
    class Bad:
        def lower(self, state, batch):
            raise RuntimeError("no such operation")

    with pytest.raises(RuntimeError, match="no such operation"):
        compilation.compile_ahead(Bad(), np.float32(1), np.ones(8))
