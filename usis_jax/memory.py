"""Memory of this process: what is free goes back to the system."""

import ctypes
import gc
import sys


def give_back() -> None:
    """Returns memory that is no longer used to the system, where the C library can (glibc).

    Compiling a step leaves one to two GB of free memory behind that the process would keep.

    Source: ours.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
