"""Huge pages for what is allocated anew at every step.

On CPUs XLA takes the temporary memory of a step from the C library and gives it back after the
step, and the system hands it out again page by page. Where Linux leaves huge pages (2 MiB instead
of 4 KiB) to who asks for them, glibc asks if it is told so before the process starts; hence the
command line starts itself once more. GLIBC_TUNABLES=glibc.malloc.hugetlb=0 switches it off.
"""

import contextlib
import glob
import importlib.util
import os
import sys

VARIABLE = "GLIBC_TUNABLES"
TUNABLE = "glibc.malloc.hugetlb"
_MODE = "/sys/kernel/mm/transparent_hugepage/enabled"
_OLDEST = (2, 35)
_ACCELERATORS = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/accel*", "/dev/vfio/[0-9]*")
# Set for the second start only, which must not lead to a third where a system takes GLIBC_TUNABLES
# away (programs with capabilities of their own).
_RESTARTED = "USIS_RESTARTED"


def ask() -> None:
    """Starts this process anew with huge pages for malloc, where that is of use and not yet done.

    Process number, arguments, interpreter flags and open streams stay. To be called before
    anything heavy is imported; returns where there is nothing to ask for or no new start possible.
    """
    if os.environ.pop(_RESTARTED, None) is not None:
        return
    added = variables()
    if added and sys.executable:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        # Where that fails all goes on as it is, slower.
        with contextlib.suppress(OSError):
            os.execve(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                {**os.environ, **added, _RESTARTED: "1"},
            )


def variables() -> dict[str, str]:
    """What a process needs in its environment, besides this one's, to be given huge pages.

    Returns:
        {"GLIBC_TUNABLES": value} with other tunables kept; {} where nothing is to be added: JAX
        will not compute on CPUs, another system or C library, huge pages for all or for none, or
        the tunable is given already.
    """
    given = os.environ.get(VARIABLE, "")
    if not computes_on_cpus() or mode() != "madvise" or not _libc_asks() or TUNABLE in given:
        return {}
    return {VARIABLE: ":".join(filter(None, (given, f"{TUNABLE}=1")))}


def computes_on_cpus() -> bool:
    """Whether JAX's platform will be the CPU; told before JAX, which must not be imported yet.

    Returns:
        What JAX_PLATFORMS says; without it True unless the machine has the device files of GPUs or
        TPUs and a plugin of JAX for such is installed.
    """
    if asked := os.environ.get("JAX_PLATFORMS", ""):
        return asked.split(",")[0].strip().lower() == "cpu"
    plugins = any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
    return not (plugins and any(glob.glob(pattern) for pattern in _ACCELERATORS))


def mode() -> str:
    """Who gets huge pages on this system: "always" all, "madvise" who asks, "never" nobody.

    Returns:
        The word; empty where there is no such thing.
    """
    if sys.platform != "linux":
        return ""
    try:
        with open(_MODE, encoding="ascii") as file:
            return file.read().partition("[")[2].partition("]")[0]
    except (OSError, ValueError):
        return ""


def described() -> str:
    """Whether this process has huge pages, and if not why; a line for people."""
    if not computes_on_cpus():
        return "no, JAX computes on another platform than the CPU"
    now = mode()
    if now != "madvise":
        return {
            "always": "yes, the system gives them to all",
            "never": f"no, switched off in {_MODE}",
        }.get(now, "no, not on this system")
    if not _libc_asks():
        return "no, the C library is not glibc 2.35 or newer"
    given = dict(word.partition("=")[::2] for word in os.environ.get(VARIABLE, "").split(":"))
    if TUNABLE not in given:
        return f"no, not asked for; usis does, or {VARIABLE}={TUNABLE}=1"
    return "yes, asked for" if given[TUNABLE] in ("1", "2") else f"no, switched off by {VARIABLE}"


def _libc_asks():
    """Whether the C library is a glibc that knows the tunable."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return name == "glibc" and tuple(map(int, version.split(".")[:2])) >= _OLDEST
    except (ValueError, OSError):
        return False
