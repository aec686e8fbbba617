"""What is measured during training: which values, by which networks, on how many devices."""

import functools
import json

import jax
import numpy as np
import pytest

from tests.support import hosts, tiny_run
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.cli import main
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.distributed import mesh
from usis_jax.evaluation import suite
from usis_jax.evaluation.evaluators import inception_features, segmentation_evaluator
from usis_jax.methods import train_state
from usis_jax.train import periodic_eval, run
from usis_jax.workdir import layout

CLASSES = tiny_run.SPEC.num_classes


@pytest.fixture(autouse=True)
def tiny_streams(tmp_path, monkeypatch):
    """Streams without prepared data; the cache of the machine's user is not looked into."""
    tiny_run.install(monkeypatch)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))


def settings(measures="swd,spectrum,consistency", best="", **changes):
    """Settings with measures, of which the first value decides the best checkpoint."""
    best = best or next(iter(schema.MEASURES[measures.split(",")[0]]))
    own = {"measures": measures, "best": best} | changes.pop("evaluation", {})
    return tiny_run.settings(**{"eval_interval": 1, "evaluation": own} | changes)


@functools.cache
def initial():
    """Untrained state, with an average other than the weights."""
    made = jax.device_get(train_state.create(tiny_run.settings(), CLASSES))
    return made.replace(ema_params=jax.tree.map(lambda x: 1.5 * x, made.ema_params))


def watch(given, devices=None):
    runner = mesh.Runner(given.mapping, jax.devices()[:devices])
    return periodic_eval.Validation(given, tiny_run.SPEC, runner)


def measured(given, devices=None):
    """Rows of the untrained state."""
    own = watch(given, devices)
    return own.measure(initial(), initial().collections["generator"]).rows


def make_evaluator(folder, size=(16, 16), spec=tiny_run.SPEC, pairs="scenes:test"):
    """Writes an evaluator of drawn weights."""
    info = {
        "height": size[0],
        "width": size[1],
        "widths": [4, 6],
        "pairs": pairs,
        "scores": {"miou": 0.5, "accuracy": 0.6},
    }
    network = segmentation_evaluator.EvaluatorNetwork(spec.num_classes, (4, 6), spec.void)
    variables = network.init(jax.random.key(0), np.zeros((1, *size, 3), np.float32))
    segmentation_evaluator.Evaluator(variables, spec, info).save(folder)
    return str(folder)


def stand_in(path):
    """A network of drawn weights in the place of Inception."""
    matrix = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    return inception_features.Network(
        "net", 4, matrix, lambda w, x: x.mean((1, 2)) @ w, "f", "0" * 64
    )


