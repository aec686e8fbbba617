"""Devices as JAX finds them, memory of host and devices, free disk."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from usis_jax.config import suggestions
from usis_jax.doctor.finding import NOTE, OK, WRONG, Finding
from usis_jax.runtime import huge_pages

_GIB = 1 << 30
_SECONDS = 90
_LEAST_DISK = 2 * _GIB
_LEAST_MEMORY = 2 * _GIB
# In a process of its own: a driver that hangs or crashes must not take the doctor with it.
_QUESTION = """
import json, jax
def stats(device):
    try:
        return device.memory_stats() or {}
    except Exception:
        return {}
print("FOUND" + json.dumps([
    {"platform": d.platform, "kind": d.device_kind, "process": d.process_index,
     "bytes": stats(d).get("bytes_limit", 0), "used": stats(d).get("bytes_in_use", 0)}
    for d in jax.local_devices()]))
"""


def devices(question: str = _QUESTION, seconds: float = _SECONDS) -> list[Finding]:
    """The devices of this machine, asked from JAX in another process.

    Args:
      question: Python that prints FOUND and a list of devices as JSON.
      seconds: in which it must answer.
    """
    hidden = os.environ.get("JAX_PLATFORMS")
    chosen = f" (JAX_PLATFORMS={hidden})" if hidden else ""
    try:
        done = subprocess.run(
            [sys.executable, "-c", question],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [
            Finding(
                "devices",
                "jax",
                WRONG,
                f"no answer in {seconds:.0f} s{chosen}",
                "does another process hold the TPU or GPU? JAX_PLATFORMS=cpu does without",
            )
        ]
    except OSError as error:
        return [Finding("devices", "jax", WRONG, f"cannot be asked: {error}", "")]
    marked = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    if not marked:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        return [
            Finding(
                "devices",
                "jax",
                WRONG,
                f"finds no device{chosen}: {said[-1].strip()}",
                "see the packages above; JAX_PLATFORMS=cpu goes on without accelerator",
            )
        ]
    return _described(json.loads(marked[-1].removeprefix("FOUND")), chosen)


def accelerators_of_host() -> list[str]:
    """What the system has of accelerators, whether JAX can use them or not."""
    found = []
    if pathlib.Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi"):
        found.append("cuda")
    if pathlib.Path("/dev/accel0").exists() or os.environ.get("TPU_NAME"):
        found.append("tpu")
    return found


def disks(folders) -> list[Finding]:
    """Free space where each folder lies, or will lie; whether it can be written."""
    found = []
    for what, folder in folders:
        place = pathlib.Path(folder).absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            found.append(Finding("disk", what, WRONG, f"{folder}: {error.strerror}", ""))
            continue
        text = f"{free / _GIB:.1f} GiB free for {folder}"
        if not os.access(place, os.W_OK):
            found.append(
                Finding(
                    "disk",
                    what,
                    WRONG,
                    f"{text}, which you may not write",
                    "choose another folder, or ask for the right to write there",
                )
            )
        elif free < _LEAST_DISK:
            found.append(Finding("disk", what, WRONG, text, "free 2 GiB or more"))
        else:
            found.append(Finding("disk", what, OK, text))
    return found


def _described(listed, chosen):
    found = []
    for platform, kind in sorted({(one["platform"], one["kind"]) for one in listed}):
        same = [one for one in listed if (one["platform"], one["kind"]) == (platform, kind)]
        memory = max(one["bytes"] for one in same)
        of = f", {memory / _GIB:.1f} GiB each" if memory else ""
        cores = f", {len(os.sched_getaffinity(0))} cores" if platform == "cpu" else ""
        found.append(Finding("devices", platform, OK, f"{len(same)} x {kind}{of}{cores}{chosen}"))
        if memory and max(one["used"] for one in same) > memory / 2:
            found.append(
                Finding(
                    "devices",
                    platform,
                    NOTE,
                    "more than half of its memory is taken",
                    "end what else runs on it",
                )
            )
    on_cpu = all(one["platform"] == "cpu" for one in listed)
    for kind in accelerators_of_host() if on_cpu and not chosen else ():
        found.append(
            Finding(
                "devices",
                kind,
                WRONG,
                "the machine has one, and JAX does not use it",
                f"{suggestions.install(kind)}; or set JAX_PLATFORMS=cpu",
            )
        )
    if on_cpu:
        found.append(
            Finding(
                "devices",
                "accelerator",
                NOTE,
                "none: small presets only (quickstart, camvid, faces)",
                "",
            )
        )
    return found


def memory() -> Finding:
    """Memory of the host, or of the container that this runs in."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    try:  # what files keep cached is given back when it is needed
        text = pathlib.Path("/proc/meminfo").read_text(encoding="ascii")
        rows = dict(line.split(":") for line in text.splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        pass
    limit = _container_limit()
    text = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB available"
    if limit and limit < total:
        text += f", {limit / _GIB:.1f} GiB allowed to this container"
    if min(total, limit or total) < _LEAST_MEMORY:
        return Finding("memory", "host", NOTE, text, "little: close what else runs")
    return Finding("memory", "host", OK, text)


def pages() -> Finding:
    """Whether steps on the CPU get huge pages, which saves up to an eighth of their time."""
    text = huge_pages.described()
    return Finding("memory", "huge pages", OK if text.startswith("yes") else NOTE, text)


def _container_limit():
    """Bytes that a control group allows, or None."""
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = pathlib.Path(file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None
