"""The status of training diagnostics: what a practitioner must see."""

import pytest

from usis_jax.diagnostics import rules


def of(name, series=None, **evaluation):
    """The diagnostic of a name."""
    series = {k: (list(range(len(v))), v) for k, v in (series or {}).items()}
    found = {one.name: one for one in rules.apply(series, evaluation or None)}
    return found[name]


@pytest.mark.parametrize(
    ("share", "status"), [(0.5, "look at it"), (0.7, "fine"), (0.97, "look at it"), (1.0, "bad")]
)
def test_discriminator_that_always_wins_or_guesses_is_said(share, status):
    diagnostic = of(
        "D tells real from generated", {"right_real": [share] * 9, "right_fake": [share] * 9}
    )
    assert diagnostic.status == status and f"right on {share:.0%} of real" in diagnostic.value


def test_only_the_last_tenth_of_the_log_counts():
    series = {name: [0.5] * 90 + [1.0] * 10 for name in ("right_real", "right_fake")}
    assert of("D tells real from generated", series).status == "bad"


@pytest.mark.parametrize(("value", "status"), [(0.1, "fine"), (0.5, "look at it"), (1.2, "bad")])
def test_discriminator_that_knows_its_images_by_heart_is_said(value, status):
    diagnostics = {"diagnostics/overfitting": value, "diagnostics/score_training": 1.0}
    assert of("D overfits", rows=[], diagnostics=diagnostics).status == status


def test_generator_that_lost_the_map_is_said_and_so_is_a_fall():
    classes = [{"name": "void", "void": True}, *({"name": str(i)} for i in range(10))]
    series = {"class_accuracy": [0.1] * 20}
    assert of("S reads generated images", series, rows=[], classes=classes).status == "bad"
    fell = of("S reads generated images", {"class_accuracy": [0.9] * 50 + [0.4] * 50})
    assert fell.status == "look at it" and "90% before" in fell.value


def test_classes_that_are_not_generated_are_named():
    row = {
        "id": "consistency_miou",
        "details": {"iou": [None, 0.9, 0.0, 0.01, 0.0], "shares": [0.0, 0.7, 0.2, 0.1, 0.00001]},
    }
    classes = [{"name": name} for name in ("void", "sky", "car", "bicycle", "speck")]
    diagnostic = of("Classes not generated", rows=[row], classes=classes)
    assert (diagnostic.status, diagnostic.value) == ("bad", "car, bicycle of 3 classes, as S reads")
    row["details"]["iou"] = [None, 0.9, 0.4, 0.3, 0.0]
    assert of("Classes not generated", rows=[row], classes=classes).status == "fine"


def test_class_that_the_evaluator_does_not_find_in_real_images_either_does_not_count():
    row = {
        "id": "miou",
        "details": {"iou": [0.0, 0.0], "shares": [0.5, 0.5], "iou_of_real": [0.03, 0.5]},
    }
    assert rules.ignored_classes(row, [{"name": "pole"}, {"name": "car"}]) == (["car"], 2)


@pytest.mark.parametrize(
    ("value", "status"), [(-1.0, "fine"), (-4.0, "look at it"), (7.0, "bad"), (-7.0, "bad")]
)
def test_blur_and_grids_are_said(value, status):
    diagnostic = of(
        "High frequencies", rows=[], diagnostics={"diagnostics/high_frequencies_db": value}
    )
    assert diagnostic.status == status


def test_collapse_and_unused_noise_are_said():
    diagnostics = {"diagnostics/spread": 0.2, "diagnostics/noise_difference": 0.1}
    assert of("Images differ from each other", rows=[], diagnostics=diagnostics).status == "bad"
    assert of("Noise changes the image", rows=[], diagnostics=diagnostics).status == "bad"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([90, 60, 50, 40], "fine"),
        ([90, 40, 42, 48, 55, 54], "look at it"),
        ([90, 30, 40, 60, 80], "bad"),
        ([90, 80], "not known yet"),
    ],
)
def test_measure_that_gets_worse_again_is_said(values, status):
    diagnostic = of("Still getting better", {"evaluation/swd": [float(v) for v in values]})
    assert diagnostic.status == status


def test_nothing_is_known_of_an_empty_run_and_every_diagnostic_has_its_sentence():
    diagnostics = rules.apply({})
    assert {one.status for one in diagnostics} == {"not known yet"}
    assert all(one.meaning.endswith(".") and one.rule and one.advice for one in diagnostics)
