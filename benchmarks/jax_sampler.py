"""Sampling with our generator, in a process of its own that benchmarks.sample drives."""

import os
import time

import jax
import numpy as np

from benchmarks import workers
from usis_jax import methods
from usis_jax.config import settings as settings_lib
from usis_jax.inference import sampling


class Sampler:
    """A generator as `usis_jax.Generator` holds it: fixed statistics, one compiled function.

    Args:
      settings: JSON text of a run's settings.
      classes: K.
      labels: file of label maps, see plans.write_labels.
      batches: batch sizes that will be asked for.
      began: time at which the process was started.
    """

    def __init__(self, settings: str, classes: int, labels: str, batches: list[int], began: float):
        self.settings = settings_lib.from_json(settings)
        imported = time.time()
        method = methods.get(self.settings.method.name)
        now = method.create(self.settings, classes)
        variables = {"params": now.ema_params, **now.ema_collections}
        del now
        network = method.networks(self.settings, classes, axis_name=None).generator
        self.generator = sampling.Generator(network, variables, self.settings, spec=None)
        self.label = np.load(labels)
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
        for number in range(count):
            began = time.perf_counter()
            photo = self.generator.sampler(self.generator.folded, self.label[:batch], 0, number)
            seconds.append(time.perf_counter() - began)
        assert photo.shape == (batch, *self.label.shape[1:], 3) and photo.dtype == np.uint8
        return {"seconds": seconds}

    def report(self) -> dict:
        """What is known after the first images."""
        return {
            "start_seconds": self.start,
            "threads": len(os.sched_getaffinity(0)),
            "versions": {"jax": jax.__version__},
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
