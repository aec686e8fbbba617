"""What the training diagnostics cost a train step: the step with and without them, in turns.

Command: python -m benchmarks.diagnostics [--setting=small|quickstart|full] [--rounds=N]
    [--json FILE]

Without: the step returns its losses only, and the compiler leaves out what nothing else needs. Both
are compiled in one process and take turns on one state and one batch, without R1.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys
import tempfile
import time

import jax

from benchmarks import jax_worker, plans, turns
from usis_jax.config import settings as settings_lib


def main(argv=None) -> int:
    """Measures, prints and writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--setting", choices=plans.NAMES, default="quickstart")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each (default 40)")
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON into a file")
    values = parser.parse_args(argv)
    if values.rounds < 1:
        parser.error(f"--rounds is {values.rounds}; it must be 1 or more")
    settings, plan = plans.load(values.setting)
    settings = dataclasses.replace(settings, r1_interval=0)
    with tempfile.TemporaryDirectory() as folder:
        labels = plans.write_labels(plan, plan["batch"], pathlib.Path(folder) / "labels.npy")
        training = jax_worker.Training(
            settings_lib.to_json(settings), plan["classes"], plan["void"], labels, time.time()
        )
    result = {"setting": values.setting, "rounds": values.rounds} | measure(training, values.rounds)
    for name in ("with", "without"):
        own = result[name]
        print(
            f"{name} the diagnostics: {1000 * own['median']:.1f} ms a step, the fastest "
            f"{1000 * own['min']:.1f}; {own['mflop']:.1f} MFLOP"
        )
    print(f"diagnostics: {', '.join(result['diagnostics'])}")
    ratio = result["with"]["median"] / result["without"]["median"]
    print(f"medians differ by {100 * (ratio - 1):+.1f} %")
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


def measure(training, rounds: int) -> dict:
    """Seconds of both steps, in turns.

    Args:
      training: jax_worker.Training.
      rounds: steps of each.

    Returns:
      {"with", "without": turns.summary and "mflop" by XLA's count; "diagnostics": names of the
      metrics that are left out}.
    """
    whole = functools.partial(
        training.method.step,
        settings=training.settings,
        networks=training.networks,
        void=training.void,
    )
    left_out = set()

    def losses_only(state, batch):
        state, metrics = whole(state, batch)
        losses = {name: value for name, value in metrics.items() if name.startswith("loss_")}
        left_out.update(metrics.keys() - losses.keys())
        return state, losses

    bare = training.runner.compile(losses_only).lower(training.state, training.batch).compile()
    programs = {"with": training.compiled, "without": bare}
    seconds = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name in sorted(programs, reverse=bool(number % 2)):
            began = time.perf_counter()
            training.state, metrics = programs[name](training.state, training.batch)
            jax.block_until_ready((training.state, metrics))
            seconds[name].append(time.perf_counter() - began)
    return {"diagnostics": sorted(left_out)} | {
        name: turns.summary(seconds[name][1:])
        | {"mflop": programs[name].cost_analysis().get("flops", 0) / 1e6}
        for name in programs
    }


if __name__ == "__main__":
    sys.exit(main())
