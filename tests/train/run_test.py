"""A whole run: refusing, and what it leaves in the work directory."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from tests.support import tiny_run
from usis_jax.checkpoint import flat_trees
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import prepare
from usis_jax.train import run
from usis_jax.workdir import eval_records, layout, provenance

pytest_plugins = ("tests.support.compiled_run",)
pytestmark = pytest.mark.usefixtures("compile_once", "tiny_streams")


REAL_STREAMS = {name: getattr(input_pipeline, name) for name in ("training", "validation", "spec")}


def test_trains_on_photos_and_label_maps_of_other_splits_and_counts(tmp_path, monkeypatch):
    for name, value in REAL_STREAMS.items():
        monkeypatch.setattr(input_pipeline, name, value)
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
    summary = run.train(settings, tmp_path / "run", progress=False)
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
    assert [row["step"] for row in rows if "evaluation/swd" in row] == [3, 6]
    assert [row["step"] for row in rows if "diagnostics/right_validation" in row] == [3, 6]
    measured, faults = eval_records.read(workdir)
    assert [one["step"] for one in measured] == [3, 6] and not faults
    assert measured[1]["diagnostics"]["diagnostics/spread"] == rows[-1]["diagnostics/spread"]
    assert provenance.read(workdir)[0]["step"] == 0
    report = (workdir / "report.html").read_text()
    assert "D tells real from generated" in report and "data:image/webp" in report
    assert rows[-1]["evaluation/swd"] == summary["swd"] == summary["evaluation"]["swd"]
    kept = {int(p.name) for p in (workdir / "checkpoints").iterdir()}
    assert kept == {3, 4, 6}


def test_finished_run_does_nothing_more(straight):
    before = (straight[0] / "metrics.jsonl").read_text()
    summary = run.train(tiny_run.settings(), straight[0], progress=False)
    assert (summary["start_step"], summary["step"]) == (6, 6)
    assert (straight[0] / "metrics.jsonl").read_text() == before


def test_workdir_of_another_config_is_refused_naming_the_fields(straight):
    other = tiny_run.settings(seed=5, r1_gamma=3.0, steps=60, mapping="pmap")
    with pytest.raises(ValueError, match=r"seed: 0 -> 5; r1_gamma: 10.0 -> 3.0") as error:
        run.train(other, straight[0], progress=False)
    assert "steps:" not in str(error.value) and "--accept_config_change" in str(error.value)
    assert layout.load_settings(straight[0]).seed == 0
    layout.check(other, straight[0], accept_config_change=True)


def test_nothing_is_made_when_data_is_missing(tmp_path, monkeypatch):
    def missing(*args):
        raise FileNotFoundError("not prepared; run: usis prepare")

    monkeypatch.setattr(input_pipeline, "training", missing)
    with pytest.raises(FileNotFoundError, match="usis prepare"):
        run.train(tiny_run.settings(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_workdir_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, or lies in one"):
        layout.create(tmp_path / "file", tiny_run.settings())

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "mkdir", denied)
    with pytest.raises(PermissionError, match=r"cannot write to --workdir .*Permission denied"):
        layout.create(tmp_path / "run", tiny_run.settings())


def test_flat_names_are_the_paths_of_the_tree():
    tree = {"a": ({"b": np.ones(2)}, np.zeros(1))}
    flat = flat_trees.flatten(tree)
    assert sorted(flat) == ["a/0/b", "a/1"]
    again = flat_trees.unflatten(tree, flat)
    assert jax.tree.structure(again) == jax.tree.structure(tree)
