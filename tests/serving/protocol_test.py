"""Connections of the demo's server: clients that are slow, that stop sending, or that wait."""

import concurrent.futures
import json
import socket
import time

import numpy as np
import pytest

from tests.serving.interactive_test import make
from tests.serving.server_test import code, picture, png, post, start
from usis_jax.serving import interactive, limits

STATUS = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
SCHEMA = b"GET /api/schema HTTP/1.1\r\nHost: localhost\r\n\r\n"
LABEL = np.zeros((16, 16), np.uint8)


@pytest.fixture(scope="module")
def running():
    """A server of a tiny generator."""
    found = start(interactive.InteractiveSampler(make()))
    yield found
    found.stop()


def rest(connection):
    """Everything that still comes, up to the connection's end."""
    content = b""
    try:
        while part := connection.recv(65536):
            content += part
    except ConnectionError:
        pass
    return content


@pytest.mark.parametrize("sent", [b"", STATUS[:20], STATUS, STATUS + STATUS[:20]])
def test_silent_connection_is_closed(running, monkeypatch, sent):
    monkeypatch.setattr(limits, "SILENCE", 0.3)
    monkeypatch.setattr(running._server.config, "timeout_keep_alive", 0.3)
    with socket.create_connection(running.address, timeout=20) as connection:
        connection.sendall(sent)
        assert rest(connection).count(b" 200 OK") == sent.count(b"\r\n\r\n")


def test_head_that_comes_by_drops_is_not_waited_for(running, monkeypatch):
    monkeypatch.setattr(limits, "SILENCE", 0.3)
    with socket.create_connection(running.address, timeout=20) as connection:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < began + 10:
                connection.sendall(b"G")
                time.sleep(0.05)


def test_client_that_takes_no_answers_is_given_up(running, monkeypatch):
    monkeypatch.setattr(limits, "SILENCE", 0.3)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(running.address)
        connection.sendall(SCHEMA * 1000)
        time.sleep(1.5)
        assert rest(connection).count(b" 200 OK") < 1000


def test_client_may_end_its_side_before_the_answer(running):
    head = "POST /api/generate?ids=train HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    body = png(LABEL)
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer, _, image = rest(connection).partition(b"\r\n\r\n")
    assert b" 200 OK" in answer and picture(image).shape == (16, 16, 3)
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:9])
        connection.shutdown(socket.SHUT_WR)
        answer, _, refusal = rest(connection).partition(b"\r\n\r\n")
    assert b" 400 " in answer and json.loads(refusal)["error"]["code"] == "bad_request"


def test_one_who_waits_is_sent_away_when_the_server_stops():
    run = start(interactive.InteractiveSampler(make()))
    try:
        post(run, png(LABEL), "?ids=train")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            with run.answers.turns.turn():
                waiting = pool.submit(post, run, png(LABEL), "?ids=train")
                while run.answers.turns.waiting < 2:
                    time.sleep(0.01)
                run.stop()
            assert code(waiting.result()) == (503, "busy")
        with pytest.raises(OSError):
            post(run, png(LABEL))
    finally:
        run.stop()
