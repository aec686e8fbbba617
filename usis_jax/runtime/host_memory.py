"""Memory of this process: when it is looked through, and that it goes back to the system."""

import contextlib
import ctypes
import gc
import sys


@contextlib.contextmanager
def collected_later():
    """Keeps Python's garbage collector away while a network is traced.

    It looks through everything again and again and finds next to nothing: a fifth of the time, and
    no more memory without it (measured).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def give_back() -> None:
    """Returns memory that is no longer used to the system, where the C library can (glibc).

    Compiling a step leaves one to two GB of free memory behind that the process would keep.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
