"""Soak test: four processes give the result of one, and survive the kill of any of them.

    python -m tests.soak.pods --rounds=5 --folder=DIR [--processes=4] [--json=FILE]

Trains the tests' tiny networks in one process, then in several on 127.0.0.1: undisturbed, and once
a round with a random process killed by SIGKILL at a random step and all started again. Parameters
must agree with one process to 1e-5 after the same steps, and after a kill bit for bit with the
undisturbed run of as many processes. Not part of the quick suite.
"""

import argparse
import json
import pathlib
import random
import signal
import time

import numpy as np

from tests.support import pod_run
from usis_jax.checkpoint import manager
from usis_jax.distributed import preemption

STEPS = 5


def arrays(workdir):
    """Arrays of the newest checkpoint by name."""
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        assert checkpoints.latest_step() == STEPS
        return checkpoints.restore_arrays()


def train(folder, name, count, **variables):
    """Trains in `count` processes; returns exit codes, what they said, and the seconds."""
    words = ["train", f"--workdir={folder}/{name}", "--lost_timeout=30", f"--config.steps={STEPS}"]
    began = time.monotonic()
    codes, said = pod_run.run(folder, words, count, timeout=900, **variables)
    return codes, said, time.monotonic() - began


def main():
    """Trains, kills, compares, and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    values = parser.parse_args()
    folder, count = pathlib.Path(values.folder), values.processes
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(values.seed)
    for name, number in (("one", 1), ("several", count)):
        codes, said, _ = train(folder, name, number)
        assert codes == [0] * number, said
    one, several = arrays(folder / "one"), arrays(folder / "several")
    difference = max(float(np.abs(several[name] - value).max()) for name, value in one.items()
                     if name.startswith("params/"))  # fmt: skip
    assert difference < 1e-5, difference
    kills = []
    for number in range(values.rounds):
        victim, step = draw.randrange(count), draw.randrange(STEPS)
        name = f"killed_{number}"
        codes, said, seconds = train(folder, name, count, SEND=f"{victim}:{step}:SIGKILL")
        expected = [-signal.SIGKILL if i == victim else preemption.STOPPED for i in range(count)]
        assert codes == expected, (codes, said)
        codes, said, _ = train(folder, name, count)
        assert codes == [0] * count, (codes, said)
        found = arrays(folder / name)
        assert all(np.array_equal(found[key], value) for key, value in several.items())
        kills.append({"process": victim, "step": step, "seconds": round(seconds)})
        print(f"round {number + 1}: process {victim} killed at step {step}, equal", flush=True)
    report = {"processes": count, "difference_to_one": difference, "kills": kills}
    print(json.dumps(report, indent=2))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
