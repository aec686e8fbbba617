"""A clean stop when the system or the user asks for one, and the exit code that tells of it."""

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
    signal is noted in `name`, and a second one ends the process at once.

    Args:
        alone: False where several processes train together: SIGTERM is left to JAX's preemption
            service, which has all of them stop at one step, and the other two are passed on to it.
    """

    def __init__(self, alone=True):
        self.name = None
        self._alone, self._begun = alone, False
        self._catch = threading.current_thread() is threading.main_thread()
        self._old = {}

    def __enter__(self):
        for number in _STOPPING if self._catch else ():
            if self._alone or number != signal.SIGTERM:
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        self._restore()

    def begin(self):
        """From now on there is something to save."""
        self._begun = True

    def second_leaves(self):
        """Has a second SIGTERM end the process at once, where the first went to JAX."""
        if self._catch and not self._alone:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _note(self, number, frame):
        name = signal.Signals(number).name
        if self._alone and not self._begun:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            print(f"usis: {name} before the first step: nothing to save", file=sys.stderr)
            sys.stderr.flush()
            os._exit(STOPPED)
        self.name = name
        self._restore()
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)

    def _restore(self):
        while self._old:
            number, handler = self._old.popitem()
            signal.signal(number, handler)
