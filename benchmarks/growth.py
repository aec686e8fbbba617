"""How a training step's cost grows with pixels, classes and batch.

Command: python -m benchmarks.growth [--setting=small|quickstart|full] [--update=alternating|joint]
    [--rounds=N] [--json FILE]

The setting, and the same with twice and four times the pixels, 4 and 16 times the classes, twice
and four times the batch; no other number changes. All are compiled in one process and take turns;
a step without R1. With --rounds=0 nothing is compiled, operations are counted only.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Iterator

import jax
import numpy as np
import tqdm

from benchmarks import jax_worker, plans
from usis_jax.aot import compile_report
from usis_jax.config.settings import Settings
from usis_jax.distributed import mesh
from usis_jax.methods import train_state
from usis_jax.runtime import host_memory


def variants(settings: Settings, classes: int) -> Iterator[tuple[str, Settings, int]]:
    """What is measured.

    Args:
      settings: a run's.
      classes: K of its labels.

    Yields:
      (name, settings, K), the unchanged ones first.
    """

    def change(height=1, width=1, batch=1):
        data = dataclasses.replace(
            settings.data, height=settings.data.height * height, width=settings.data.width * width
        )
        return dataclasses.replace(settings, data=data, batch_size=settings.batch_size * batch)

    yield "as it is", settings, classes
    yield "2 x pixels", change(width=2), classes
    yield "4 x pixels", change(height=2, width=2), classes
    yield "4 x classes", settings, 4 * classes
    yield "16 x classes", settings, 16 * classes
    yield "2 x batch", change(batch=2), classes
    yield "4 x batch", change(batch=4), classes


class Variant:
    """A training step, R1 left out, on one device of this machine, with its state and batch.

    Args:
      settings, classes: what is trained.
      void: id of unlabelled pixels, or None.
    """

    def __init__(self, settings: Settings, classes: int, void: int | None):
        settings = dataclasses.replace(settings, r1_interval=0)
        self._settings, self._classes = settings, classes
        self._plan = plans.plan(settings, classes, void)
        labels = types.SimpleNamespace(num_classes=classes, void=void)
        self._lowered = compile_report.lower("step", settings, labels, jax.devices()[:1])
        self.flops = compile_report.program_flops("step", settings, labels, jax.devices()[:1])

    def compile(self) -> float:
        """Makes `run` possible; returns MiB of temporary memory by the compiler's count."""
        runner = mesh.Runner("shard_map", jax.devices()[:1])
        with tempfile.TemporaryDirectory() as folder:
            labels = plans.write_labels(
                self._plan, self._settings.batch_size, pathlib.Path(folder) / "labels.npy"
            )
            batch = jax_worker._batch(self._settings, labels)
        self._batch = runner.put(batch | {"label": batch["label"].astype(np.int32)})
        self._state = runner.place(train_state.create(self._settings, self._classes))
        self._step = self._lowered.compile()
        host_memory.give_back()
        return self._step.memory_analysis().temp_size_in_bytes / 2**20

    def run(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self._state, metrics = self._step(self._state, self._batch)
        jax.block_until_ready((self._state, metrics))
        return time.perf_counter() - began


def measure(settings: Settings, classes: int, void: int | None, rounds: int) -> dict:
    """Cost of every variant.

    Args:
      settings, classes, void: of the unchanged one.
      rounds: steps of each, in turns; 0 to count operations only.

    Returns:
      name -> {"gflop": by XLA's count before optimisation, and with rounds "seconds": of the median
      step, "xla_temp_mib"}.
    """
    made, result = {}, {}
    given = list(variants(settings, classes))
    for name, changed, number in tqdm.tqdm(given, "preparing", file=sys.stderr):
        made[name] = Variant(changed, number, void)
        result[name] = {"gflop": made[name].flops / 1e9}
        if rounds:
            result[name]["xla_temp_mib"] = made[name].compile()
    seconds = {name: [] for name in made}
    for number in tqdm.trange(rounds, desc="rounds", file=sys.stderr, disable=not rounds):
        for name in sorted(made, reverse=bool(number % 2)):
            made[name].run()  # not counted: the first step after a rest is a slow one
            seconds[name].append(made[name].run())
    for name in made if rounds else ():
        result[name]["seconds"] = statistics.median(seconds[name])
    return result


def main(argv: list[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--setting", choices=plans.NAMES, default="quickstart")
    parser.add_argument(
        "--update",
        choices=("alternating", "joint"),
        default="joint",
        help="rule of the step (joint)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="turns of each (5); 0 counts operations only, without compiling",
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON into a file")
    values = parser.parse_args(argv)
    if values.rounds < 0:
        parser.error(f"--rounds is {values.rounds}; it must be 0 or more")
    settings, plan = plans.load(values.setting)
    costs = measure(
        dataclasses.replace(settings, update=values.update),
        plan["classes"],
        plan["void"],
        values.rounds,
    )
    first = costs["as it is"]
    for name, cost in costs.items():
        print(
            f"{name:13}"
            + "".join(
                f"  {unit} {cost[unit]:10.3f} ({cost[unit] / first[unit]:5.2f})" for unit in cost
            )
        )
    if values.json:
        result = {
            "setting": values.setting,
            "update": values.update,
            "rounds": values.rounds,
            "batch": settings.batch_size,
            "classes": plan["classes"],
            "size": [settings.data.height, settings.data.width],
            "costs": costs,
        }
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
