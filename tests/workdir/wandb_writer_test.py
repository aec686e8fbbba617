"""Names on dashboards, and Weights & Biases by a small stand-in."""

import re
import sys
import types

import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.config import settings as settings_lib
from usis_jax.diagnostics import meanings, rules
from usis_jax.workdir import metric_writers, wandb_writer


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("loss_real", "losses/real"),
        ("r1", "losses/r1"),
        ("score_fake", "diagnostics/score_fake"),
        ("right_real", "diagnostics/right_real"),
        ("class_accuracy", "diagnostics/class_accuracy"),
        ("speed/images_per_second", "speed/images_per_second"),
        ("evaluation/swd", "evaluation/swd"),
        ("diagnostics/overfitting", "diagnostics/overfitting"),
    ],
)
def test_every_number_has_a_group(name, shown):
    assert wandb_writer.grouped(name) == shown


class Run:
    """What `wandb.init` returns."""

    def __init__(self):
        self.logged, self.metrics, self.ended, self.broken = [], [], False, False

    def define_metric(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def log(self, values):
        if self.broken:
            raise OSError("no network")
        self.logged.append(values)

    def finish(self):
        self.ended = True


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package; `started` holds the arguments of its runs."""
    module = types.ModuleType("wandb")
    module.__spec__ = types.SimpleNamespace(name="wandb")
    module.started, module.run = [], Run()
    module.Image = lambda array: ("picture", array.shape)

    def init(**options):
        module.started.append(options)
        return module.run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


SETTINGS = tiny_run.settings(wandb={"project": "streets"})


def test_numbers_and_pictures_reach_the_run_that_a_resumed_run_goes_on_with(tmp_path, wandb):
    for _ in range(2):
        writer = metric_writers.create_writer(tmp_path, 0, SETTINGS, meanings.markdown())
        writer.write_scalars(3, {"loss_real": 0.5, "score_fake": -1})
        writer.write_images(3, {"samples": np.zeros((1, 4, 6, 3), np.uint8)})
        writer.close()
    first, second = wandb.started
    assert first["id"] == second["id"] and second["resume"] == "allow"
    assert re.fullmatch("[0-9a-f]{8}", first["id"])
    assert (first["project"], first["config"]["batch_size"]) == ("streets", 4)
    assert ("*", "step") in wandb.run.metrics and wandb.run.ended
    assert wandb.run.logged[:2] == [
        {"losses/real": 0.5, "diagnostics/score_fake": -1.0, "step": 3},
        {"samples": ("picture", (4, 6, 3)), "step": 3},
    ]
    assert '"loss_real": 0.5' in (tmp_path / "metrics.jsonl").read_text()
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert b"diagnostics/meanings" in events
    assert all(one.meaning.encode() in events for one in rules.apply({}))


def test_training_goes_on_when_nothing_can_be_written_there(tmp_path, wandb, caplog):
    writer = wandb_writer.Wandb(SETTINGS, tmp_path)
    wandb.run.broken = True
    for step in range(3):
        writer.write_scalars(step, {"loss_real": 1.0})
    assert len(caplog.records) == 1 and "no network" in caplog.text


def test_run_that_cannot_be_started_is_one_line(tmp_path, wandb):
    def refuse(**_):
        raise RuntimeError("api_key not configured\nmore")

    wandb.init = refuse
    with pytest.raises(ValueError, match=r"wandb.project is 'streets'.*api_key not configured; "):
        wandb_writer.Wandb(SETTINGS, tmp_path)


def test_missing_package_is_said_before_anything_is_made(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(wandb_writer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="is not installed: pip install wandb"):
        wandb_writer.check_wandb(SETTINGS)
    wandb_writer.check_wandb(tiny_run.settings())
    assert "wandb.project" in settings_lib.FREE_FIELDS
