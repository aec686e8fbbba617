"""Rows spread over devices and hosts: each counts once, in order, whoever works on it."""

import jax
import numpy as np
import pytest

from tests.support import hosts, tiny_run
from usis_jax.distributed import sharded_map
from usis_jax.evaluation.evaluators import (
    inception_features,
    published_segmenters,
    segmentation_evaluator,
)
from usis_jax.inference import sampling
from usis_jax.methods import train_state
from usis_jax.models import registry

PHOTOS = tiny_run.batch(2, 0, 5)["photo"]


def generated(devices=None):
    """Images of an untrained generator from five label maps."""
    settings = tiny_run.settings(
        generator={
            "width": 2,
            "multipliers": (2, 2, 1),
            "z_dim": 4,
            "spade_width": 4,
            "noise": "pixel",
        }
    )
    initial = train_state.create(settings, tiny_run.SPEC.num_classes)
    network = registry.build(settings, tiny_run.SPEC.num_classes, axis_name=None).generator
    generate = sampling.ShardedSampler(network, settings.generator, 2, devices)
    variables = {"params": initial.params["generator"], **initial.collections["generator"]}
    return generate(variables, tiny_run.batch(1, 0, 5)["label"], seed=3, samples=(1, 4))


def read():
    """What evaluators and the network of a distance compute from five images, by name."""
    info = {"height": 16, "width": 16, "widths": [4, 6], "scores": {}}
    network = segmentation_evaluator.EvaluatorNetwork(
        tiny_run.SPEC.num_classes, (4, 6), tiny_run.SPEC.void
    )
    variables = network.init(jax.random.key(0), np.zeros((1, 16, 16, 3), np.float32))
    own = segmentation_evaluator.Evaluator(variables, tiny_run.SPEC, info)
    matrix = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    describe = inception_features.Network(
        "net", 4, matrix, lambda w, x: x.mean((1, 2)) @ w, "f", "0" * 64
    )
    published = published_segmenters.KNOWN["drn-d-105"]._replace(
        reader=lambda: jax.jit(lambda weight, photos: photos[..., 0] * weight)
    )
    return {
        "evaluator labels": own.predict(PHOTOS),
        "evaluator features": own.features(PHOTOS),
        "published": published_segmenters.PublishedSegmenter(
            "x", published, np.int32(2), "0"
        ).predict(PHOTOS),
        "features": inception_features.Extractor(describe, batch_size=2)(PHOTOS),
    }


def save_all(folder):
    """Saves what one of several hosts generated and computed."""
    number = jax.process_index()
    # Only one host has the features of before, so all must measure again.
    matrix = np.ones((3, 4), np.float32)
    network = inception_features.Network(
        "net", 4, matrix, lambda w, x: x.mean((1, 2)) @ w, "f", "0" * 64
    )
    kept = inception_features.Extractor(network, cache=folder / f"cache{number}")
    if number == 0:
        file = folder / "cache0" / f"{kept._key(PHOTOS)}.npy"
        file.parent.mkdir()
        np.save(file, np.zeros((5, 4), np.float32))
    np.savez(
        folder / f"{number}.npz",
        generated=generated(),
        kept=kept(PHOTOS, keep=True),
        **read(),
        agreed=sharded_map.agreed([np.pi * (number + 1), -1e-300, 7.0]),
        all=[sharded_map.all_hosts(number == 1), sharded_map.all_hosts(True)],
    )


@pytest.mark.parametrize("number", [1, 3, 4, 7, 8, 13])
@pytest.mark.parametrize("devices", [1, 3, 4])
def test_every_row_counts_once_in_order_on_any_number_of_devices(number, devices):
    rows = np.arange(2 * number, dtype=np.float32).reshape(number, 2)
    given, sizes, done = np.float32(10), [], []

    def function(variables, row, other):
        sizes.append(len(row))
        return variables * row + other[:, None]

    spread = sharded_map.Spread(function, 2, jax.devices()[:devices])
    found = spread(given, rows, -rows[:, 0], advance=done.append)
    np.testing.assert_array_equal(found, 10 * rows - rows[:, :1])
    assert sum(done) == number and max(sizes) <= 2


def test_images_do_not_depend_on_the_number_of_devices():
    one = generated(jax.devices()[:1])
    assert one.shape == (2, 5, 16, 16, 3)
    assert len({photo.tobytes() for photos in one for photo in photos}) == 10
    for devices in (2, 3, 4):
        np.testing.assert_array_equal(generated(jax.devices()[:devices]), one)


def test_threads_of_devices_keep_the_order_of_rows():
    used, done = set(), []

    def function(weight, rows):
        used.update(weight.devices())
        return np.asarray(weight) * rows

    found = sharded_map.each_device(function, np.int32(3), np.arange(19), 2, done.append)
    np.testing.assert_array_equal(found, 3 * np.arange(19))
    assert used == set(jax.local_devices()) and sum(done) == 19


@pytest.mark.slow
def test_two_hosts_generate_and_compute_what_one_does(tmp_path):
    hosts.run(save_all, tmp_path)
    expected = {"generated": generated(), **read()}
    for number in range(2):
        found = np.load(tmp_path / f"{number}.npz")
        for name, value in expected.items():
            assert found[name].shape == value.shape and found[name].dtype == value.dtype
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(found["agreed"], [np.pi, -1e-300, 7.0])
        np.testing.assert_array_equal(found["all"], [False, True])
        assert found["kept"].any()
    assert len(list((tmp_path / "cache1").iterdir())) == 1
