"""Tests of the embedded data set: procedural street scenes and their builder."""

import dataclasses
import subprocess

import numpy as np
import pytest

from usis_jax.data.datasets import base, scenes
from usis_jax.data.scenes import classes, workers
from usis_jax.data.scenes.camera import Camera, draw_light
from usis_jax.data.scenes.layout import plan
from usis_jax.data.scenes.render import draw_label, draw_scene
from usis_jax.data.specs import lookup

SIZE = (32, 64)


@pytest.fixture(scope="module")
def some():
    drawn = [draw_scene(seed, *SIZE) for seed in range(24)]
    return np.stack([p for p, _ in drawn]), np.stack([m for _, m in drawn])


def test_same_seed_draws_same_scene(some):
    photo, label = draw_scene(5, *SIZE)
    assert photo.dtype == label.dtype == np.uint8
    np.testing.assert_array_equal(photo, some[0][5])
    np.testing.assert_array_equal(label, some[1][5])


def test_different_seeds_draw_different_streets(some):
    _, labels = some
    for i in range(len(labels) - 1):
        assert (labels[i] != labels[i + 1]).mean() > 0.15


def test_every_class_appears_and_no_other_id(some):
    found = np.bincount(some[1].ravel(), minlength=len(classes.CLASS_NAMES))
    assert len(found) == len(classes.CLASS_NAMES) == len(classes.PALETTE)
    assert found.min() > 0
    assert found[classes.VOID] < 0.1 * some[1].size


def test_main_classes_have_their_own_colours(some):
    photos, labels = some
    mean = {c: photos[labels == c].mean(0) for c in range(classes.VOID)}
    sky, grass, road = (mean[c] for c in (classes.SKY, classes.GRASS, classes.ROAD))
    assert sky.mean() > road.mean() + 40
    assert grass[1] > grass[2] + 30
    assert np.ptp(road) < 20


def test_light_varies_from_scene_to_scene(some):
    photos, labels = some
    skies = np.stack(
        [
            p[m == classes.SKY].mean(0)
            for p, m in zip(*some, strict=True)
            if (m == classes.SKY).sum() > 20
        ]
    )
    assert skies.std(0).min() > 12
    assert photos.mean((1, 2, 3)).std() > 8
    assert labels.shape == (24, *SIZE)


def test_road_narrows_towards_the_horizon(some):
    _, labels = some
    road = (labels == classes.ROAD).mean((0, 2))
    assert road[: SIZE[0] // 3].max() < 0.01
    assert road[SIZE[0] * 5 // 8] < road[SIZE[0] * 7 // 8]


def test_label_alone_equals_label_of_scene(some):
    for seed in range(6):
        np.testing.assert_array_equal(draw_label(seed, *SIZE), some[1][seed])


def test_scene_is_the_same_street_at_every_size(some):
    for seed in (1, 2, 3):
        large = draw_label(seed, 2 * SIZE[0], 2 * SIZE[1])[1::2, 1::2]
        assert (large == some[1][seed]).mean() > 0.8


@pytest.mark.parametrize(
    "height, width, seed, field", [(8, 64, 0, "height"), (64, 15, 0, "width"), (32, 64, -1, "seed")]
)
def test_impossible_arguments_are_named(height, width, seed, field):
    with pytest.raises(ValueError, match=field):
        draw_scene(seed, height, width)


@pytest.mark.parametrize("bend", [0.0, 0.006, -0.006])
@pytest.mark.parametrize("x", [-7.0, 9.0])
def test_wall_lies_where_its_points_project(bend, x):
    camera = Camera(128, 64, 90.0, 60.0, 30.0, 1.6, 1.2, 0.01, bend)
    depth = camera.wall(x)
    columns = np.flatnonzero((depth > 1) & (depth < 100))
    assert len(columns) > 20
    projected, _ = camera.project(x, 0.0, depth[columns])
    np.testing.assert_allclose(projected, columns + 0.5, atol=0.02)


def test_single_colour_is_lit_as_an_array_is():
    light = draw_light(np.random.default_rng(3))
    albedo = np.array((0.2, 0.5, 0.8))
    array = light.expose(albedo, np.float64(0.6), np.float64(30.0), np.float64(0.8))
    np.testing.assert_allclose(light.expose_one(albedo, 0.6, 30.0, 0.8), 255 * array, atol=1.01)


def test_plan_does_not_depend_on_size():
    small, large = plan(11, 64, 128), plan(11, 256, 512)
    assert [dataclasses.astuple(i) for i in small.items] == [
        dataclasses.astuple(i) for i in large.items
    ]
    assert small.buildings == large.buildings


def test_no_split_shares_a_scene_and_measuring_splits_are_paired():
    groups = [
        scenes.seeds("photos", "train", 50),
        scenes.seeds("labels", "train", 50),
        scenes.seeds("photos", "validation", 50),
        scenes.seeds("photos", "test", 50),
        scenes.seeds("photos", "train", 50, start=1),
    ]
    assert len({seed for group in groups for seed in group}) == 250
    for split in ("validation", "test"):
        assert scenes.seeds("photos", split, 9) == scenes.seeds("labels", split, 9)


@pytest.mark.parametrize("kind", ["photos", "labels"])
def test_processes_draw_what_one_process_draws(kind):
    numbers = [3, 1, 4, 15, 9]
    images = list(workers.draw_scenes(numbers, kind, 16, 32, workers=2))
    for number, image in zip(numbers, images, strict=True):
        np.testing.assert_array_equal(image, draw_scene(number, 16, 32)[kind == "labels"])


def test_scenes_are_drawn_here_where_no_process_starts(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no process")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    images = list(workers.draw_scenes([7, 8], "labels", 16, 32, workers=2))
    np.testing.assert_array_equal(images[1], draw_label(8, 16, 32))


def test_builder_stores_unpaired_training_and_paired_validation(tmp_path):
    sources = {}
    for kind in ("photos", "labels"):
        config = base.DataConfig(
            kind=kind,
            height=16,
            width=32,
            spec=lookup.get("scenes"),
            origin={"counts": {"train": 3, "validation": 2, "test": 1}},
        )
        one = scenes.Scenes(data_dir=str(tmp_path), config=config)
        one.download_and_prepare(file_format="array_record")
        assert one.info.splits["test"].num_examples == 1
        for split in ("train", "validation"):
            sources[kind, split] = {e["name"]: e for e in one.as_data_source(split)}
    assert sources["photos", "validation"].keys() == sources["labels", "validation"].keys()
    assert not sources["photos", "train"].keys() & sources["labels", "train"].keys()
    photo, label = draw_scene(scenes.seeds("photos", "validation", 2)[1], 16, 32)
    name = b"validation_000001"
    np.testing.assert_array_equal(sources["photos", "validation"][name]["photo"], photo)
    np.testing.assert_array_equal(sources["labels", "validation"][name]["label"][..., 0], label)
