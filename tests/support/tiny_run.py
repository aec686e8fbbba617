"""A run small enough for tests: settings, streams and spec without any prepared data."""

import numpy as np

from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.specs.label_spec import LabelSpec

SPEC = LabelSpec(
    "tiny",
    classes=("void", "sky", "road", "car"),
    palette=((0, 0, 0), (80, 120, 200), (90, 90, 90), (200, 0, 0)),
    void=0,
    file_ids=((255, 0), (10, 1), (20, 2), (30, 3)),
)


def settings(**changes):
    """Settings of networks with a few thousand parameters at 16x16; `changes` are top fields."""
    values = {
        "steps": 6,
        "batch_size": 4,
        "update": "joint",
        "compilation_cache": False,
        "log_interval": 1,
        "sample_interval": 0,
        "checkpoint_interval": 0,
        "eval_interval": 0,
        "r1_interval": 4,
        "ema_decay": 0.5,
        "data": {"height": 16, "width": 16},
        "generator": {"width": 2, "multipliers": (2, 2, 1), "z_dim": 4, "spade_width": 4},
        "segmenter": {"down": (4,), "up": (4,)},
        "discriminator": {"channel_base": 64, "channel_max": 8, "dense": 8, "stddev_group": 2},
        "decoder": {"name": "none"},
    }
    return settings_lib.load(values | changes)


def batch(seed, step, number, size=16):
    """A batch that is a function of (seed, step)."""
    random = np.random.default_rng([seed, step])
    return {
        "photo": random.integers(0, 256, (number, size, size, 3), dtype=np.uint8),
        "label": random.integers(0, SPEC.num_classes, (number, size, size), dtype=np.int32),
    }


def training(settings, start_step=0, process_index=0, process_count=1):
    """Stands in for `streams.training`."""
    step, local = start_step, settings.batch_size // process_count
    while True:
        whole = batch(settings.seed, step, settings.batch_size)
        own = slice(process_index * local, (process_index + 1) * local)
        yield {name: rows[own] for name, rows in whole.items()}
        step += 1


def validation(settings, count=0):
    """Stands in for `streams.validation`."""
    pairs = batch(99, 0, 3)
    return input_pipeline.Examples(pairs["photo"], pairs["label"], ["a", "b", "c"], True)


def install(monkeypatch):
    """Puts the stand-ins in the place of the data streams."""
    monkeypatch.setattr(input_pipeline, "training", training)
    monkeypatch.setattr(input_pipeline, "validation", validation)
    monkeypatch.setattr(input_pipeline, "number_of_photos", lambda settings: 6)
    monkeypatch.setattr(input_pipeline, "counts", lambda settings: {"photos": {"tiny:train": 6}})
    monkeypatch.setattr(input_pipeline, "spec", lambda settings: SPEC)
