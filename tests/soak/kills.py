"""Soak test: a training run that is killed again and again ends as an undisturbed one does.

    python -m tests.soak.kills --kills=50 --minutes=120 --folder=DIR [--run=tiny] [--json=FILE]

Trains the quickstart preset (or the tests' tiny networks) once undisturbed. Then again, killed by
SIGTERM or SIGKILL at random moments, during saves, evaluation and logging, and started by the same
command each time, until it has all steps; and anew, until so many kills were made or so many
minutes have passed. After each, the final state must equal the undisturbed one bit for bit, and
the log lines must be the same but for rates. Not part of the quick suite.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from tests.support import pod_run
from usis_jax.distributed import preemption

INTERVALS = ("--config.log_interval=3", "--config.checkpoint_interval=4",
             "--config.eval_interval=10", "--config.sample_interval=6")  # fmt: skip
MOMENTS = ("start", "random", "random", "save", "save", "evaluation", "log")


class Soak:
    """One soak test.

    Args:
      values: arguments of the command line.
    """

    def __init__(self, values):
        self.folder = pathlib.Path(values.folder)
        self.values = values
        self.random = random.Random(values.seed)
        self.kills = collections.Counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.py").write_text(pod_run.CONFIG)
        self.startup = 60.0

    def command(self, workdir):
        """The command that trains, or goes on."""
        module, config = "usis_jax", "quickstart"
        if self.values.run == "tiny":
            module, config = "tests.support.pod_run", f"{self.folder}/config.py"
        return [sys.executable, "-m", module, "train", f"--config={config}",
                f"--workdir={workdir}", f"--config.steps={self.values.steps}", *INTERVALS,
                *self.values.more]  # fmt: skip

    def start(self, workdir):
        """Starts the command; returns its process."""
        path = os.pathsep.join([str(pod_run.ROOT), str(pod_run.ROOT / "tests"),
                                os.environ.get("PYTHONPATH", "")])  # fmt: skip
        with open(self.folder / "said.txt", "a") as said:
            return subprocess.Popen(
                self.command(workdir), stdout=said, stderr=said, cwd=pod_run.ROOT,
                env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu",
                     **pod_run.CACHED})  # fmt: skip

    def undisturbed(self):
        """Trains without a kill; returns the final arrays and the log lines."""
        workdir = self.folder / "undisturbed"
        code = self.start(workdir).wait()
        assert code == 0, f"the undisturbed run ended with {code}: see {self.folder}/said.txt"
        return final(workdir)

    def life(self, workdir):
        """Starts the run and kills it at a random moment; whether it reached its end before."""
        moment = self.random.choice(MOMENTS)
        number = self.random.choice((signal.SIGTERM, signal.SIGKILL))
        began, process = time.monotonic(), self.start(workdir)
        arrived = self.wait(process, workdir, moment)
        if process.poll() is None:
            process.send_signal(number)
        code = process.wait()
        if not arrived:
            assert code == 0, f"exit code {code} without a kill: see {self.folder}/said.txt"
            return True
        allowed = {-number, 0} if number == signal.SIGKILL else {preemption.STOPPED, -number, 0}
        assert code in allowed, f"exit code {code} after {number.name} at {moment}"
        if code:
            self.kills[f"{number.name} {moment}"] += 1
            print(
                f"kill {self.kills.total()}: {number.name} at {moment}, "
                f"{time.monotonic() - began:.0f} s after the start",
                flush=True,
            )
        return code == 0

    def wait(self, process, workdir, moment):
        """Waits for a moment; False if the process ended before."""
        log = workdir / "metrics.jsonl"
        size, began = _size(log), time.monotonic()
        delay = self.random.uniform(0, self.startup) if moment == "start" else None
        while process.poll() is None:
            now = time.monotonic()
            grown = _size(log) > size
            if moment == "start" and now - began > delay:
                return True
            if moment == "save" and any((workdir / "checkpoints").glob("*tmp*")):
                time.sleep(self.random.uniform(0, 0.2))
                return True
            if grown and moment != "start":
                self.startup = min(self.startup, now - began)
                if moment == "log":
                    return True
                if moment == "random":
                    time.sleep(self.random.uniform(0, 4))
                    return process.poll() is None
                if moment == "evaluation" and _next_is_evaluated(log):
                    time.sleep(self.random.uniform(0, 2))
                    return process.poll() is None
            time.sleep(0.002)
        return False

    def run(self):
        """Kills until it is enough; returns the report."""
        began = time.monotonic()
        expected, rounds = self.undisturbed(), 0
        print(f"undisturbed run: {time.monotonic() - began:.0f} s", flush=True)
        while self.kills.total() < self.values.kills:
            workdir = self.folder / f"killed_{rounds}"
            shutil.rmtree(workdir, ignore_errors=True)
            while not self.life(workdir):
                # The last life of a round is left alone when time is up.
                if time.monotonic() - began > 60 * self.values.minutes:
                    assert self.start(workdir).wait() == 0
                    break
            compare(expected, final(workdir))
            rounds += 1
            print(f"round {rounds}: equal bit for bit, {self.kills.total()} kills", flush=True)
            if time.monotonic() - began > 60 * self.values.minutes:
                break
        said = (self.folder / "said.txt").read_text()
        assert "Traceback" not in said, f"see {self.folder}/said.txt"
        return {
            "kills": dict(self.kills),
            "total": self.kills.total(),
            "rounds": rounds,
            "steps": self.values.steps,
            "seconds": round(time.monotonic() - began),
        }


def final(workdir):
    """Step and arrays of the newest checkpoint, lines of metrics.jsonl without rates."""
    from usis_jax.checkpoint import manager

    assert not list((workdir / "checkpoints").glob("*tmp*")), "a partial checkpoint was left"
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        step, arrays = checkpoints.latest_step(), checkpoints.restore_arrays()
        best = checkpoints.best_step()
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    lines = [{k: v for k, v in line.items() if not k.startswith("speed/")} for line in lines]
    return {"step": step, "best": best, "lines": lines, "arrays": arrays}


def compare(expected, found):
    """Raises AssertionError where a run differs from the undisturbed one."""
    for name in ("step", "best", "lines"):
        assert found[name] == expected[name], (name, found[name], expected[name])
    assert found["arrays"].keys() == expected["arrays"].keys()
    different = [name for name, value in expected["arrays"].items()
                 if not np.array_equal(found["arrays"][name], value)]  # fmt: skip
    assert not different, different


def _next_is_evaluated(log):
    """Whether the last line is of a step shortly before a multiple of 10."""
    lines = log.read_text().splitlines()
    try:
        return json.loads(lines[-1])["step"] % 10 >= 7
    except (IndexError, ValueError):
        return False


def _size(path):
    return path.stat().st_size if path.exists() else 0


def main():
    """Runs the soak test and prints its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", choices=("quickstart", "tiny"), default="quickstart")
    parser.add_argument("--json")
    values, values.more = parser.parse_known_args()
    report = Soak(values).run()
    print(json.dumps(report, indent=2))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
