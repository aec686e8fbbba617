"""Every threshold of the training diagnostics from both sides: one that moves is noticed."""

import math

import pytest

from usis_jax.diagnostics import loss_jumps, rules
from usis_jax.diagnostics.diagnosis import BAD, FINE, LOOK, UNKNOWN

CLASSES = [{"name": f"c{k}"} for k in range(8)]
FEWEST = 5  # values that a status needs


def logged(**values):
    """A log in which each number has the same value, or the values of a list."""
    series = {}
    for name, value in values.items():
        line = value if isinstance(value, list) else [value] * 20
        series[name.replace("__", "/")] = (list(range(1, len(line) + 1)), line)
    return series


def status(name, series=None, measured=None, rows=(), **options):
    evaluation = {"rows": list(rows), "diagnostics": measured or {}, "classes": CLASSES}
    (found,) = [one for one in rules.apply(series or {}, evaluation, **options) if one.name == name]
    return found.status


@pytest.mark.parametrize(
    "share, expected",
    [(0.549, LOOK), (0.551, FINE), (0.949, FINE), (0.951, LOOK), (0.989, LOOK), (0.991, BAD)],
)
def test_share_of_images_that_the_discriminator_tells_apart(share, expected):
    series = logged(right_real=share, right_fake=share)
    assert status("D tells real from generated", series) == expected


@pytest.mark.parametrize(
    "gap, expected",
    [(0.09, LOOK), (0.11, FINE), (5.9, FINE), (6.1, LOOK), (11.9, LOOK), (12.1, BAD)],
)
def test_distance_of_scores_where_no_shares_are_logged(gap, expected):
    series = logged(score_real=gap, score_fake=0.0)
    assert status("D tells real from generated", series) == expected


@pytest.mark.parametrize("value, expected", [(0.39, FINE), (0.41, LOOK), (0.79, LOOK), (0.81, BAD)])
def test_overfitting_of_the_discriminator(value, expected):
    assert status("D overfits", measured={"diagnostics/overfitting": value}) == expected


@pytest.mark.parametrize(
    "times_chance, expected", [(1.49, BAD), (1.51, LOOK), (2.99, LOOK), (3.01, FINE)]
)
def test_how_much_the_segmenter_reads_against_chance(times_chance, expected):
    series = logged(class_accuracy=times_chance / len(CLASSES))
    assert status("S reads generated images", series) == expected


@pytest.mark.parametrize("now, expected", [(0.69, LOOK), (0.71, FINE)])
def test_fall_of_what_the_segmenter_reads(now, expected):
    series = logged(class_accuracy=[0.9] * 20 + [0.9 * now] * 20)
    assert status("S reads generated images", series) == expected


@pytest.mark.parametrize(
    "missing, iou, expected",
    [(0, 0.019, FINE), (1, 0.021, FINE), (1, 0.019, LOOK), (2, 0.019, LOOK), (3, 0.019, BAD)],
)
def test_classes_that_are_not_generated(missing, iou, expected):
    details = {"iou": [iou] * missing + [0.5] * (8 - missing), "shares": [0.125] * 8}
    row = {"id": "consistency_miou", "details": details}
    assert status("Classes not generated", rows=[row]) == expected


@pytest.mark.parametrize("share, expected", [(0.00009, FINE), (0.00011, LOOK)])
def test_class_of_hardly_any_pixels_does_not_count(share, expected):
    details = {"iou": [0.0] + [0.5] * 7, "shares": [share] + [0.14] * 7}
    row = {"id": "consistency_miou", "details": details}
    assert status("Classes not generated", rows=[row]) == expected


@pytest.mark.parametrize("real, expected", [(0.039, FINE), (0.041, LOOK)])
def test_class_that_is_not_read_in_real_images_either_does_not_count(real, expected):
    details = {"iou": [0.0] + [0.5] * 7, "shares": [0.125] * 8, "iou_of_real": [real] + [0.5] * 7}
    row = {"id": "miou", "details": details}
    assert status("Classes not generated", rows=[row]) == expected


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("value, expected", [(2.9, FINE), (3.1, LOOK), (5.9, LOOK), (6.1, BAD)])
def test_power_of_high_frequencies(side, value, expected):
    measured = {"diagnostics/high_frequencies_db": side * value}
    assert status("High frequencies", measured=measured) == expected


@pytest.mark.parametrize("value, expected", [(0.34, BAD), (0.36, LOOK), (0.59, LOOK), (0.61, FINE)])
def test_spread_of_generated_images(value, expected):
    measured = {"diagnostics/spread": value}
    assert status("Images differ from each other", measured=measured) == expected


@pytest.mark.parametrize("value, expected", [(0.4, BAD), (0.6, LOOK), (2.9, LOOK), (3.1, FINE)])
def test_change_by_other_noise(value, expected):
    measured = {"diagnostics/noise_difference": value}
    assert status("Noise changes the image", measured=measured) == expected


@pytest.mark.parametrize(
    "values, expected",
    [
        ([2.0, 1.0], UNKNOWN),  # too few
        ([1.0, 2.0, 2.0, 2.0, 1.09], FINE),
        ([1.0, 2.0, 2.0, 2.0, 1.11], LOOK),
        ([1.0, 2.0, 2.0, 2.0, 1.49], LOOK),
        ([1.0, 2.0, 2.0, 2.0, 1.51], BAD),
        # The best at 70% of the steps is late, at 60% it is not.
        ([2.0] * 6 + [1.0] + [1.2] * 3, FINE),
        ([2.0] * 5 + [1.0] + [1.2] * 4, LOOK),
    ],
)
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_measure_that_chooses_the_best_checkpoint(values, expected, better):
    values = values if better == "lower" else [1 / value for value in values]
    series = logged(evaluation__fid=values)
    assert status("Still getting better", series, best="fid", better=better) == expected


@pytest.mark.parametrize("times, expected", [(0, FINE), (1, LOOK), (2, LOOK), (3, BAD)])
def test_times_that_a_run_went_back(times, expected):
    series = logged(loss_real=1.0, **({"data_order": [1.0] * times} if times else {}))
    assert status("Losses are finite", series) == expected


@pytest.mark.parametrize("number, expected", [(FEWEST - 1, UNKNOWN), (FEWEST, FINE)])
def test_fewest_values_of_a_status(number, expected):
    series = logged(right_real=[0.8] * number, right_fake=[0.8] * number)
    assert status("D tells real from generated", series) == expected


@pytest.mark.parametrize("times, expected", [(3.9, 0), (4.1, 1)])
def test_jump_of_a_loss_is_one_above_four_times_its_level(times, expected):
    chance = math.log(2)  # of a discriminator that guesses
    highest = {"loss_real": (times * chance, 7)}
    assert len(loss_jumps.in_interval(highest, {}, 8)) == expected


@pytest.mark.parametrize("times, expected", [(3.9, FINE), (4.1, LOOK), (9.9, LOOK), (10.1, BAD)])
def test_jump_of_a_loss_in_the_log(times, expected):
    chance = math.log(len(CLASSES) + 1)  # of a segmenter that guesses
    series = logged(
        loss_segmentation=[chance] * 20,
        highest__segmentation=[chance] * 19 + [times * chance],
    )
    assert status("Losses jump", series) == expected
