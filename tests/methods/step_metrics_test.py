"""Training diagnostics in the step and at evaluations, against counts by hand."""

import types

import jax
import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.diagnostics import measurements
from usis_jax.evaluation import suite
from usis_jax.methods import step_metrics
from usis_jax.models import registry

SPEC = tiny_run.SPEC


def test_discriminator_is_right_above_zero_on_real_and_below_on_generated_images():
    score = np.array([[2.0], [-1.0], [0.5], [0.0]], np.float32)
    assert step_metrics.share_right(score, True) == 0.5
    assert step_metrics.share_right(score, False) == 0.25


def test_class_accuracy_is_the_mean_over_the_classes_present_without_void():
    random = np.random.default_rng(0)
    label, read = random.integers(0, 4, (2, 6, 6)), random.integers(0, 5, (2, 6, 6))
    label[label == 2] = 3
    shares = [(read[label == c] == c).mean() for c in (1, 3)]
    found = step_metrics.class_accuracy(read, label, 5, void=0)
    assert found == pytest.approx(np.mean(shares), abs=1e-6)


def test_devices_count_the_classes_of_the_whole_batch():
    random = np.random.default_rng(1)
    label, read = random.integers(0, 3, (4, 2, 8, 8)), random.integers(0, 3, (4, 2, 8, 8))
    label[1:, :, :4] = 2
    each = jax.pmap(lambda r, t: step_metrics.class_accuracy(r, t, 3, axis_name="b"), "b")(
        read, label
    )
    flat = [x.reshape(-1, 8, 8) for x in (read, label)]
    np.testing.assert_allclose(each, step_metrics.class_accuracy(*flat, 3), atol=1e-6)


def discriminator():
    network = registry.build(tiny_run.settings(), SPEC.num_classes, None).discriminator
    return network, network.init(jax.random.key(0), np.zeros((2, 16, 16, 3), np.float32))


def test_scores_of_photos_are_those_of_their_groups_in_the_order_drawn():
    network, variables = discriminator()
    photos = tiny_run.batch(1, 0, 7)["photo"]
    order = np.random.default_rng(0).permutation(7)[:6]
    expected = [
        network.apply(variables, photos[order[i : i + 2]] / np.float32(127.5) - 1)[0]
        for i in (0, 2, 4)
    ]
    found = measurements.scores(network, variables, photos)
    np.testing.assert_allclose(found, np.concatenate(expected)[:, 0], atol=1e-4)


def test_overfitting_is_the_place_of_held_out_photos_between_training_and_generated_images():
    scores = {"score_training": 2.0, "score_validation": 0.5, "score_generated": -1.0}
    assert measurements.overfitting(scores) == {"overfitting": 0.5}
    assert measurements.overfitting(scores | {"score_generated": 1.99}) == {}
    assert measurements.overfitting({"score_generated": 0.0}) == {}


def test_evaluation_measures_every_diagnostic_that_its_inputs_allow():
    photos = tiny_run.batch(2, 0, 4)["photo"]
    kept = {}
    found = types.SimpleNamespace(
        generated=np.full_like(photos, 7),
        real=photos,
        other=photos[:3],
        discriminator=None,
        samples=np.stack([photos // 2, photos // 2 + 3]),
        once=lambda name, make: kept.setdefault(name, make()),
    )
    rows = [
        suite.Row(
            "consistency_miou",
            "consistency mIoU",
            0.5,
            None,
            "higher",
            "p",
            None,
            {"class_accuracy": 0.25},
        ),
        suite.Row(
            "spectral_distance", "spectral distance", 0.5, None, "lower", "p", None, {"high": -3.0}
        ),
    ]
    assert measurements.measure(found, rows) == {
        "diagnostics/spread": 0.0,
        "diagnostics/noise_difference": 3.0,
        "diagnostics/segmenter_class_accuracy": 0.25,
        "diagnostics/high_frequencies_db": -3.0,
    }
    found.discriminator, found.generated = discriminator(), photos
    measured = measurements.measure(found, [])
    assert measured["diagnostics/spread"] == pytest.approx(1.0)
    assert {"diagnostics/right_validation", "diagnostics/score_training"} <= set(measured)
    assert measured["diagnostics/score_generated"] == measured["diagnostics/score_validation"]
