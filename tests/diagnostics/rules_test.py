"""Verdicts on signs of health: what a practitioner must see."""

import pytest

from usis_jax.diagnostics import rules


def of(name, series=None, **evaluation):
    """The sign of a name."""
    series = {k: (list(range(len(v))), v) for k, v in (series or {}).items()}
    found = {sign.name: sign for sign in rules.judge(series, evaluation or None)}
    return found[name]


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.5, "look at it"), (0.7, "fine"), (0.97, "look at it"), (1.0, "bad")]
)
def test_discriminator_that_always_wins_or_guesses_is_said(share, verdict):
    sign = of("D tells real from painted", {"right_real": [share] * 9, "right_fake": [share] * 9})
    assert sign.verdict == verdict and f"right on {share:.0%} of real" in sign.value


def test_only_the_last_tenth_of_the_log_counts():
    series = {name: [0.5] * 90 + [1.0] * 10 for name in ("right_real", "right_fake")}
    assert of("D tells real from painted", series).verdict == "bad"


@pytest.mark.parametrize(("value", "verdict"), [(0.1, "fine"), (0.5, "look at it"), (1.2, "bad")])
def test_discriminator_that_knows_its_photos_by_heart_is_said(value, verdict):
    signs = {"signs/overfitting": value, "signs/score_training": 1.0}
    assert of("D overfits", rows=[], signs=signs).verdict == verdict


def test_generator_that_lost_the_map_is_said_and_so_is_a_fall():
    classes = [{"name": "void", "void": True}, *({"name": str(i)} for i in range(10))]
    series = {"class_accuracy": [0.1] * 20}
    assert of("S reads painted photos", series, rows=[], classes=classes).verdict == "bad"
    fell = of("S reads painted photos", {"class_accuracy": [0.9] * 50 + [0.4] * 50})
    assert fell.verdict == "look at it" and "90% before" in fell.value


def test_classes_that_are_not_painted_are_named():
    row = {
        "id": "consistency_miou",
        "details": {"iou": [None, 0.9, 0.0, 0.01, 0.0], "shares": [0.0, 0.7, 0.2, 0.1, 0.00001]},
    }
    classes = [{"name": name} for name in ("void", "sky", "car", "bicycle", "speck")]
    sign = of("Classes not painted", rows=[row], classes=classes)
    assert (sign.verdict, sign.value) == ("bad", "car, bicycle of 3 classes, as S reads")
    row["details"]["iou"] = [None, 0.9, 0.4, 0.3, 0.0]
    assert of("Classes not painted", rows=[row], classes=classes).verdict == "fine"


def test_class_that_the_judge_does_not_find_in_real_photos_either_does_not_count():
    row = {
        "id": "miou",
        "details": {"iou": [0.0, 0.0], "shares": [0.5, 0.5], "iou_of_real": [0.03, 0.5]},
    }
    assert rules.ignored_classes(row, [{"name": "pole"}, {"name": "car"}]) == (["car"], 2)


@pytest.mark.parametrize(
    ("value", "verdict"), [(-1.0, "fine"), (-4.0, "look at it"), (7.0, "bad"), (-7.0, "bad")]
)
def test_blur_and_grids_are_said(value, verdict):
    sign = of("High frequencies", rows=[], signs={"signs/high_frequencies_db": value})
    assert sign.verdict == verdict


def test_collapse_and_unused_noise_are_said():
    signs = {"signs/spread": 0.2, "signs/noise_difference": 0.1}
    assert of("Photos differ from each other", rows=[], signs=signs).verdict == "bad"
    assert of("Noise changes the photo", rows=[], signs=signs).verdict == "bad"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([90, 60, 50, 40], "fine"),
        ([90, 40, 42, 48, 55, 54], "look at it"),
        ([90, 30, 40, 60, 80], "bad"),
        ([90, 80], "not known yet"),
    ],
)
def test_measure_that_gets_worse_again_is_said(values, verdict):
    sign = of("Still getting better", {"evaluation/swd": [float(v) for v in values]})
    assert sign.verdict == verdict


def test_nothing_is_known_of_an_empty_run_and_every_sign_has_its_sentence():
    signs = rules.judge({})
    assert {sign.verdict for sign in signs} == {"not known yet"}
    assert all(sign.meaning.endswith(".") and sign.rule and sign.advice for sign in signs)
