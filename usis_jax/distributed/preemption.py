"""A clean stop when the system or the user asks for one, and the exit code that tells of it."""

import ctypes
import os
import signal
import sys
import threading

# Stopped and saved: the same command goes on. (EX_TEMPFAIL of sysexits.h.)
STOPPED = 75
INTERRUPTED = 128 + signal.SIGINT
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def exit_code(interrupted):
    """Exit code of a run: 0 if it reached its end, INTERRUPTED after Ctrl-C, else STOPPED.

    Args:
        interrupted: name of the signal, "preemption", or None.
    """
    if interrupted is None:
        return 0
    return INTERRUPTED if interrupted == "SIGINT" else STOPPED


class StopSignals:
    """Turns SIGTERM, SIGINT and SIGUSR1 into a wish to stop after the step; a context manager.

    Until `begin` there is nothing to save, and they end the process at once. After that the first
    signal is noted in `name`, and a second one ends the process at once. Where several processes
    train together the first one also goes to JAX's preemption service, which waits for SIGTERM and
    has all of them stop at one step.

    Args:
        alone: False where several processes train together.
        leave: called with an exit code and a text before the process ends by a signal, to tell the
            others why.
    """

    def __init__(self, alone=True, leave=None):
        self.name = None
        self._alone, self._leave, self._begun = alone, leave, False
        self._catch = threading.current_thread() is threading.main_thread()
        self._old, self._service = {}, None

    def __enter__(self):
        if self._catch and not self._alone:
            self._service = _c_handler(signal.SIGTERM, None)
        for number in _STOPPING if self._catch else ():
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        self._restore()
        if self._service:
            _c_handler(signal.SIGTERM, self._service)

    def begin(self):
        """From now on there is something to save."""
        self._begun = True

    def second_leaves(self):
        """Has the next signal end the process at once: it stops already, as others were told to."""
        self._restore()

    def _note(self, number, frame):
        name = signal.Signals(number).name
        if not self._begun:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            text = f"{name} before the first step: nothing to save"
            print(f"usis: {text}", file=sys.stderr, flush=True)
            if self._leave:
                self._leave(STOPPED, text)
            os._exit(STOPPED)
        self.name = name
        self._restore()
        if self._service:
            ctypes.CFUNCTYPE(None, ctypes.c_int)(self._service)(signal.SIGTERM)

    def _restore(self):
        while self._old:
            number, handler = self._old.popitem()
            signal.signal(number, handler)


def _c_handler(number, handler):
    """Sets the C function that a signal calls, None for the default; returns the former's address.

    Python's own `signal` neither tells the address of a handler that other code installed nor
    takes it back.
    """
    function = ctypes.CDLL(None).signal
    function.argtypes, function.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    return function(number, handler)