@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_statistics_are_those_of_the_whole_batch_on_any_number_of_devices(mapping):
    one = flat_trees.flatten(watch(settings(), 1).ema_collections(initial()))
    four = flat_trees.flatten(watch(settings(mapping=mapping)).ema_collections(initial()))
    start = flat_trees.flatten(initial().collections["generator"])
    assert one.keys() == four.keys() == start.keys()
    for name, value in one.items():
        np.testing.assert_allclose(four[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    changed = [
        name
        for name in one
        if "batch_stats" in name and np.abs(one[name] - start[name]).max() > 1e-3
    ]
    assert changed


def test_values_and_bounds_are_those_of_usis_evaluate(tmp_path):
    rows = {row.id: row for row in measured(settings("swd,spectrum,consistency,ms_ssim"))}
    layout.save_settings(tmp_path, tiny_run.settings())
    average = initial().replace(ema_collections=initial().collections["generator"])
    with manager.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, average, tiny_run.settings(), tiny_run.SPEC)
    assert (
        main.main(
            [
                "evaluate",
                f"--workdir={tmp_path}",
                "--num_samples=4",
                f"--json={tmp_path / 'e.json'}",
            ]
        )
        == 0
    )
    expected = json.loads((tmp_path / "e.json").read_text())["rows"]
    assert {row["id"] for row in expected} == rows.keys()
    for row in expected:
        found = rows[row["id"]]
        assert found.value == pytest.approx(row["value"], rel=1e-4)
        assert found.real == (row["real"] and pytest.approx(row["real"], rel=1e-4))
        assert found.protocol == row["protocol"]


def test_only_what_is_asked_for_is_measured_in_the_stated_direction(tmp_path, monkeypatch):
    monkeypatch.setattr(inception_features, "inception", stand_in)
    given = settings(
        "fid,evaluator,swd",
        "kd_evaluator",
        evaluation={"evaluator": make_evaluator(tmp_path / "evaluator")},
    )
    begun, own = [], watch(given)
    rows = own.measure(initial(), initial().collections["generator"], begin=begun.append).rows
    assert set(periodic_eval.values(rows)) == {
        "fid",
        "miou",
        "pixel_accuracy",
        "fd_evaluator",
        "kd_evaluator",
        "swd",
    }
    assert begun == [
        "inception",
        "evaluator distances",
        "evaluator scores",
        "sliced wasserstein",
        "training diagnostics",
    ]
    rows += measured(settings("spectrum,consistency,ms_ssim,kid"))
    found = {row.id: row.better for row in rows}
    assert found == {k: v for values in schema.MEASURES.values() for k, v in values.items()}


def test_real_photos_are_described_once(tmp_path, monkeypatch):
    described = []
    monkeypatch.setattr(inception_features, "inception", stand_in)
    monkeypatch.setattr(
        segmentation_evaluator.Evaluator,
        "features",
        lambda self, photos: (
            described.append(len(photos))
            or photos.reshape(len(photos), -1)[:, :5].astype(np.float32)
        ),
    )
    own = watch(
        settings("evaluator,fid", evaluation={"evaluator": make_evaluator(tmp_path / "evaluator")})
    )
    first, second = (own.measure(initial(), initial().collections["generator"]) for _ in range(2))
    assert first == second and len(described) == 4


def test_log_has_values_and_real_ones_in_one_group():
    rows = [
        suite.Row("swd", "SWD", 3.0, 1.5, "lower", "p", None, {"swd": 3.0, "swd/16": 4.0}),
        suite.Row("consistency_miou", "consistency mIoU", 0.25, None, "higher", "p"),
    ]
    assert periodic_eval.scalars(rows) == {
        "evaluation/swd": 3.0,
        "evaluation/swd_real": 1.5,
        "evaluation/swd_16": 4.0,
        "evaluation/consistency_miou": 0.25,
    }
    assert periodic_eval.values(rows) == {"swd": 3.0, "consistency_miou": 0.25}
    assert periodic_eval.text(rows) == "SWD 3 (real 1.5), consistency mIoU 0.25"


@pytest.mark.slow
def test_what_cannot_be_measured_is_found_before_anything_is_made(tmp_path):
    def refused(given, words, error=ValueError):
        with pytest.raises(error, match=words):
            run.train(given, tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()

    refused(settings("fid"), "has no weights of inception; run usis get-weights")
    refused(settings("swd,kid", evaluation={"inception": str(tmp_path)}), "no weights of inception")
    refused(
        settings("evaluator", evaluation={"evaluator": "nowhere"}),
        "that usis train-evaluator wrote",
        FileNotFoundError,
    )
    other = make_evaluator(tmp_path / "large", (32, 16))
    refused(
        settings("evaluator", evaluation={"evaluator": other}),
        "evaluation.evaluator reads photos of 32x16 and this run generates 16x16",
    )
    seen = make_evaluator(tmp_path / "seen", pairs="scenes:validation")
    refused(
        settings("evaluator", evaluation={"evaluator": seen}), "was trained on scenes:validation"
    )
    small = {"data": {"height": 8, "width": 16}, "generator": {"multipliers": (2, 1)}}
    refused(settings(**small), "spectrum needs photos of at least 16 pixels a side, these are 8x16")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"measures": "swd,lpips"},
            "measures is 'swd,lpips'; it must be a comma list of swd, spec",
        ),
        ({"measures": "swd,swd"}, "each at most once"),
        ({"measures": ""}, "must be a comma list"),
        (
            {"best": "fid"},
            "with evaluation.measures=swd,spectrum,consistency it must be one of swd, ",
        ),
        ({"photos": 1}, "must be 0 .all. or at least 2"),
        ({"evaluator": "evaluators/mine"}, "belong together"),
        ({"measures": "swd,evaluator"}, "belong together"),
        ({"inception": "a.pth"}, "it is for fid and kid"),
        ({"preset": "fid"}, "must be one of fid-published, fid-clean"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        settings_lib.load({"evaluation": fields})


def test_best_is_the_checkpoint_with_the_best_value_of_the_chosen_measure(tmp_path):
    given = settings("swd,consistency", "consistency_pixel_accuracy")
    values = {1: 0.2, 2: 0.6, 3: 0.6, 4: float("nan"), 5: 0.4, 6: None}
    with manager.Checkpoints(tmp_path, keep=1, best=given.evaluation.best) as checkpoints:
        for step, value in values.items():
            metrics = {"swd": -step, "consistency_pixel_accuracy": value} if value else None
            checkpoints.save(step, initial(), given, tiny_run.SPEC, None, metrics)
        checkpoints.wait()
        assert checkpoints.best == "consistency_pixel_accuracy" and checkpoints.best_step() == 3
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best == "consistency_pixel_accuracy" and checkpoints.best_step() == 3
        meta = checkpoints.meta(best=True)
        assert meta["best"] == {"measure": "consistency_pixel_accuracy", "better": "higher"}
        assert meta["metrics"] == {"swd": -3, "consistency_pixel_accuracy": 0.6}
    assert sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir()) == [3, 6]


