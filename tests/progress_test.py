"""Progress of a run: what counts as time of a step, and the bar of an evaluation."""

import types

import pytest

from usis_jax import logs


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when it is told to."""
    now = types.SimpleNamespace(time=100.0)
    monkeypatch.setattr(logs.time, "perf_counter", lambda: now.time)
    return now


def test_time_of_an_evaluation_is_not_counted_in_the_rate(clock):
    progress = logs.Progress(0, 10, 4, shown=False)
    clock.time += 2
    with progress.aside(), progress.inner(5, "evaluate") as bar:
        bar.update(5)
        clock.time += 1000
    clock.time += 3
    assert progress.rates(10) == {"speed/steps_per_second": 2, "speed/images_per_second": 8}
    assert progress.overall() == {"steps_per_second": 2, "images_per_second": 8}


def test_bar_of_an_evaluation_counts_photos_and_vanishes(capsys):
    progress = logs.Progress(0, 10, 4)
    with progress.inner(20, "evaluate") as bar:
        bar.delay = 0
        bar.update(15)
        bar.set_postfix_str("segmenter")
    progress.close()
    shown = capsys.readouterr().err.split("\r")
    assert any("evaluate" in text and "15/20" in text and "segmenter" in text for text in shown)
    assert "evaluate" not in shown[-1]


def test_hidden_progress_shows_no_bar_of_an_evaluation(capsys):
    progress = logs.Progress(0, 10, 4, shown=False)
    with progress.inner(20, "evaluate") as bar:
        bar.delay = 0
        bar.update(15)
    assert capsys.readouterr().err == ""
