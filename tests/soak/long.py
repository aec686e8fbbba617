"""Soak test: 2,000 steps of tiny networks leave memory, descriptors and compiled code as they were.

    python -m tests.soak.long [--steps=2000] [--json=FILE]

Trains the tests' tiny networks with checkpoints, grids, logs and measurements, and samples the
process ten times a second. Reports the slope of the resident memory over the second half of the
run in MiB for 1,000 steps, and the number of open descriptors, threads and compiled programs at a
quarter and at the end. Not part of the quick suite.
"""

import argparse
import json
import os
import pathlib
import tempfile
import threading
import time

import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.display import progress as progress_lib
from usis_jax.train import run


def resident():
    """Resident memory of this process in MiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main():
    """Trains and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--json")
    values = parser.parse_args()
    compiled, samples, marks, step = [0], [], {}, [0]
    import jax

    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.__setitem__(0, compiled[0] + ("backend_compile" in name))
    )
    tiny_run.install(pytest.MonkeyPatch())
    advance = progress_lib.Progress.advance

    def counting(self):
        advance(self)
        step[0] += 1
        if step[0] in (values.steps // 4, values.steps):
            marks[step[0]] = {
                "descriptors": len(os.listdir("/proc/self/fd")),
                "threads": threading.active_count(),
                "compiled_programs": compiled[0],
                "resident_mib": resident(),
            }

    def sampling():
        while step[0] < values.steps:
            samples.append((step[0], resident()))
            time.sleep(0.1)

    progress_lib.Progress.advance = counting
    threading.Thread(target=sampling, daemon=True).start()
    settings = tiny_run.settings(
        steps=values.steps, log_interval=10, checkpoint_interval=50, sample_interval=100,
        eval_interval=200)  # fmt: skip
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run.train(settings, pathlib.Path(folder) / "run", progress=False)
    half = np.array([sample for sample in samples if sample[0] >= values.steps / 2])
    slope = np.polyfit(half[:, 0], half[:, 1], 1)[0] * 1000
    report = {"steps": values.steps, "seconds": round(time.perf_counter() - began),
              "resident_mib_per_1000_steps": round(float(slope), 2), "samples": len(half),
              "at_step": marks}  # fmt: skip
    print(json.dumps(report, indent=2))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
