"""Losses that jump: the rule, its thresholds, and what a line of means hides."""

import json
import math

import pytest

from usis_jax.diagnostics import loss_jumps, rules, step_means


def of(series, classes=12):
    """The diagnostic of loss jumps for logged values by name, a line a step."""
    series = {name: (list(range(1, len(v) + 1)), v) for name, v in series.items()}
    evaluation = {"rows": [], "classes": [{"name": str(i)} for i in range(classes)]}
    return next(s for s in rules.apply(series, evaluation) if s.name == "Losses jump")


def lines(*highest, name="segmentation", means=None):
    means = means or [1.0] * len(highest)
    return {f"loss_{name}": means, f"highest/{name}": list(highest)}


def test_jump_of_the_quickstart_is_bad_and_names_the_loss():
    diagnostic = of(lines(2.56, 2.56, 47.9, means=[2.56, 2.56, 47.9]))
    assert (diagnostic.status, diagnostic.value) == (
        "bad",
        "segmentation 47.9, 19 times its level of 2.56 (line of step 3)",
    )
    assert "rates" in diagnostic.advice and diagnostic.series == ("highest/segmentation",)


@pytest.mark.parametrize(
    ("times", "status"),
    [(1.0, "fine"), (3.99, "fine"), (4.01, "look at it"), (9.99, "look at it"), (10.01, "bad")],
)
def test_thresholds_are_times_the_level(times, status):
    chance = math.log(13)
    assert of(lines(times * chance)).status == status  # the first line: against guessing
    assert of(lines(6.0, 6.0 * times, means=[6.0, 6.0])).status == status
    # A loss below what guessing gives is measured against guessing.
    assert of(lines(0.1, times * chance, means=[0.1, 0.1])).status == status


def test_adversarial_losses_are_measured_against_a_discriminator_that_guesses():
    assert of(lines(0.01, 2.7, name="real", means=[0.01, 0.1])).status == "fine"
    assert of(lines(0.01, 2.8, name="real", means=[0.01, 0.1])).status == "look at it"


def test_loss_without_a_level_counts_from_its_second_line_on():
    assert of(lines(50.0, name="reconstruction")).status == "not known yet"
    assert of(lines(0.5, 0.6, name="reconstruction", means=[0.1, 0.1])).status == "look at it"


def test_runs_that_log_no_largest_values_have_no_status():
    assert of({"loss_segmentation": [2.5, 90.0]}).status == "not known yet"


def test_means_carry_the_largest_loss_and_its_step_also_over_a_checkpoint():
    means = step_means.Means()
    for step, value in enumerate((2.56, 2.56, 47.9, 3.0), 1):
        means.add(step, {"loss_segmentation": value, "score_real": 9.0})
        means = step_means.Means(json.loads(json.dumps(means.get_state())))
    assert means.highest() == {"loss_segmentation": (47.9, 3)}
    assert means.take()["loss_segmentation"] == pytest.approx(56.02 / 4)
    assert means.highest() == {} and step_means.Means({"loss_real": (1.0, 2)}).highest() == {}


def test_jumps_of_an_interval_name_the_step():
    (jump,) = loss_jumps.in_interval(
        {"loss_segmentation": (47.9, 3), "loss_real": (0.9, 2)}, {}, 12
    )
    assert (jump.name, jump.step, round(jump.times)) == ("segmentation", 3, 19)
    assert loss_jumps.in_interval({"loss_real": (20.0, 3)}, {"loss_real": 5.0}, 12) == []
