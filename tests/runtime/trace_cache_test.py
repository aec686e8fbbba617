"""A step's traced form is kept, found again by all it follows from, and does the same."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import tiny_run, tiny_step
from usis_jax.config import settings as settings_lib
from usis_jax.distributed import mesh
from usis_jax.methods import usis
from usis_jax.models import registry
from usis_jax.runtime import compilation, compilation_cache, trace_cache

SPEC = types.SimpleNamespace(num_classes=tiny_step.CLASSES, void=tiny_step.VOID)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs and traced steps are kept, switched on."""
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    compilation_cache.use(tmp_path)
    yield tmp_path / compilation_cache.FOLDER / compilation_cache.own_name()
    compilation_cache.use(tmp_path, False)


class Traced:
    """A step of a line that counts how often it is traced."""

    def __init__(self, factor=2.0):
        self.factor, self.count = factor, 0

    def __call__(self, state, batch):
        self.count += 1
        total = jax.lax.psum(batch.sum(), mesh.AXIS)
        return {"a": self.factor * state["a"] + total, "n": state["n"] + 1}, {"total": total}


RUNNER = mesh.Runner(devices=jax.devices()[:4])


def arguments(runner=RUNNER):
    state = {"a": np.arange(3, dtype=np.float32), "n": np.int32(0)}
    return runner.place(state), runner.put(np.arange(8, dtype=np.float32))


def compiled(step, settings=None, spec=SPEC, runner=RUNNER):
    kept = trace_cache.of(step, settings or tiny_run.settings(), spec, runner)
    return compilation.compile_ahead(kept, *arguments(runner))


def kept_files(folder):
    return sorted(folder.glob(f"{trace_cache.PREFIX}*"))


def test_second_start_does_not_trace_and_does_the_same(folder):
    first, second = Traced(), Traced()
    for step in (first, second):
        program = compiled(step)
        state, batch = arguments()
        before = state
        for _ in range(2):
            state, metrics = program(state, batch)
        assert before["a"].is_deleted()
        np.testing.assert_array_equal(state["a"], 4 * np.arange(3) + 2 * 28 + 28)
        assert (int(state["n"]), float(metrics["total"])) == (2, 28)
    assert (first.count, second.count) == (1, 0)
    assert len(kept_files(folder)) == 1


@pytest.mark.parametrize("how", ["torn", "altered", "emptied"])
def test_damaged_file_is_traced_again(folder, how):
    compiled(Traced())
    (file,) = kept_files(folder)
    whole = file.read_bytes()
    file.write_bytes(
        {"torn": whole[:-9], "altered": whole[:99] + b"x" + whole[100:], "emptied": b""}[how]
    )
    step = Traced()
    assert float(compiled(step)(*arguments())[1]["total"]) == 28
    assert step.count == 1 and file.read_bytes() == whole


def test_other_settings_labels_devices_source_versions_and_flags_are_others(folder, monkeypatch):
    compiled(Traced())
    settings = tiny_run.settings(ema_decay=0.25)
    compiled(Traced(), settings)
    compiled(Traced(), spec=types.SimpleNamespace(num_classes=tiny_step.CLASSES, void=None))
    compiled(Traced(), runner=mesh.Runner(devices=jax.devices()[:2]))
    with jax.default_matmul_precision("float32"):
        kept = trace_cache.of(Traced(), tiny_run.settings(), SPEC, RUNNER)
        kept.lower(*arguments())
    monkeypatch.setattr(trace_cache, "_source", lambda: "another")
    compiled(Traced())
    monkeypatch.setattr(trace_cache.importlib.metadata, "version", lambda name: "another")
    compiled(Traced())
    assert len(kept_files(folder)) == 7


def test_longer_run_finds_what_the_shorter_one_kept(folder):
    step = Traced()
    for settings in (tiny_run.settings(), tiny_run.settings(steps=60, log_interval=7)):
        compiled(step, settings)
    assert step.count == 1


