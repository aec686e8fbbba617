"""The loop: resuming, refusing, stopping, and what it leaves in the work directory."""

import functools
import json
import os
import signal

import jax
import numpy as np
import pytest
import tiny_run
from PIL import Image

from usis_jax import checkpoint, logs, parallel, signals, state, train, trees, workdirs
from usis_jax.data import prepare, streams

REAL_STREAMS = {name: getattr(streams, name) for name in ("training", "validation", "spec")}


@pytest.fixture(scope="module", autouse=True)
def compile_once():
    """Compiles the step functions and the initial state only once in this module."""
    compiled, original = {}, train._step_functions
    create = functools.cache(state.create)

    def cached(settings, *rest):
        if settings.r1_interval not in compiled:
            compiled[settings.r1_interval] = original(settings, *rest)
        return compiled[settings.r1_interval]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_step_functions", cached)
        patch.setattr(parallel.Runner, "compile_all", lambda self, functions, *_: functions)
        patch.setattr(state, "create", lambda settings, k: create(tiny_run.settings(), k))
        yield


@pytest.fixture(autouse=True)
def tiny_streams(monkeypatch):
    """Streams without prepared data."""
    tiny_run.install(monkeypatch)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of six steps with everything due at every third: (workdir, summary)."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    settings = tiny_run.settings(sample_interval=3, eval_interval=3, checkpoint_interval=2)
    with pytest.MonkeyPatch.context() as patch:
        tiny_run.install(patch)
        return workdir, train.train(settings, workdir, progress=False)


def _final_state(workdir):
    """Step, and every array of the latest checkpoint by name."""
    shapes = state.shapes(tiny_run.settings(), tiny_run.SPEC.num_classes)
    with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
        whole = trees.flatten(checkpoints.restore(shapes))
        variables, meta = checkpoints.restore_generator()
    return meta["step"], whole | {f"sampled/{k}": v for k, v in trees.flatten(variables).items()}


def test_resumed_run_equals_straight_run_bit_for_bit(straight, tmp_path):
    first = train.train(tiny_run.settings(steps=3), tmp_path / "run", progress=False)
    second = train.train(tiny_run.settings(steps=6), tmp_path / "run", progress=False)
    assert (first["step"], second["start_step"], second["step"]) == (3, 3, 6)
    step, resumed = _final_state(tmp_path / "run")
    straight_step, expected = _final_state(straight[0])
    assert step == straight_step == 6
    assert resumed.keys() == expected.keys()
    different = [k for k in expected if not np.array_equal(resumed[k], expected[k])]
    assert different == []


def test_trains_on_photos_and_label_maps_of_other_splits_and_counts(tmp_path, monkeypatch):
    for name, value in REAL_STREAMS.items():
        monkeypatch.setattr(streams, name, value)
    random = np.random.default_rng(0)
    for folder, count in (("photos/train", 7), ("photos/val", 3), ("labels/val", 3)):
        (tmp_path / "yard" / folder).mkdir(parents=True)
        for i in range(count):
            if folder.startswith("photos"):
                image = random.integers(0, 256, (20, 24, 3), np.uint8)
            else:
                image = random.choice(np.array([255, 10, 20, 30], np.uint8), (16, 16))
            Image.fromarray(image).save(tmp_path / "yard" / folder / f"{i}.png")
    tiny_run.SPEC.save(tmp_path / "yard/label_spec.toml")
    data = {
        "photos": "yard:train",
        "labels": "yard:validation",
        "validation": "yard:validation",
        "prepared_dir": str(tmp_path / "out"),
        "class_balance": 0.5,
        "height": 16,
        "width": 16,
    }
    settings = tiny_run.settings(steps=3, data=data)
    prepare.prepare(settings, tmp_path / "yard", progress=False)
    summary = train.train(settings, tmp_path / "run", progress=False)
    assert (summary["step"], summary["interrupted"]) == (3, None)
    assert all(np.isfinite(value) for value in summary["metrics"].values())


def test_run_leaves_grids_metrics_plot_and_kept_checkpoints(straight):
    workdir, summary = straight
    assert (summary["step"], summary["interrupted"], summary["best_step"]) in (
        (6, None, 3),
        (6, None, 6),
    )
    names = sorted(p.name for p in (workdir / "samples").iterdir())
    assert names == ["step_000003.png", "step_000006.png"]
    grid = Image.open(workdir / "samples" / names[0])
    assert grid.size == (4 + 6 * (128 + 4), 24 + 3 * (128 + 4))
    assert Image.open(workdir / "losses.png").size[0] > 100
    assert any("tfevents" in p.name for p in (workdir / "tensorboard").iterdir())
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = [row for row in rows if "loss_segmentation" in row]
    assert [row["step"] for row in losses] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in losses if "r1" in row] == [1, 5]
    assert [row["step"] for row in rows if "evaluation/SWD" in row] == [3, 6]
    assert rows[-1]["evaluation/SWD"] == summary["swd"] == summary["evaluation"]["swd"]
    kept = {int(p.name) for p in (workdir / "checkpoints").iterdir()}
    assert kept == {3, 4, 6}


def test_finished_run_does_nothing_more(straight):
    before = (straight[0] / "metrics.jsonl").read_text()
    summary = train.train(tiny_run.settings(), straight[0], progress=False)
    assert (summary["start_step"], summary["step"]) == (6, 6)
    assert (straight[0] / "metrics.jsonl").read_text() == before


