"""A PyTorch training step in a process of its own, told what to do by benchmarks.step."""

import os
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import workers
from benchmarks.pytorch_baseline import losses, procedures, tuned

CONTENDERS = {
    "published": (procedures.Published, {}),
    "published-attached": (procedures.Published, {"attached": True}),
    "tuned": (tuned.Tuned, {}),
    "tuned-channels_last": (tuned.Tuned, {"channels_last": True}),
    "tuned-compiled": (tuned.Tuned, {"compiled": True}),
    "tuned-compiled-channels_last": (tuned.Tuned, {"compiled": True, "channels_last": True}),
}  # fmt: skip


class Training:
    """Steps of one procedure on one batch.

    Args:
      plan: see benchmarks.plans.
      contender: a name of CONTENDERS.
      labels: file of label maps, int32 [B or more, H, W].
      began: time at which the process was started.
    """

    def __init__(self, plan: dict, contender: str, labels: str, began: float):
        self.plan = plan
        imported = time.time()
        torch.manual_seed(0)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        if contender.startswith("tuned"):
            torch.set_flush_denormal(True)
        kind, options = CONTENDERS[contender]
        self.procedure = kind(plan, procedures.build(plan), **options)
        self.photo = torch.rand(plan["batch"], 3, plan["height"], plan["width"]) * 2 - 1
        self.label = load_labels(labels)[: plan["batch"]]
        created = time.time()
        self.step(penalise=True)
        self.start = {
            "imports": imported - began,
            "state": created - imported,
            "first_step": time.time() - began,
        }
        self.step(penalise=False)  # compiles what the first step did not need

    def step(self, penalise: bool, count: int = 1) -> dict:
        """Runs steps; returns seconds of each and of its parts, processor seconds and losses."""
        seconds, self.procedure.seconds, used = [], {}, time.process_time()
        for _ in range(count):
            began = time.perf_counter()
            metrics = self.procedure.step(self.photo, self.label, penalise)
            seconds.append(time.perf_counter() - began)
        return {
            "seconds": seconds,
            "processor_seconds": (time.process_time() - used) / count,
            "players": self.procedure.seconds,
            "metrics": {name: value.item() for name, value in metrics.items()},
        }

    def report(self) -> dict:
        """What is known after the first steps."""
        return {
            "start_seconds": self.start,
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__},
        }

    def part(self, name: str, count: int) -> float:
        """Median seconds of a part; see `parts`."""
        seconds, function = [], parts(self.procedure, self.photo, self.label)[name]
        for _ in range(count + 1):
            began = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds[1:])


def load_labels(path: str) -> torch.Tensor:
    """Label maps of a file, int64 [B, H, W]."""
    return torch.from_numpy(np.load(path).astype(np.int64))


def parts(procedure: procedures.Procedure, photo, label) -> dict:
    """Part of the step -> function that runs it alone: a network's forward and backward pass, with
    gradients for its weights, for its input or (no comma) for both."""
    networks = procedure.networks
    call = getattr(procedure, "call", networks)
    memory = getattr(procedure, "format", torch.contiguous_format)
    photo = photo.contiguous(memory_format=memory)
    one_hot = procedure.one_hot(label).contiguous(memory_format=memory)

    def run(name, loss, weights, image):
        def function():
            for other, network in networks.items():
                network.requires_grad_(weights and other == name)
                network.zero_grad()
            loss(photo.detach().requires_grad_(image)).backward()

        return function

    def forward():
        with torch.no_grad():
            call["generator"](one_hot, procedure.noise("segmenter", label))

    def generate(image):
        return (call["generator"](one_hot, procedure.noise("generator", label)) * image).sum()

    def read(image):
        return procedure.segmentation(call["segmenter"](image), label)

    def fake_loss(image):
        return losses.scores_low(call["discriminator"](image)[0])

    def penalty(image):
        return losses.r1_penalty(networks["discriminator"](image)[0], image)

    def decode(image):
        with torch.no_grad():
            features = call["discriminator"](image)[1]
        features = [feature.requires_grad_() for feature in features]
        return F.l1_loss(call["decoder"](features), image)

    def update():
        with torch.no_grad():
            for network in networks.values():
                for p in network.requires_grad_(True).parameters():
                    p.grad = torch.full_like(p, 1e-8)
        for optimiser in procedure.optimisers.values():
            optimiser.step()

    made = {"generator, forward": forward, "generator": run("generator", generate, True, False)}
    for name, loss in (("segmenter", read), ("discriminator", fake_loss)):
        made |= {
            name: run(name, loss, True, True),
            f"{name}, weights": run(name, loss, True, False),
            f"{name}, photo": run(name, loss, False, True),
        }
    made["r1"] = run("discriminator", penalty, True, True)
    if "decoder" in networks:
        made["decoder, with D's forward"] = run("decoder", decode, True, False)
    return made | {"update": update}


def main() -> None:
    """Serves requests."""
    made = {}

    def start(**arguments):
        made["it"] = Training(**arguments)
        return made["it"].report()

    workers.serve({
        "start": start,
        "step": lambda **a: made["it"].step(**a),
        "parts": lambda: list(parts(made["it"].procedure, made["it"].photo, made["it"].label)),
        "part": lambda **a: made["it"].part(**a),
        "forget_peak": workers.forget_peak, "peak": workers.peak_mib,
    })  # fmt: skip


if __name__ == "__main__":
    main()
