"""Batch statistics of the EMA generator, estimated on training label maps."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from usis_jax import methods
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import input_pipeline
from usis_jax.distributed import keys as keys_lib
from usis_jax.distributed import mesh
from usis_jax.inference import ema_statistics
from usis_jax.methods.train_state import TrainState
from usis_jax.models import generation

STATISTICS_BATCHES = 8


class EmaStatistics:
    """Estimates the EMA generator's batch statistics on the first training batches.

    Args:
        settings: Settings of the run.
        num_classes: of its label maps.
        runner: mesh.Runner of the run.
    """

    def __init__(
        self, settings: settings_lib.Settings, num_classes: int, runner: mesh.Runner
    ) -> None:
        self._settings, self._runner = settings, runner
        self._batches: list[dict[str, np.ndarray]] | None = None
        network = methods.get(settings.method.name).networks(settings, num_classes).generator
        self._estimate = runner.compile(_estimation(network, settings.generator), donate=False)

    def collections(self, state: TrainState) -> dict[str, Any]:
        """The EMA generator's collections, as NumPy arrays.

        Args:
            state: TrainState of NumPy arrays; it is left as it is.
        Returns:
            Its collections with estimated batch statistics; without batch norm, the live ones.
        """
        if "batch_stats" not in state.collections["generator"]:
            return state.collections["generator"]
        if self._batches is None:
            self._batches = _first_batches(self._settings, self._runner)
        params = self._runner.place(state.ema_params)
        # Of all spectral vectors, the live ones are the closest to those of the averaged weights.
        collections = self._runner.place(state.collections["generator"])
        estimates = []
        for number, batch in enumerate(self._batches):
            key = jax.random.fold_in(jax.random.key(self._settings.seed), number)
            given = {
                "params": params,
                "collections": collections,
                "key": self._runner.place(np.asarray(jax.random.key_data(key))),
            }
            collections, _ = self._estimate(given, self._runner.put(batch))
            estimates.append(self._runner.fetch(collections.get("batch_stats", {})))
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *estimates)
        return {**self._runner.fetch(collections), "batch_stats": mean}


def _estimation(network: nn.Module, options: schema.Generator) -> Callable:
    """The step that estimates statistics, as `mesh.Runner` maps it."""

    def estimate(given: dict, batch: dict) -> tuple[dict, dict]:
        key, label = jax.random.wrap_key_data(given["key"]), batch["label"]
        keys = keys_lib.of_numbers(key, batch["number"])
        z = generation.draw_noise(options, keys, *label.shape[1:])
        found = ema_statistics.estimate_statistics(
            network, given["params"], given["collections"], label, z
        )
        return found, {}

    return estimate


def _first_batches(
    settings: settings_lib.Settings, runner: mesh.Runner
) -> list[dict[str, np.ndarray]]:
    """This host's part of the first training batches: label maps and their numbers."""
    stream = input_pipeline.training(settings, 0, runner.process_index, runner.process_count)
    found = []
    for _ in range(STATISTICS_BATCHES):
        label = next(stream)["label"]
        number = runner.process_index * len(label) + np.arange(len(label), dtype=np.int32)
        found.append({"label": label, "number": number})
    return found
