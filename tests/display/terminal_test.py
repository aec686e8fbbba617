"""Colours: on a terminal and nowhere else."""

import io

import pytest

from usis_jax.display import terminal


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_terminal_gets_colours_and_a_file_does_not():
    assert terminal.styled("x", "bold", "red", stream=Screen()) == "\033[1;31mx\033[0m"
    assert terminal.styled("x", "bold", "red", stream=io.StringIO()) == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_environment_switches_colours_off(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert terminal.styled("x", "red", stream=Screen()) == "x"


def test_missing_or_closed_stream_has_no_colours(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", None)
    assert not terminal.has_colours(closed) and not terminal.has_colours()
