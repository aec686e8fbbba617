"""The other processes of a run: noticing that one is gone, and ending with a line that says so.

Each process writes a beat into JAX's coordination service and reads those of the others, in a
thread of its own, so that compiling and waiting do not silence it. Without this the rest would
wait in a collective operation until JAX's runtime aborts with a stack trace.
"""

import atexit
import concurrent.futures
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time

from usis_jax.distributed import preemption

_BEATS, _ENDS, _MEETINGS = "usis/beat/", "usis/end/", "usis/meeting/"
_DONE = "done"
# Once something has failed, who is silent for so long is taken for the cause.
_SUSPICION_SECONDS = 8.0
# Whoever never comes to a meeting is noticed by the silence.
_MEETING_MS = 24 * 3600 * 1000
_AGAIN = "start all of them again, training goes on from its last checkpoint"

_current = None
_abort = {"text": ""}


class HeartbeatMonitor:
    """Watches the other processes; ends this one when another is gone.

    Args:
        client: of JAX's coordination service.
        index: this process.
        count: number of processes.
        lost_seconds: silence after which a process is taken for gone.
        leave: called with an exit code to end this process.
    """

    def __init__(self, client, index, count, lost_seconds, leave=os._exit):
        self._client, self._index, self._count = client, index, count
        self._lost_seconds, self._leave = lost_seconds, leave
        # All processes ask one: the more there are, the less often.
        self._interval = min(max(1.0, count / 16), lost_seconds / 4)
        self._ended = threading.Event()
        # Seconds in which this process ran: when all were suspended, nobody was silent.
        self._clock = self._answered = 0.0
        self._seen = {i: ("", 0.0) for i in range(count) if i != index}
        self._names, self._meetings = {}, 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self):
        """Begins to beat and to watch."""
        self._thread.start()

    def close(self):
        """Tells the others that this process is done, and stops watching."""
        self._ended.set()
        self._thread.join()
        self._beat(_DONE)

    def tell(self, code, text):
        """Has the others end with an exit code and a text, since this process does."""
        try:
            self._client.key_value_set(f"{_ENDS}{self._index}", json.dumps([code, text]))
        except Exception:  # whoever cannot be told notices by the silence
            return
        time.sleep(3 * self._interval)

    def meet(self):
        """Waits until all processes have called this as often."""
        self._meetings += 1
        name, met = f"{_MEETINGS}{self._meetings}", concurrent.futures.Future()

        def wait():
            try:
                met.set_result(self._client.wait_at_barrier(name, _MEETING_MS))
            except Exception as error:
                met.set_exception(error)

        # The main thread would not notice signals meanwhile, and must not wait for this one then.
        threading.Thread(target=wait, daemon=True).start()
        met.result()

    def silent(self, seconds):
        """What to say about a process that was silent for so long, or None."""
        for index, (_, since) in sorted(self._seen.items()):
            if self._clock - since > seconds:
                return (
                    f"process {index} of {self._count}{self._names.get(index, '')} has given no "
                    f"sign of life for {self._clock - since:.0f} s: {_AGAIN}"
                )
        return None

    def cause(self):
        """Waits to see whether another process is gone; what to say about it, or None."""
        end = time.monotonic() + _SUSPICION_SECONDS + 2 * self._interval
        while time.monotonic() < end:
            if text := self.silent(_SUSPICION_SECONDS):
                return text
            time.sleep(0.2)
        return None

    def _watch(self):
        number, last = 0, time.monotonic()
        while not self._ended.wait(self._interval):
            number, now = number + 1, time.monotonic()
            self._clock += min(now - last, 2 * self._interval)
            last = now
            try:
                self._beat(str(number))
                self._look()
            except Exception:  # the service does not answer
                if (seconds := self._clock - self._answered) > self._lost_seconds:
                    self._end(
                        preemption.STOPPED,
                        f"process 0 of {self._count}, which coordinates the others, has not "
                        f"answered for {seconds:.0f} s: {_AGAIN}",
                    )
            else:
                self._answered = self._clock
                if text := self.silent(self._lost_seconds):
                    self._end(preemption.STOPPED, text)

    def _beat(self, value):
        """Writes this process's beat."""
        text = json.dumps([value, f" ({socket.gethostname()}, process id {os.getpid()})"])
        self._client.key_value_set(f"{_BEATS}{self._index}", text, True)

    def _look(self):
        """Reads the others' beats and ends."""
        for key, text in self._client.key_value_dir_get(_BEATS):
            index = int(key.rpartition("/")[2])
            value, self._names[index] = json.loads(text)
            if index in self._seen and (value == _DONE or value != self._seen[index][0]):
                self._seen[index] = value, self._clock
        for key, text in self._client.key_value_dir_get(_ENDS):
            index = int(key.rpartition("/")[2])
            if index != self._index:
                code, reason = json.loads(text)
                self._end(code, f"process {index} ended: {reason}")

    def _end(self, code, text):
        print(f"usis: {text}", file=sys.stderr, flush=True)
        self._leave(code)


def watch(client, index, count, lost_seconds):
    """Begins to watch the other processes until this one ends."""
    global _current
    _current = HeartbeatMonitor(client, index, count, lost_seconds)
    _current.start()
    atexit.register(_close)
    say_at_abort(f"process 0 of {count}, which coordinates the others, is gone: {_AGAIN}")


def watching():
    """Whether this process is one of several."""
    return _current is not None


def meet():
    """Waits for the other processes, however long they take to compile; all must call it.

    Processes that first exchange something by Gloo, on CPUs, give each other 30 seconds to come.
    """
    if _current is not None:
        _current.meet()


def leave(code, text):
    """Ends this process and, telling them why, the others; returns if there are none.

    Args:
        code: exit code.
        text: why; printed by the others.
    """
    if _current is not None:
        _current.tell(code, text)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cause():
    """What to say about another process whose end made this one fail, or None; takes seconds."""
    return None if _current is None else _current.cause()


def say_at_abort(text):
    """Says a line and ends with STOPPED where JAX's runtime would abort the process.

    The runtime aborts by itself when it cannot join or loses the coordinator, with a stack trace.

    Args:
        text: the line.
    """
    _abort["text"] = text
    ctypes.CDLL(None).signal(signal.SIGABRT, _at_abort)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _at_abort(number):
    os.write(2, f"usis: {_abort['text']}\n".encode())
    os._exit(preemption.STOPPED)


def _close():
    """Ends the watch with the process."""
    global _current
    if _current is not None:
        ending, _current = _current, None
        ending.close()