def test_checkpoints_of_another_measure_are_not_compared(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:  # as before there was a choice
        checkpoints.save(1, initial(), settings(), tiny_run.SPEC, None, {"swd": 0.001})
        checkpoints.wait()
        assert (checkpoints.best, checkpoints.best_step()) == ("swd", 1)
        assert checkpoints.meta(best=True)["step"] == 1
    with manager.Checkpoints(tmp_path, best="fid") as checkpoints:
        assert checkpoints.best_step() is None
        checkpoints.save(2, initial(), settings(), tiny_run.SPEC, None, {"fid": 90.0})
        checkpoints.wait()
        assert checkpoints.best_step() == 2
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        meta = checkpoints.meta(best=True)
        assert (checkpoints.best, checkpoints.best_step()) == ("fid", 2)
        assert (meta["best"]["measure"], meta["step"]) == ("fid", 2)


def test_resuming_with_another_best_is_refused_and_with_other_measures_is_not(tmp_path):
    layout.create(tmp_path / "run", settings("swd,consistency"))
    with pytest.raises(ValueError, match=r"evaluation.best: 'swd' -> 'consistency_miou'"):
        layout.check(settings("swd,consistency", "consistency_miou"), tmp_path / "run")
    layout.check(settings("swd,spectrum"), tmp_path / "run")


def one_step():
    """Settings of a run of one step that is measured and shown."""
    return settings(
        "swd,consistency", "consistency_miou", steps=1, sample_interval=1, r1_interval=0
    )


def train_on_hosts(folder):
    """Trains on one of several hosts and writes down what it found."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_run.install(patch)
        summary = run.train(one_step(), folder / "run", progress=False)
        assert (
            main.main(
                [
                    "evaluate",
                    f"--workdir={folder / 'run'}",
                    "--num_samples=2",
                    f"--json={folder / 'evaluated.json'}",
                ]
            )
            == 0
        )
    file = folder / f"{jax.process_index()}.json"
    file.write_text(json.dumps({name: summary[name] for name in ("evaluation", "best_step")}))


@pytest.mark.slow
def test_two_hosts_measure_together_what_one_does(tmp_path):
    hosts.run(train_on_hosts, tmp_path)
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in range(2))
    assert first == second and first["best_step"] == 1
    with manager.Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        trained = checkpoints.restore(train_state.shapes(one_step(), CLASSES))
        variables, meta = checkpoints.restore_generator(best=True)
    own = watch(one_step())
    collections = own.ema_collections(trained)
    stored = flat_trees.flatten({name: variables[name] for name in collections})
    for name, value in flat_trees.flatten(collections).items():
        np.testing.assert_allclose(stored[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    expected = periodic_eval.values(own.measure(trained, collections).rows)
    assert first["evaluation"] == pytest.approx(expected, rel=1e-3) == meta["metrics"]
    evaluated = json.loads((tmp_path / "evaluated.json").read_text())
    found = {row["id"]: row["value"] for row in evaluated["rows"]}
    assert found["swd"] == pytest.approx(expected["swd"], rel=1e-3)
    assert found["consistency_miou"] == pytest.approx(expected["consistency_miou"], rel=1e-3)
    assert (tmp_path / "run/report.html").is_file()
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1:]
    assert json.loads(line)["evaluation/swd"] == meta["metrics"]["swd"]
    assert [path.name for path in (tmp_path / "run/samples").iterdir()] == ["step_000001.png"]
