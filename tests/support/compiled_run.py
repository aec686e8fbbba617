"""Fixtures for tests that really train tiny networks: compiled once a module, no prepared data."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import pytest

from tests.support import tiny_run
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.diagnostics import step_means
from usis_jax.methods import train_state, usis
from usis_jax.runtime import compilation
from usis_jax.train import run


@pytest.fixture(scope="module")
def compile_once():
    """Compiles the step and the initial state only once in this module."""
    compiled, original = {}, run._step_function
    create = functools.cache(train_state.create)  # a run takes over what it is given: each a copy

    def cached(settings, *rest):
        if settings.r1_interval not in compiled:
            compiled[settings.r1_interval] = original(settings, *rest)
        return compiled[settings.r1_interval]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_step_function", cached)
        patch.setattr(compilation, "compile_ahead", lambda step, *_: step)
        patch.setattr(
            usis,
            "METHOD",
            dataclasses.replace(
                usis.METHOD,
                create=lambda settings, k: jax.tree.map(jnp.copy, create(tiny_run.settings(), k)),
            ),
        )
        yield


@pytest.fixture
def tiny_streams(monkeypatch):
    """Streams without prepared data."""
    tiny_run.install(monkeypatch)


@pytest.fixture(scope="module")
def straight(compile_once, tmp_path_factory):
    """A run of six steps with everything due at every third: (workdir, summary)."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    settings = tiny_run.settings(sample_interval=3, eval_interval=3, checkpoint_interval=2)
    with pytest.MonkeyPatch.context() as patch:
        tiny_run.install(patch)
        return workdir, run.train(settings, workdir, progress=False)


def final_state(workdir):
    """Step, and every array of the latest checkpoint by name."""
    shapes = train_state.shapes(tiny_run.settings(), tiny_run.SPEC.num_classes)
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        whole = flat_trees.flatten(checkpoints.restore(shapes))
        variables, meta = checkpoints.restore_generator()
    return meta["step"], whole | {
        f"sampled/{k}": v for k, v in flat_trees.flatten(variables).items()
    }


def rows(workdir):
    """The lines of metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("speed/")} for row in rows]


def at_step(step, act, monkeypatch):
    """Has something happen when the metrics of a step are read."""
    add = step_means.Means.add

    def acting(self, number, metrics):
        add(self, number, metrics)
        if number == step:
            act()

    monkeypatch.setattr(step_means.Means, "add", acting)
