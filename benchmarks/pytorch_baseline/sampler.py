"""Sampling with the PyTorch generator, in a process of its own that benchmarks.sample drives."""

import os
import time

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import workers
from benchmarks.pytorch_baseline import procedures, worker
from benchmarks.pytorch_baseline.generator import SpadeGenerator
from benchmarks.pytorch_baseline.layers import SpectralConv

CONTENDERS = {
    "eager": {},
    "tuned": {"tuned": True},
    "tuned-channels_last": {"tuned": True, "channels_last": True},
    "tuned-compiled": {"tuned": True, "compiled": True},
    "tuned-compiled-channels_last": {"tuned": True, "compiled": True, "channels_last": True},
}  # fmt: skip


def fold(network: nn.Module) -> nn.Module:
    """Replaces spectrally normalised convolutions by plain ones with the divided weights."""
    for name, child in network.named_children():
        if isinstance(child, SpectralConv):
            outputs, inputs, size, _ = child.weight_orig.shape
            plain = nn.Conv2d(
                inputs, outputs, size, padding=child.padding, bias=child.bias is not None
            )
            with torch.no_grad():
                matrix = child.weight_orig.flatten(1)
                sigma = child.weight_u @ matrix @ child.weight_v
                plain.weight.copy_(child.weight_orig / sigma)
                if child.bias is not None:
                    plain.bias.copy_(child.bias)
            setattr(network, name, plain)
        else:
            fold(child)
    return network


class Sampler:
    """A generator in evaluation, eager or tuned.

    Tuned: inference mode, spectral norms folded into the weights, denormals flushed; with
    `channels_last` weights and activations in that format; with `compiled` torch.compile with
    frozen weights.

    Args:
      plan: see benchmarks.plans.
      contender: a name of CONTENDERS.
      labels: file of label maps, int32 [B or more, H, W].
      batches: batch sizes that will be asked for.
      began: time at which the process was started.
    """

    def __init__(self, plan: dict, contender: str, labels: str, batches: list[int], began: float):
        imported = time.time()
        options = CONTENDERS[contender]
        torch.manual_seed(0)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.plan, self.format = plan, torch.contiguous_format
        self.mode = torch.inference_mode if options.get("tuned") else torch.no_grad
        g = plan["generator"]
        network = SpadeGenerator(
            plan["classes"], g["width"], g["multipliers"], g["z_dim"], g["hidden"], g["kernel_size"]
        ).eval()
        if options.get("tuned"):
            torch.set_flush_denormal(True)
            network = fold(network)
        if options.get("channels_last"):
            self.format = torch.channels_last
            network.to(memory_format=self.format)
        if options.get("compiled"):
            from torch._inductor import config

            config.freezing = True
            network = torch.compile(network, dynamic=False)
        self.network, self.label = network, worker.load_labels(labels)
        created = time.time()
        firsts = {}
        for batch in batches:
            self.generate(batch)
            firsts[f"first_{batch}"] = time.time() - created
        self.start = {
            "imports": imported - began,
            "state": created - imported,
            **firsts,
            "first_step": time.time() - began,
        }

    def generate(self, batch: int, count: int = 1) -> dict:
        """Generates images; returns the seconds of each call, from label maps to uint8 in NumPy."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            with self.mode():
                label = self.label[:batch]
                one_hot = F.one_hot(label, self.plan["classes"]).permute(0, 3, 1, 2).float()
                z = procedures.draw_noise(self.plan, batch, label.device)
                photo = self.network(one_hot.contiguous(memory_format=self.format), z)
                photo = (photo.permute(0, 2, 3, 1) + 1).mul(127.5).round().clamp(0, 255)
                photo = photo.to(torch.uint8).contiguous().numpy()
            seconds.append(time.perf_counter() - began)
        assert photo.shape == (batch, *self.label.shape[1:], 3)
        return {"seconds": seconds}

    def report(self) -> dict:
        """What is known after the first images."""
        return {
            "start_seconds": self.start,
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__},
        }


def main() -> None:
    """Serves requests."""
    made = {}

    def start(**arguments):
        made["it"] = Sampler(**arguments)
        return made["it"].report()

    workers.serve(
        {
            "start": start,
            "generate": lambda **a: made["it"].generate(**a),
            "forget_peak": workers.forget_peak,
            "peak": workers.peak_mib,
        }
    )


if __name__ == "__main__":
    main()
