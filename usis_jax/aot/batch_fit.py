"""Which batch fits a device, and what else would help, found by compiling."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from usis_jax.aot import compile_report, hardware

# Share of a device's memory that programs may use; the rest is the runtime's.
_USABLE = 0.98


class Trial(NamedTuple):
    """One thing that was compiled because the settings as they are do not fit.

    Attributes:
      changes: field -> value.
      fits: whether every program did.
      memory_gib: of the largest program.
    """

    changes: dict
    fits: bool
    memory_gib: float


def largest_batch(report: compile_report.Report, batch: int, devices: int, hbm_gib: float) -> int:
    """The largest batch that should fit, if all but state and code grows with the batch.

    Args:
      report: of the program that needs most, compiled with `batch`.
      batch: samples on all devices together.
      devices: their number.
      hbm_gib: memory of one.

    Returns:
      A multiple of `devices`, 0 where not even one sample a device should fit. A prediction:
      near the limit a compiler saves memory by computing again, so more may fit.
    """
    a_sample = (report.memory_gib - report.fixed_gib) / (batch / devices)
    return max(0, int((_USABLE * hbm_gib - report.fixed_gib) / a_sample)) * devices


def what_would(settings, devices: int, measure: Callable, say: Callable = print) -> list[Trial]:
    """Tries, mildest first, what makes a run fit, until something does.

    Args:
      settings: Settings that do not fit.
      devices: number of devices.
      measure: settings -> Report of the program that needs most.
      say: called with a line before each trial.

    Returns:
      Trials; the last one fits, unless none does.
    """
    trials = []
    for changes in candidates(settings, devices):
        changed = dataclasses.replace(settings, **changes)
        say("trying " + describe(changes))
        report = measure(changed)
        trials.append(Trial(changes, report.fits, report.memory_gib))
        if report.fits:
            break
    return trials


def candidates(settings, devices: int) -> list[dict]:
    """Changes of settings that save memory, mildest first: results stay the same, or nearly so.

    Args:
      settings: Settings.
      devices: number of devices, of which the batch must stay a multiple.

    Returns:
      List of field -> value.
    """
    found, savings = [], {}
    for name, value in (("remat", "blocks"), ("compute_dtype", "bfloat16")):
        if getattr(settings, name) != value:
            savings = savings | {name: value}
            found.append(savings)
    batch = settings.batch_size
    while batch % (2 * devices) == 0:
        batch //= 2
        found.append(savings | {"batch_size": batch})
    return found


def describe(changes: dict) -> str:
    """Changes as one types them, such as "--config.remat=blocks"."""
    return " ".join(f"--config.{name}={value}" for name, value in changes.items())


def summary(reports: dict, hbm_gib: float) -> dict:
    """The numbers of all programs of a run together.

    Args:
      reports: program -> Report.
      hbm_gib: memory of a device.

    Returns:
      "fits", "memory_gib_per_device" (the most of any program), "hbm_gib", and of a training step,
      as ahead_of_time.Report has them: "flops_per_device", "bytes_per_device", "collective_bytes",
      "estimated_seconds"; "estimate" says what the last one is.
    """
    step = reports["step"]
    return {
        "fits": all(report.fits for report in reports.values()),
        "memory_gib_per_device": max(report.memory_gib for report in reports.values()),
        "hbm_gib": hbm_gib,
        "flops_per_device": step.flops,
        "bytes_per_device": step.bytes_accessed,
        "collective_bytes": step.collective_bytes,
        "estimated_seconds": step.estimated_seconds,
        "estimate": step.estimate,
    }


def hbm_gib(targets: list) -> float:
    """Memory of one of some devices in GiB."""
    return hardware.chip(targets[0]).hbm / hardware.GIB
