"""Progress of a run: what counts as time of a step, and the bar of an evaluation."""

import types

import pytest

from usis_jax import methods
from usis_jax.display import progress as progress_lib


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is told to."""
    now = types.SimpleNamespace(time=100.0)
    monkeypatch.setattr(progress_lib.time, "perf_counter", lambda: now.time)
    return now


def test_time_of_an_evaluation_is_not_counted_in_the_rate(clock):
    progress = progress_lib.Progress(0, 10, 4, shown=False)
    clock.time += 2
    with progress.aside(), progress.inner(5, "evaluate") as bar:
        bar.update(5)
        clock.time += 1000
    clock.time += 3
    assert progress.rates(10) == {"speed/steps_per_second": 2, "speed/images_per_second": 8}
    assert progress.overall() == {"steps_per_second": 2, "images_per_second": 8}


def test_bar_of_an_evaluation_counts_images_and_vanishes(capsys):
    progress = progress_lib.Progress(0, 10, 4, terminal=True)
    with progress.inner(20, "evaluate") as bar:
        bar.delay = 0
        bar.update(15)
        bar.set_postfix_str("segmenter")
    progress.close()
    shown = capsys.readouterr().err.split("\r")
    assert any("evaluate" in text and "15/20" in text and "segmenter" in text for text in shown)
    assert "evaluate" not in shown[-1]


def test_hidden_progress_shows_no_bar_of_an_evaluation(capsys):
    progress = progress_lib.Progress(0, 10, 4, shown=False)
    with progress.inner(20, "evaluate") as bar:
        bar.delay = 0
        bar.update(15)
    assert capsys.readouterr().err == ""


def test_a_line_an_interval_tells_losses_diagnostics_rate_time_left_and_memory(clock, capsys):
    lines = {metric.name: metric.line for metric in methods.get("usis").metrics}
    progress = progress_lib.Progress(100, 1000, 4, terminal=False, lines=lines)
    clock.time += 50
    progress.show(
        200,
        {
            "loss_fake": 0.25,
            "loss_generator": 1.5,
            "class_accuracy": 0.5,
            "right_real": 0.75,
            "speed/images_per_second": 8.0,
            "speed/memory_gib": 1.25,
        },
    )
    assert capsys.readouterr().err == (
        "step 200/1,000 | generator 1.5, fake 0.25 | S reads 50% of a class | "
        "D right on 75% of real | 8 images/s | 1.2 GiB | 06:40 left\n"
    )


def test_without_a_terminal_there_is_no_bar(capsys):
    progress = progress_lib.Progress(0, 10, 4, terminal=False)
    progress.advance()
    progress.say("done")
    progress.close()
    assert capsys.readouterr().err == "done\n"
