"""Seconds to generate images, ours against PyTorch's generator, in turns on one machine.

Command: python -m benchmarks.sample [--setting=full|quickstart|small] [--json FILE]
         (PyTorch: pip install -e '.[torch]', or --torch_python=PATH of another environment's)

From label maps in memory, of drawn street scenes, to uint8 images in NumPy, one at a time (latency)
and eight (throughput), with the average's weights and fixed statistics. Contenders:
  usis_jax        what usis_jax.Generator runs
  eager           PyTorch as published: evaluation mode, no gradients
  tuned, tuned-*  the same in inference mode with spectral norms folded into the weights and
                  denormals flushed; in channels_last, with torch.compile, and with both
Ours runs as `usis sample` does, with huge pages for malloc where the system gives them to who asks
(usis_jax.runtime.huge_pages); `tuned` and `tuned-*` have the same, `eager` runs as PyTorch starts.
Each contender is a process that stays alive and rests while others have their turn. float32.
"""

import argparse
import json
import pathlib
import sys
import tempfile

from benchmarks import plans, step_report, turns
from usis_jax.config import settings as settings_lib

OURS = "usis_jax"
TWINS = ("eager", "tuned", "tuned-channels_last", "tuned-compiled", "tuned-compiled-channels_last")


def main(argv=None) -> int:
    """Measures, prints and writes; returns the exit code."""
    values = _arguments(argv)
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    settings, plan = plans.load(values.setting)
    batches = [int(batch) for batch in values.batches.split(",")]
    version = turns.twin_version(values.torch_python)
    names, missing = turns.present(values.contenders.split(","), TWINS, version, say)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(values.cache or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        labels = plans.write_labels(plan, max(batches), folder / "labels.npy")
        specifications = [
            _specification(name, settings, plan, labels, batches, values) for name in names
        ]
        with turns.started(specifications, folder, not values.cache, say) as (alive, reports, bad):
            measured = measure(alive, batches, values.rounds, say)
            for contender in alive:
                reports[contender.name]["peak_mib"] = contender.take("peak")
                reports[contender.name]["idle_processor_share"] = max(contender.idle, default=0.0)
    result = {
        "setting": values.setting, "plan": plan, "batches": batches, "dtype": "float32",
        "machine": step_report.machine(), "torch": version, "missing": missing, "failed": bad,
        "contenders": {name: report | {"seconds": measured.get(name, {})}
                       for name, report in reports.items()},
    }  # fmt: skip
    result |= ratios(result)
    print(text(result))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--setting",
        choices=plans.NAMES,
        default="full",
        help="full: Cityscapes, 256x512; quickstart: its preset; small: 64x128, "
        "generator width 16 (default: %(default)s)",
    )
    parser.add_argument(
        "--batches",
        default="1,8",
        metavar="B,B",
        help="images generated at once (default: %(default)s)",
    )
    turns.add_arguments(parser, (OURS, *TWINS))
    values = parser.parse_args(argv)
    turns.check_arguments(parser, values, (OURS, *TWINS))
    if not all(batch.isdecimal() and int(batch) for batch in values.batches.split(",")):
        parser.error(f"--batches is {values.batches!r}; it must be a comma list of numbers above 0")
    return values


def _specification(name, settings, plan, labels, batches, values) -> dict:
    """Arguments of turns.Contender."""
    if name == OURS:
        return {
            "name": name,
            "python": sys.executable,
            "module": "benchmarks.jax_sampler",
            "compiles": True,
            "huge_pages": True,
            "arguments": {
                "settings": settings_lib.to_json(settings),
                "classes": plan["classes"],
                "labels": labels,
                "batches": batches,
            },
        }
    return {
        "name": name,
        "python": values.torch_python,
        "compiles": "compiled" in name,
        "module": "benchmarks.pytorch_baseline.sampler",
        "huge_pages": name.startswith("tuned"),
        "arguments": {"plan": plan, "contender": name, "labels": labels, "batches": batches},
    }


def measure(contenders: list, batches: list[int], rounds: int, say) -> dict:
    """Calls in turns.

    Args:
      contenders: started turns.Contender.
      batches: images generated at once.
      rounds: turns of each with each batch.
      say: function that takes a line for the user.

    Returns:
      name -> batch (text) -> summary of the seconds of a call.
    """
    seconds, counts = {}, {}
    for number in range(rounds):
        for batch in batches:
            for contender in contenders:
                key = contender.name, str(batch)
                # Wakes it up: a virtual machine may have lent its free memory to others meanwhile.
                first = contender.take("generate", batch=batch)["seconds"][0]
                counts.setdefault(key, turns.in_a_turn(first))
                took = contender.take("generate", batch=batch, count=counts[key])["seconds"]
                seconds.setdefault(key[0], {}).setdefault(key[1], []).extend(took)
                say(f"round {number + 1} of {rounds}, {key[0]}, batch {batch}: {took[-1]:.3f} s")
    return {
        name: {batch: turns.summary(took) for batch, took in own.items()}
        for name, own in seconds.items()
    }


def ratios(result: dict) -> dict:
    """How many times as fast ours is, by medians: "speedup_over_eager" and "speedup_over_tuned"
    (batch -> ratio), "best_tuned" (batch -> name); those that were not measured are left out."""
    own = {name: one["seconds"] for name, one in result["contenders"].items() if one["seconds"]}
    if OURS not in own:
        return {}
    found = {}
    for batch, ours in own[OURS].items():
        tuned = {name: one[batch]["median"] for name, one in own.items() if name.startswith("tun")}
        if "eager" in own:
            found.setdefault("speedup_over_eager", {})[batch] = (
                own["eager"][batch]["median"] / ours["median"]
            )
        if tuned:
            best = min(tuned, key=tuned.get)
            found.setdefault("best_tuned", {})[batch] = best
            found.setdefault("speedup_over_tuned", {})[batch] = tuned[best] / ours["median"]
    return found


def text(result: dict) -> str:
    """The results in words."""
    plan, machine = result["plan"], result["machine"]
    heads = "".join(
        f"{f'batch {batch}':>10s}{'min':>9s}{'images/s':>10s}" for batch in result["batches"]
    )
    rows = [
        f"sampling {plan['height']}x{plan['width']}, K = {plan['classes']}, generator width "
        f"{plan['generator']['width']}; {machine['processor']}, {machine['cores']} cores",
        f"{'seconds a call':30s}{heads}{'peak MiB':>10s}{'idle':>7s}",
    ]
    for name, own in result["contenders"].items():
        if own["seconds"]:
            values = "".join(
                f"{own['seconds'][str(batch)]['median']:10.3f}{own['seconds'][str(batch)]['min']:9.3f}"
                f"{batch / own['seconds'][str(batch)]['median']:10.2f}"
                for batch in result["batches"]
            )
            rows.append(
                f"  {name:28s}{values}{own['peak_mib']:10.0f}{own['idle_processor_share']:7.1%}"
            )
    rows += [f"{name}: {reason}" for name, reason in result["failed"].items()]
    for key, title in (("speedup_over_eager", "eager"), ("speedup_over_tuned", "best tuned")):
        for batch, ratio in result.get(key, {}).items():
            best = f" ({result['best_tuned'][batch]})" if "tuned" in key else ""
            rows.append(f"batch {batch}: {ratio:.2f} times as fast as {title}{best}")
    for name, own in result["contenders"].items():
        for heat, seconds in own["start"].items():
            rows.append(
                f"{name}, {heat} start: first images of all batch sizes after "
                f"{seconds['first_step']:.1f} s"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
