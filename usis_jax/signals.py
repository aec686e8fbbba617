"""A clean stop when the system or the user asks for one."""

import signal
import threading


class StopSignals:
    """Turns SIGTERM and SIGINT into a wish to stop after the step; a second one stops at once.

    Args:
        catch: False leaves signals alone (several hosts stop through JAX's preemption service).
    """

    def __init__(self, catch=True):
        self.name = None
        self._catch = catch and threading.current_thread() is threading.main_thread()
        self._old = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT) if self._catch else ():
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        self._restore()

    def _note(self, number, frame):
        self.name = signal.Signals(number).name
        self._restore()

    def _restore(self):
        while self._old:
            number, handler = self._old.popitem()
            signal.signal(number, handler)
