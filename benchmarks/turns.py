"""Contenders in processes of their own that take turns, and the table of what was measured."""

import argparse
import contextlib
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks import workers
from usis_jax.runtime import huge_pages as pages

_TURN_SECONDS = 1.0
_MOST_IN_A_TURN = 20
# Shorter ones say nothing: the system counts a process's time in hundredths of a second.
_LEAST_REST_SECONDS = 0.5


class Contender:
    """One process that can take steps.

    Args:
      name: how it is called in tables.
      python, module: what runs.
      arguments: of its task "start".
      compiles: whether its start depends on what is in `folder`.
      folder: caches of compiled code and what the process prints are kept here.
      huge_pages: whether it runs as `usis` does, with huge pages where it has to ask for them.
    """

    def __init__(
        self,
        name: str,
        python: str,
        module: str,
        arguments: dict,
        compiles: bool,
        folder: pathlib.Path,
        huge_pages: bool = False,
    ):
        self.name, self.compiles = name, compiles
        environment = {
            "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
            **(pages.variables() if huge_pages else {}),
        }  # fmt: skip
        self.worker = workers.Worker(python, module, environment, folder / f"{name}.log")
        self._arguments, self._rested = arguments, None
        self.idle: list[float] = []

    def start(self) -> dict:
        """Builds the networks and takes the first steps; returns the worker's report."""
        began = self.worker.began
        report = self.worker.ask("start", began=began, **self._arguments)
        report["peak_mib"] = self.worker.ask("peak")
        self.worker.ask("forget_peak")
        return report

    def take(self, task: str, **arguments):
        """One turn; between turns the process's use of the processor is watched."""
        used = self.worker.processor_seconds()
        if self._rested is not None:
            rested_at, used_then = self._rested
            rested = time.time() - rested_at
            if rested >= _LEAST_REST_SECONDS:
                self.idle.append((used - used_then) / rested)
        answer = self.worker.ask(task, **arguments)
        self._rested = time.time(), self.worker.processor_seconds()
        return answer


@contextlib.contextmanager
def started(specifications: list[dict], folder: pathlib.Path, twice: bool, say):
    """Starts contenders one after the other and ends them all at last.

    Args:
      specifications: arguments of Contender but `folder`.
      folder: for caches and logs.
      twice: start each that compiles in a fresh process again, now with a warm cache.
      say: function that takes a line for the user.

    Yields:
      (contenders that started, name -> report, name -> reason of those that did not); reports have
      "cold" and, if started twice, "warm" with the seconds of the start.
    """
    alive, reports, failed = [], {}, {}
    try:
        for specification in specifications:
            name = specification["name"]
            try:
                compiles = specification["compiles"]
                for heat in ("cold", "warm")[: 1 + (twice and compiles)]:
                    say(f"{name}: starting, {heat} cache" if compiles else f"{name}: starting")
                    contender = Contender(**specification, folder=folder)
                    alive.append(contender)
                    report = contender.start()
                    seconds = report.pop("start_seconds")
                    peak = report.pop("peak_mib")
                    own = reports.setdefault(name, {"start": {}, "start_peak_mib": {}})
                    own["start"][heat], own["start_peak_mib"][heat] = seconds, peak
                    own |= report
                    if heat == "cold" and twice and compiles:
                        alive.remove(contender)
                        contender.worker.close()
            except workers.WorkerError as error:
                failed[name] = str(error)
                say(f"{name}: {error}")
                if alive and alive[-1].name == name:
                    alive.pop().worker.close()
        yield alive, reports, failed
    finally:
        for contender in alive:
            contender.worker.close()


def in_a_turn(seconds: float) -> int:
    """How many pieces of work of so many seconds make a turn of about a second."""
    return min(_MOST_IN_A_TURN, max(1, math.ceil(_TURN_SECONDS / max(seconds, 1e-4))))


def summary(seconds: list[float]) -> dict:
    """Median, minimum and number of measured times."""
    return {"median": statistics.median(seconds), "min": min(seconds), "count": len(seconds)}


def twin_version(python: str) -> str | None:
    """Version of PyTorch that an interpreter has, with NumPy, or None."""
    try:
        done = subprocess.run(
            [python, "-c", "import numpy, torch; print(torch.__version__)"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def count_flops(python: str, plan: dict) -> dict:
    """FLOPs of the twin's step, see benchmarks.pytorch_baseline.flops."""
    done = subprocess.run(
        [python, "-m", "benchmarks.pytorch_baseline.flops"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=True,
        cwd=pathlib.Path(__file__).parent.parent,
    )
    return json.loads(done.stdout)


def present(
    names: list[str], twins: tuple[str, ...], version: str | None, say
) -> tuple[list[str], list[str]]:
    """(contenders that can run, those that PyTorch is missing for), telling the user of them."""
    missing = [name for name in names if name in twins and version is None]
    if missing:
        say(
            f"{', '.join(missing)} left out, there is no PyTorch with NumPy; run: pip install -e "
            "'.[torch]', or name an interpreter that has it with --torch_python=PATH"
        )
    return [name for name in names if name not in missing], missing


def add_arguments(parser: argparse.ArgumentParser, contenders: tuple[str, ...]) -> None:
    """The options that both benchmarks have."""
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON into a file")
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        metavar="N",
        help="turns of each contender; 0: starts only (default: %(default)s)",
    )
    parser.add_argument(
        "--contenders",
        default=",".join(contenders),
        metavar="A,B",
        help="who takes part (default: %(default)s)",
    )
    parser.add_argument(
        "--torch_python",
        default=sys.executable,
        metavar="PATH",
        help="interpreter that has PyTorch (default: this one)",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="keep compiled code here; each contender is "
        "then started once (default: none is kept, cold and warm start are timed)",
    )


def check_arguments(parser: argparse.ArgumentParser, values, contenders: tuple[str, ...]) -> None:
    """Ends the program with a message where an option of `add_arguments` is wrong."""
    for name in values.contenders.split(","):
        if name not in contenders:
            parser.error(
                f"--contenders has {name!r}; it must be a comma list of {', '.join(contenders)}"
            )
    if values.rounds < 0:
        parser.error(f"--rounds is {values.rounds}; it must be 0 or more")
