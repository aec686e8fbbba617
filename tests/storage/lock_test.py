"""The lock of a work directory, between processes and hosts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from usis_jax.storage import lock

HOLD = """
import sys, time
from usis_jax.storage import lock
with lock.Lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    """Another process that holds the lock of tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_directory_in_use_is_refused_naming_host_and_process(other_process, tmp_path):
    with pytest.raises(ValueError, match=rf"in use by process {other_process.pid} on host ") as e:
        lock.Lock(tmp_path / "run").__enter__()
    assert os.uname().nodename in str(e.value) and "--workdir" in str(e.value)


def test_lock_of_a_killed_process_is_free_at_once(other_process, tmp_path):
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    with lock.Lock(tmp_path / "run", beat_seconds=1000):
        assert json.loads((tmp_path / "run/lock").read_text())["pid"] == os.getpid()


def test_ended_run_leaves_no_name_and_no_empty_directory(tmp_path):
    with lock.Lock(tmp_path / "a"):
        (tmp_path / "a" / "file").write_text("x")
    assert (tmp_path / "a" / "lock").read_bytes() == b""
    with lock.Lock(tmp_path / "b"):
        assert (tmp_path / "b").is_dir()
    assert not (tmp_path / "b").exists()


def _as_left_by(tmp_path, beat):
    (tmp_path / "lock").write_text(json.dumps({"host": "other", "pid": 7, "beat": beat}))


def test_holder_on_another_host_that_beats_is_refused(tmp_path):
    _as_left_by(tmp_path, 3)
    beats = threading.Timer(0.1, _as_left_by, (tmp_path, 4))
    beats.start()
    with pytest.raises(ValueError, match="in use by process 7 on host other"):
        lock.Lock(tmp_path, beat_seconds=5.0).__enter__()
    beats.join()


def test_holder_on_another_host_that_beats_no_more_is_replaced(tmp_path):
    _as_left_by(tmp_path, 3)
    with lock.Lock(tmp_path, host="mine", beat_seconds=0.05):
        first = json.loads((tmp_path / "lock").read_text())
        assert first["host"] == "mine"
        end = time.monotonic() + 20
        while json.loads((tmp_path / "lock").read_text())["beat"] == first["beat"]:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_damaged_lock_file_hinders_nobody(tmp_path):
    (tmp_path / "lock").write_bytes(b"\xff\x00[")
    with lock.Lock(tmp_path, beat_seconds=1000):
        assert (tmp_path / "lock").read_bytes().startswith(b"{")


def test_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, or lies in one"):
        lock.Lock(tmp_path / "file" / "run").__enter__()
