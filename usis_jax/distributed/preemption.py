"""A clean stop when the system or the user asks for one, and the exit code that tells of it."""

import contextlib
import ctypes
import os
import signal
import threading

# Stopped and saved: the same command goes on. (EX_TEMPFAIL of sysexits.h.)
STOPPED = 75
INTERRUPTED = 128 + signal.SIGINT
# SIGHUP: the terminal was closed. SIGUSR1, SIGUSR2 and SIGXCPU: by them batch systems say that the
# time is nearly up. What the system does not have is left out.
_STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
_HANG_UP = getattr(signal, "SIGHUP", None)


def exit_code(interrupted):
    """Exit code of a run: 0 if it reached its end, INTERRUPTED after Ctrl-C, else STOPPED.

    Args:
        interrupted: name of the signal, "preemption", or None.
    """
    if interrupted is None:
        return 0
    return INTERRUPTED if interrupted == "SIGINT" else STOPPED


class StopSignals:
    """Turns signals into a wish to stop after the step; a context manager.

    They are SIGTERM, SIGINT, SIGHUP (unless it is ignored, as under nohup), SIGUSR1, SIGUSR2 and
    SIGXCPU. Until `begin` there is nothing to save, and they end the process at once. After that
    the first signal is noted in `name`, and a second one ends the process at once; only a SIGHUP
    never does that: shell, system and session manager each send one when a terminal is closed,
    some of them after SIGTERM. Where several processes train together the first signal also goes
    to JAX's preemption service, which waits for SIGTERM and has all of them stop at one step.

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
            if number == _HANG_UP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        self._restore(hang_up=True)
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
            # Not by print: the signal may have come in the middle of one, or the terminal is gone.
            with contextlib.suppress(OSError):
                os.write(2, f"usis: {text}\n".encode())
            if self._leave:
                self._leave(STOPPED, text)
            os._exit(STOPPED)
        if self.name is not None:  # SIGHUP again
            return
        self.name = name
        self._restore()
        if self._service:
            ctypes.CFUNCTYPE(None, ctypes.c_int)(self._service)(signal.SIGTERM)

    def _restore(self, hang_up=False):
        """Puts the former handlers back, that of SIGHUP only at the end."""
        for number in list(self._old):
            if number != _HANG_UP or hang_up:
                signal.signal(number, self._old.pop(number))


def _c_handler(number, handler):
    """Sets the C function that a signal calls, None for the default; returns the former's address.

    Python's own `signal` neither tells the address of a handler that other code installed nor
    takes it back.
    """
    function = ctypes.CDLL(None).signal
    function.argtypes, function.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    return function(number, handler)
