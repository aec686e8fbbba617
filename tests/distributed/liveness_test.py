"""Watching other processes, with a dictionary in the place of JAX's coordination service."""

import collections
import concurrent.futures
import json
import threading
import time

import pytest

from usis_jax.distributed import liveness


class Service:
    """What HeartbeatMonitor uses of JAX's client."""

    def __init__(self):
        self.values, self.answers = {}, True
        self.barriers = collections.defaultdict(lambda: threading.Barrier(2))

    def key_value_set(self, key, value, allow_overwrite=False):
        if not self.answers:
            raise RuntimeError("UNAVAILABLE")
        self.values[key] = value

    def wait_at_barrier(self, name, milliseconds):
        self.barriers[name].wait(milliseconds / 1000)

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.values.items() if key.startswith(folder)]


def watching(service, index, lost_seconds):
    """HeartbeatMonitor of one of two processes, and the event and list that say how it ended."""
    ended, how = threading.Event(), []

    def leave(code):
        if not ended.is_set():
            how.append(code)
        watch._ended.set()
        ended.set()

    watch = liveness.HeartbeatMonitor(service, index, 2, lost_seconds, leave)
    watch._interval = 0.02
    return watch, ended, how


@pytest.fixture
def pair():
    """A service and the watches of two processes on it, running."""
    service = Service()
    first, second = watching(service, 0, 0.5), watching(service, 1, 0.5)
    for watch, _, _ in (first, second):
        watch.start()
    yield service, first, second
    for watch, _, _ in (first, second):
        watch._ended.set()


def test_processes_that_beat_leave_each_other_alone(pair):
    _, first, second = pair
    time.sleep(1.5)
    assert first[2] == second[2] == []


def test_processes_wait_for_each_other_at_each_meeting(pair):
    _, (first, *_), (second, *_) = pair
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in range(3):
            waiting = pool.submit(first.meet)
            time.sleep(0.05)
            assert not waiting.done()
            second.meet()
            waiting.result(10)


def test_process_that_falls_silent_is_named(pair, capsys):
    _, (_, ended, how), (second, _, _) = pair
    time.sleep(0.2)
    second._ended.set()
    assert ended.wait(20) and how == [75]
    said = capsys.readouterr().err
    assert said.startswith("usis: process 1 of 2 (") and "no sign of life for " in said


def test_process_that_is_done_is_not_missed(pair):
    _, (_, ended, how), (second, _, _) = pair
    second.close()
    assert not ended.wait(1.5) and how == []


def test_reason_of_a_process_that_ends_is_passed_on(pair, capsys):
    _, (_, ended, how), (second, _, _) = pair
    second.tell(2, "the disk is full")
    assert ended.wait(20) and how == [2]
    assert capsys.readouterr().err == "usis: process 1 ended: the disk is full\n"


def test_service_that_answers_no_more_is_named(pair, capsys):
    service, (_, _, _), (_, ended, how) = pair
    service.answers = False
    assert ended.wait(20) and how == [75]
    assert "which coordinates the others, has not answered" in capsys.readouterr().err


def test_time_in_which_all_were_suspended_does_not_count(monkeypatch):
    service = Service()
    watch, ended, how = watching(service, 0, 5.0)
    service.values["usis/beat/1"] = json.dumps(["1", ""])
    real, jump = time.monotonic, [0.0]
    monkeypatch.setattr(liveness.time, "monotonic", lambda: real() + jump[0])
    watch.start()
    time.sleep(0.2)
    jump[0] = 3600.0
    assert not ended.wait(0.5) and how == []
    watch._ended.set()