def test_workdir_of_another_config_is_refused_naming_the_fields(straight):
    other = tiny_run.settings(seed=5, r1_gamma=3.0, steps=60, mapping="pmap")
    with pytest.raises(ValueError, match=r"seed: 0 -> 5; r1_gamma: 10.0 -> 3.0") as error:
        train.train(other, straight[0], progress=False)
    assert "steps:" not in str(error.value) and "--accept_config_change" in str(error.value)
    assert workdirs.load_settings(straight[0]).seed == 0
    workdirs.check(other, straight[0], accept_config_change=True)


def test_nothing_is_made_when_data_is_missing(tmp_path, monkeypatch):
    def missing(*args):
        raise FileNotFoundError("not prepared; run: usis prepare")

    monkeypatch.setattr(streams, "training", missing)
    with pytest.raises(FileNotFoundError, match="usis prepare"):
        train.train(tiny_run.settings(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_workdir_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, or lies in one"):
        workdirs.create(tmp_path / "file", tiny_run.settings())

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", denied)
    with pytest.raises(PermissionError, match=r"cannot write to --workdir .*Permission denied"):
        workdirs.create(tmp_path / "run", tiny_run.settings())


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
    settings = tiny_run.settings(steps=steps, r1_interval=0, checkpoint_interval=2, **changes)
    runner, store = parallel.Runner(), _Store()
    run = train._Run(
        settings=settings,
        workdir=tmp_path,
        runner=runner,
        spec=tiny_run.SPEC,
        checkpoints=store,
        validation=None,
        writer=logs.JsonLines(tmp_path / "metrics.jsonl"),
        progress=logs.Progress(0, steps, 4, shown=False),
        step_functions={False: step_function},
    )
    start = runner.place({"step": np.int32(0), "weight": np.float32(0)})
    stream = iter([{"photo": np.zeros((4, 4, 4, 3), np.uint8)}] * (steps + 4))
    return store, lambda: run.loop(start, stream, 0)


@pytest.mark.parametrize("what", ["metrics", "state"])
def test_run_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, what):
    store, loop = _loop(tmp_path, _poisoned(4, what))
    name = {"metrics": "step 5: loss_real = nan", "state": "step 6: weight of the state"}[what]
    with pytest.raises(FloatingPointError, match=f"{name}; the checkpoint of step 4 stays"):
        loop()
    assert store.saved == {2: 2.0, 4: 4.0}


def test_signal_saves_the_step_and_ends_cleanly(tmp_path):
    plain = _poisoned(-1, "state")

    def step(state, batch):
        if int(state["step"]) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(state, batch)

    store, loop = _loop(tmp_path, step)
    summary = loop()
    assert (summary["interrupted"], summary["step"], store.latest_step()) == ("SIGTERM", 5, 5)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_second_signal_is_not_held_back():
    # A shell starts its background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with signals.StopSignals() as stop, pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.name == "SIGINT"
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_logged_values_are_means_over_the_interval(tmp_path):
    def step(state, batch):
        state = {"step": state["step"] + 1, "weight": state["weight"]}
        return state, {"loss_real": state["step"].astype(np.float32)}

    _, loop = _loop(tmp_path, step, log_interval=4)
    loop()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss_real"]) for row in rows] == [(4, 2.5), (8, 6.5)]


def test_lines_after_the_resumed_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2, "a": 1}\n{"step": 4, "a": 2}\n{"step": 6, "a')
    logs.drop_lines_after(path, 3)
    assert path.read_text() == '{"step": 2, "a": 1}\n'


def test_flat_names_are_the_paths_of_the_tree():
    tree = {"a": ({"b": np.ones(2)}, np.zeros(1))}
    flat = trees.flatten(tree)
    assert sorted(flat) == ["a/0/b", "a/1"]
    again = trees.unflatten(tree, flat)
    assert jax.tree.structure(again) == jax.tree.structure(tree)


def test_training_starts_from_an_imported_generator(tmp_path, capsys):
    # compile_once keeps step functions by this interval: one of its own, for its own rate.
    settings = tiny_run.settings(steps=1, r1_interval=5, optimizer={"generator_rate": 0.0})
    shapes = state.shapes(settings, tiny_run.SPEC.num_classes)
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: random.standard_normal(x.shape, np.float32), {
        "params": shapes.ema_params, **shapes.ema_collections})
    workdirs.create(tmp_path, settings)
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_imported(variables, settings, tiny_run.SPEC, {"file": "best_EMA.pth"})
    assert train.train(settings, tmp_path)["step"] == 1
    assert "training from best_EMA.pth to step 1" in capsys.readouterr().err
    with checkpoint.Checkpoints(tmp_path, read_only=True) as checkpoints:
        after = checkpoints.restore(shapes)
    fresh = trees.flatten(state.create(settings, tiny_run.SPEC.num_classes).params["segmenter"])
    given = trees.flatten(variables["params"])
    for name, value in trees.flatten(after.params["generator"]).items():
        np.testing.assert_array_equal(value, given[name])
    for name, value in trees.flatten(after.ema_params).items():
        np.testing.assert_allclose(value, given[name], rtol=1e-6)
    moved = [np.abs(value - fresh[name]).max() for name, value in trees.flatten(
        after.params["segmenter"]).items()]
    assert 0 < max(moved) < 1e-3


def test_imported_generator_of_another_config_is_refused(tmp_path):
    settings = tiny_run.settings()
    workdirs.create(tmp_path, settings)
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_imported({"params": {"a": np.zeros(1)}}, settings, tiny_run.SPEC,
                                  {"file": "best_EMA.pth"})
    with pytest.raises(ValueError, match=r"the generator of best_EMA\.pth does not fit"):
        train.train(settings, tmp_path, progress=False)
