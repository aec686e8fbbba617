"""Output that nobody reads, that no disk takes or no terminal can show: it ends no command."""

import errno
import io
import os
import subprocess
import sys

import pytest

from usis_jax.cli import main
from usis_jax.display import output


def unread_pipe():
    """A text stream into a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def test_pipe_without_reader_swallows_text_and_does_not_fail_at_the_end():
    stream = unread_pipe()
    lossy = output.Lossy(stream)
    for _ in range(3):
        lossy.write("x" * 100_000)
        lossy.flush()
    lossy.finish()
    assert lossy.fault is None and not lossy.isatty()
    stream.close()  # nothing is left that the system could refuse


def test_closed_stream_is_no_fault():
    closed = io.StringIO()
    closed.close()
    lossy = output.Lossy(closed)
    assert lossy.write("text") == 4
    lossy.flush()
    lossy.writelines(["a", "b"])
    assert lossy.fault is None and not lossy.isatty()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk_is_said_on_standard_error(monkeypatch):
    error = io.StringIO()
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", error)
        with output.lossy():
            print("a result")
        assert sys.stdout is full and sys.stderr is error
        full.flush()
    said = error.getvalue()
    assert said == f"usis: standard output was not all written: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_a_stream_cannot_show_are_written_as_escapes(encoding):
    raw = io.BytesIO()
    lossy = output.Lossy(io.TextIOWrapper(raw, encoding=encoding))
    lossy.write("d\u00e4\U0001f600ta\n")
    lossy.flush()
    assert raw.getvalue().endswith(b"\\U0001f600ta\n")


def test_other_attributes_are_those_of_the_stream():
    stream = io.StringIO()
    lossy = output.Lossy(stream)
    lossy.write("text")
    assert lossy.getvalue() == "text" and lossy.fault is None


def test_missing_standard_streams_do_not_end_a_command(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main.main(["completion", "bash", f"--json={tmp_path / 'j.json'}"]) == 0
    assert (tmp_path / "j.json").is_file()
    assert (sys.stdout, sys.stderr) == (None, None)


@pytest.mark.parametrize(
    "shell",
    [
        "{usis} completion bash --json=j.json | true; echo ${PIPESTATUS[0]}",
        "{usis} completion bash --json=j.json <&- >&- 2>&-; echo $?",
    ],
)
def test_reader_that_leaves_changes_no_exit_code(tmp_path, shell):
    command = shell.replace("{usis}", f"{sys.executable} -m usis_jax")
    root = os.path.dirname(os.path.dirname(os.path.abspath(output.__file__)))
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert (tmp_path / "j.json").is_file()
