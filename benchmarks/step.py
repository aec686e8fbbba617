"""Seconds of a full training step, ours against PyTorch's, in turns on one machine.

Command: python -m benchmarks.step --setting=small|quickstart|full [--json FILE]
         (PyTorch: pip install -e '.[torch]', or --torch_python=PATH of another environment's)

A step is one update of G, S and D with its decoder (Adam), and of G's average; every 16th has the
R1 penalty; data are in memory, the label maps are drawn street scenes. Contenders:
  alternating, joint   ours, by update rule
  published            PyTorch, eager: G, then S, then D, each on a sample of its own; backward
                       passes fill the gradients of every network in their graph, so G's those of S
                       and D too; R1 as an Adam step of its own
  published-attached   the same with S's and D's backward passes running through G as well
  tuned, tuned-*       PyTorch as a good user writes it: opponents frozen, S and D share a sample
                       generated without a graph, R1 shares D's pass, fused Adam, denormals flushed;
                       in channels_last, with torch.compile, and with both
Ours run as `usis train` does, with huge pages for malloc where the system gives them to who asks
(usis_jax.runtime.huge_pages); `tuned` and `tuned-*` have the same, `published*` run as PyTorch
starts.
The update of all is `alternating`'s but for `joint`. Each contender is a process that stays alive
and rests while others have their turn. All compute in float32.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile

from benchmarks import plans, step_report, turns
from usis_jax.config import settings as settings_lib

_TO_WAKE_UP, _LEAST_IN_A_TURN = 2, 3
"""Steps before those that are measured, as the first ones after a rest are slower, and of these at
least so many."""

OURS = ("alternating", "joint")
TWINS = (
    "published",
    "published-attached",
    "tuned",
    "tuned-channels_last",
    "tuned-compiled",
    "tuned-compiled-channels_last",
)
LOSS_TERMS = (
    "G: segmentation (class-balanced cross-entropy), adversarial (non-saturating)",
    "S: segmentation",
    "D: adversarial on real and generated images, reconstruction (L1, "
    "decoder), R1 on real images in one of r1_interval steps",
)


def main(argv=None) -> int:
    """Measures, prints and writes; returns the exit code."""
    values = _arguments(argv)
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    settings, plan = plans.load(values.setting, values.batch, values.decoder)
    version = turns.twin_version(values.torch_python)
    names, missing = turns.present(values.contenders.split(","), TWINS, version, say)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(values.cache or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        labels = plans.write_labels(plan, plan["batch"], folder / "labels.npy")
        specifications = [_specification(name, settings, plan, labels, values) for name in names]
        with turns.started(specifications, folder, not values.cache, say) as (alive, reports, bad):
            measured = measure(alive, values.rounds, plan["r1_interval"], say)
            parts = measure_parts(alive, values.parts, say)
            for contender in alive:
                if contender.name in OURS:
                    reports[contender.name]["flops"] = contender.take("flops")
                reports[contender.name]["idle_processor_share"] = max(contender.idle, default=0.0)
    result = {
        "setting": values.setting, "plan": plan, "loss_terms": LOSS_TERMS, "dtype": "float32",
        "machine": step_report.machine(), "torch": version, "missing": missing, "failed": bad,
        "contenders": {name: reports[name] | measured.get(name, {}) | {"parts": parts.get(name)}
                       for name in reports},
        "twin_flops": (turns.count_flops(values.torch_python, plan)
                       if any(name in TWINS for name in reports) else None),
    }  # fmt: skip
    result |= step_report.ratios(result)
    print(step_report.text(result))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--setting",
        choices=plans.NAMES,
        default="small",
        help="small: 64x128, batch 4, generator width 16; quickstart: its preset; "
        "full: Cityscapes, 256x512 (default: %(default)s)",
    )
    parser.add_argument(
        "--parts",
        type=int,
        default=0,
        metavar="N",
        help="rounds in which each network is timed alone (default: %(default)s)",
    )
    parser.add_argument(
        "--batch", type=int, default=0, metavar="B", help="batch size (default: the setting's)"
    )
    parser.add_argument(
        "--decoder", choices=("wavelet_upsample", "none"), default="", help="default: the setting's"
    )
    turns.add_arguments(parser, (*OURS, *TWINS))
    values = parser.parse_args(argv)
    turns.check_arguments(parser, values, (*OURS, *TWINS))
    for name in ("parts", "batch"):
        if getattr(values, name) < 0:
            parser.error(f"--{name} is {getattr(values, name)}; it must be 0 or more")
    return values


def _specification(name, settings, plan, labels, values) -> dict:
    """Arguments of turns.Contender."""
    if name in OURS:
        own = settings_lib.to_json(dataclasses.replace(settings, update=name))
        return {
            "name": name,
            "python": sys.executable,
            "module": "benchmarks.jax_worker",
            "compiles": True,
            "huge_pages": True,
            "arguments": {
                "settings": own,
                "classes": plan["classes"],
                "void": plan["void"],
                "labels": labels,
            },
        }
    return {
        "name": name,
        "python": values.torch_python,
        "compiles": "compiled" in name,
        "module": "benchmarks.pytorch_baseline.worker",
        "huge_pages": name.startswith("tuned"),
        "arguments": {"plan": plan, "contender": name, "labels": labels},
    }


def measure(contenders: list, rounds: int, interval: int, say) -> dict:
    """Steps in turns.

    Args:
      contenders: started turns.Contender.
      rounds: turns of each; in a turn it takes some steps without R1 and one with it.
      interval: steps between two with R1.
      say: function that takes a line for the user.

    Returns:
      name -> {"seconds": {"plain", "r1", "amortised"}, "processor_seconds" (of a plain step, all
      threads), "players", "peak_mib", "metrics"}.
    """
    plain, penalised, used, players, made, counts = {}, {}, {}, {}, {}, {}
    for contender in contenders if rounds else ():
        first = contender.take("step", penalise=False)  # says how long it takes
        counts[contender.name] = max(_LEAST_IN_A_TURN, turns.in_a_turn(first["seconds"][0]))
    for number in range(rounds):
        for contender in contenders:
            name = contender.name
            # Wake it up: a virtual machine may have lent its free memory to others meanwhile.
            contender.take("step", penalise=False, count=_TO_WAKE_UP)
            steps = contender.take("step", penalise=False, count=counts[name])
            plain.setdefault(name, []).extend(steps["seconds"])
            used.setdefault(name, []).append(steps["processor_seconds"])
            if steps.get("players"):
                players.setdefault(name, []).append(
                    {player: value / counts[name] for player, value in steps["players"].items()}
                )
            steps = contender.take("step", penalise=True)
            penalised.setdefault(name, []).extend(steps["seconds"])
            made[name] = steps["metrics"]
            say(
                f"round {number + 1} of {rounds}, {name}: {plain[name][-1]:.3f} s a step, "
                f"{penalised[name][-1]:.3f} s with R1"
            )
    result = {}
    for contender in contenders if rounds else ():
        name = contender.name
        own = {"plain": turns.summary(plain[name]), "r1": turns.summary(penalised[name])}
        own["amortised"] = {
            key: own["plain"][key] + (own["r1"][key] - own["plain"][key]) / interval
            for key in ("median", "min")
        }
        result[name] = {
            "seconds": own,
            "processor_seconds": turns.summary(used[name]),
            "peak_mib": contender.take("peak"),
            "metrics": made[name],
        }
        if name in players:
            result[name]["players"] = {
                player: turns.summary([one[player] for one in players[name]])
                for player in players[name][0]
            }
    return result


def measure_parts(contenders: list, rounds: int, say) -> dict:
    """Seconds of each network's passes alone, in turns: name -> part -> summary."""
    result = {}
    if not rounds:
        return result
    lists = {contender.name: contender.take("parts") for contender in contenders}
    for number in range(rounds):
        for part in max(lists.values(), key=len, default=()):
            for contender in contenders:
                if part in lists[contender.name]:
                    seconds = contender.take("part", name=part, count=2)
                    result.setdefault(contender.name, {}).setdefault(part, []).append(seconds)
        say(f"parts, round {number + 1} of {rounds}")
    return {
        name: {part: turns.summary(seconds) for part, seconds in own.items()}
        for name, own in result.items()
    }


if __name__ == "__main__":
    sys.exit(main())