def test_no_step_reads_what_a_run_may_change_on_its_way():
    given, read = tiny_step.settings("alternating"), set()

    class Watched(type(given)):
        __eq__, __hash__ = object.__eq__, object.__hash__  # which would read all

        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    watched = Watched(
        **{field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    )
    read.clear()

    def step(state, batch):  # not a partial, whose text JAX asks for, and which would read all
        return usis.train_step(
            state,
            batch,
            settings=watched,
            void=tiny_step.VOID,
            networks=registry.build(watched, tiny_step.CLASSES),
        )

    runner = mesh.Runner(devices=jax.devices()[:1])
    runner.compile(step).trace(tiny_step.created(given), tiny_step.batch(0))
    assert {"update", "r1_interval", "ema_decay"} <= read
    assert not read & {field.split(".")[0] for field in settings_lib.FREE_FIELDS} - {"data"}


def test_where_nothing_is_kept_the_step_is_traced(tmp_path, monkeypatch):
    assert jax.config.jax_compilation_cache_dir is None
    assert not isinstance(
        trace_cache.of(Traced(), tiny_run.settings(), SPEC, RUNNER), trace_cache.CachedStep
    )
    step = Traced()
    assert float(compiled(step)(*arguments())[1]["total"]) == 28 and step.count


def test_accelerators_keep_no_traced_step(folder, monkeypatch):
    runner = mesh.Runner(devices=jax.devices()[:1])
    given = types.SimpleNamespace(
        devices=[types.SimpleNamespace(platform="tpu")],
        mapping="shard_map",
        compile=lambda step: "compiled",
    )
    settings = tiny_step.settings()
    monkeypatch.setattr(trace_cache, "_released", lambda: True)
    assert trace_cache.of(None, settings, SPEC, given) == "compiled"
    assert isinstance(trace_cache.of(None, settings, SPEC, runner), trace_cache.CachedStep)


def test_working_copy_of_a_package_and_pmap_are_not_trusted(folder, monkeypatch):
    pmapped = mesh.Runner("pmap", jax.devices()[:2])
    compiled(Traced(), runner=pmapped)
    edited = types.SimpleNamespace(
        read_text=lambda name: '{"url": "file:///flax", "dir_info": {"editable": true}}'
    )
    monkeypatch.setattr(trace_cache.importlib.metadata, "distribution", lambda name: edited)
    compiled(Traced())
    assert not kept_files(folder)


def test_folder_that_cannot_be_written_is_no_fault(folder, monkeypatch):
    monkeypatch.setattr(trace_cache.atomic, "write_with", _no_space)
    assert float(compiled(Traced())(*arguments())[1]["total"]) == 28
    assert not kept_files(folder)


def _no_space(*_):
    raise OSError(28, "No space left on device")


def test_step_without_a_portable_form_runs_all_the_same(folder, caplog):
    def step(state, batch):
        hits = jax.pure_callback(
            lambda x: np.float32(7), jax.ShapeDtypeStruct((), jnp.float32), batch.sum()
        )
        return {"a": state["a"] + hits, "n": state["n"]}, {}

    state, _ = compiled(step)(*arguments())
    np.testing.assert_array_equal(state["a"], np.arange(3) + 7.0)
    assert "cannot be cached" in caplog.text and not kept_files(folder)


@pytest.mark.slow
def test_training_step_from_its_kept_form_moves_the_state_alike(folder):
    settings = tiny_step.settings("joint")
    runner = mesh.Runner(devices=jax.devices()[:1])
    step = functools.partial(
        usis.train_step,
        settings=settings,
        void=tiny_step.VOID,
        networks=registry.build(settings, tiny_step.CLASSES),
    )
    state = runner.place(tiny_step.created(settings))
    batch = runner.put(tiny_step.batch(0))
    trace_cache.of(step, settings, SPEC, runner).lower(state, batch)
    assert len(kept_files(folder)) == 1
    program = compilation.compile_ahead(trace_cache.of(step, settings, SPEC, runner), state, batch)
    after, metrics = program(state, batch)
    expected, (values,) = tiny_step.run(settings, 1, 1)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), runner.fetch(after), expected
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), runner.fetch(metrics), values
    )
