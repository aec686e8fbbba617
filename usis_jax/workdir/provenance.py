"""What a run was started with: versions, devices, command; kept in its work directory."""

import datetime
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import sys
from pathlib import Path

import jax

from usis_jax import __version__
from usis_jax.storage import atomic, texts

FILE = "environment.json"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "tensorflow")
# Starts that are remembered.
_MOST = 100


def describe():
    """Describes this process.

    Returns:
        dict of JSON values: time, command, python, system, processors, usis_jax and other
        packages' versions, devices.
    """
    devices = jax.devices()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "devices": f"{len(devices)} x {devices[0].device_kind} ({jax.default_backend()})",
        "processes": jax.process_count(),
        "packages": {"usis_jax": __version__, **_versions()},
    }  # fmt: skip


def note_start(workdir, step):
    """Adds this start to `environment.json`; a damaged file begins anew.

    Args:
        workdir: directory of the run.
        step: int, at which training goes on.
    """
    starts = [*read(workdir), {"step": int(step), **describe()}]
    text = json.dumps({"starts": starts[-_MOST:]}, indent=1)
    atomic.write_text(Path(workdir) / FILE, text + "\n")


def read(workdir):
    """Reads the starts of a run, the last one last; [] where there is no such file, or no good one.

    Args:
        workdir: directory of the run.
    Returns:
        list of dicts of `describe`, each with "step".
    """
    try:
        starts = texts.read_json(Path(workdir) / FILE)["starts"]
        return [start for start in starts if isinstance(start, dict)]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return []


def memory():
    """Memory in use now.

    Returns:
        {"speed/memory_gib": of this process, "speed/device_memory_gib": of the fullest of its
        devices, where they tell it}.
    """
    found = {"speed/memory_gib": _resident() / 2**30}
    used = [(device.memory_stats() or {}).get("bytes_in_use") for device in jax.local_devices()]
    used = [value for value in used if value]
    return found | ({"speed/device_memory_gib": max(used) / 2**30} if used else {})


def _resident():
    """Bytes of this process in memory; the most it ever had where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if platform.system() == "Darwin" else most * 1024


def _versions():
    found = {}
    for name in (*_PACKAGES, "tensorflow-cpu"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
