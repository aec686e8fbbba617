"""FLOPs of a training step, counted by PyTorch on the meta device: shapes only, nothing computed.

Command: python -m benchmarks.pytorch_baseline.flops < PLAN.json      (see benchmarks.plans)

Counts convolutions and matrix products, two FLOPs for each multiplication with addition, padding
included; elementwise work is not counted.
"""

import json
import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.pytorch_baseline import procedures, tuned, worker

KINDS = {
    "published": (procedures.Published, {}),
    "published-attached": (procedures.Published, {"attached": True}),
    "tuned": (tuned.Tuned, {}),
}


def count(plan: dict) -> dict:
    """FLOPs of each procedure's step and of its parts.

    Args:
      plan: see benchmarks.plans.

    Returns:
      {"steps": procedure -> {"plain", "r1", "amortised"}, "parts": part -> FLOPs}; "amortised" has
      R1 in one of `r1_interval` steps.
    """
    steps = {}
    with torch.device("meta"):
        shape = plan["batch"], plan["height"], plan["width"]
        photo, label = torch.zeros(shape[0], 3, *shape[1:]), torch.zeros(shape, dtype=torch.int64)
        for name, (kind, options) in KINDS.items():
            procedure = kind(plan, procedures.build(plan), **options, fused=False)
            plain, penalised = (
                of(lambda p=procedure, r1=r1: p.step(photo, label, r1)) for r1 in (False, True)
            )
            interval = plan["r1_interval"]
            steps[name] = {
                "plain": plain,
                "r1": penalised,
                "amortised": plain + (penalised - plain) / interval,
            }
        parts = {
            name: of(function) for name, function in worker.parts(procedure, photo, label).items()
        }
    return {"steps": steps, "parts": parts}


class _Counter(TorchDispatchMode):
    """Adds up PyTorch's own formulas. Its FlopCounterMode cannot see second derivatives: it hooks
    modules' inputs, which torch.autograd.grad does not allow for leaves."""

    total = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        out = function(*arguments, **(options or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula is not None:
            self.total += formula(*arguments, **(options or {}), out_val=out)
        return out


def of(function) -> int:
    """FLOPs of what a function does. Source: PyTorch's own formulas."""
    with _Counter() as counter:
        function()
    return counter.total


if __name__ == "__main__":
    print(json.dumps(count(json.load(sys.stdin))))
