"""What a run looks at while it trains: sample grids and the distance to real photos."""

import jax
import numpy as np

from usis_jax import batching, grids, sampling, steps
from usis_jax.data import streams
from usis_jax.evaluation import sliced_wasserstein
from usis_jax.models import registry

GRID_ROWS = 6
EMA_SAMPLES = 3
MEASURED = 200
STATISTICS_BATCHES = 8


class Validation:
    """Fixed label maps and noise, so that grids of different steps can be compared.

    Args:
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
    """

    def __init__(self, settings, spec):
        self._settings, self._spec = settings, spec
        network = registry.build(settings, spec.num_classes, axis_name=None).generator
        examples = streams.validation(settings, MEASURED)
        self._photos, self._labels = examples.photos, examples.labels
        self._paired = examples.paired
        self._rows = min(GRID_ROWS, len(self._labels))
        # Neighbours by name are often the same place, so the grid shows maps from all over.
        self._shown = np.linspace(0, len(self._labels) - 1, self._rows).astype(int)
        self._paint = sampling.painter(network, settings)
        self._statistics_labels = None
        self._estimate = jax.jit(
            lambda params, collections, labels, key: steps.estimate_statistics(
                network,
                params,
                collections,
                labels,
                sampling.map_noise(settings, key, labels.shape),
            )
        )

    def ema_collections(self, state):
        """Re-estimates the EMA generator's batch statistics on fixed training label maps.

        Args:
            state: TrainState of NumPy arrays.
        Returns:
            its collections, NumPy arrays; the state itself is left as it is, so that looking at
            a run does not change it.
        """
        if self._statistics_labels is None:
            self._statistics_labels = _first_labels(self._settings)
        # The live spectral vectors are the closest to the average's weights.
        collections = state.collections["generator"]
        estimates = []
        for number, labels in enumerate(self._statistics_labels):
            key = jax.random.fold_in(jax.random.key(self._settings.seed), number)
            collections = jax.device_get(self._estimate(state.ema_params, collections, labels, key))
            estimates.append(collections.get("batch_stats", {}))
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *estimates)
        return {**collections, "batch_stats": mean}

    def grid(self, state, ema_collections):
        """Paints the sample grid.

        Args:
            state: TrainState of NumPy arrays.
            ema_collections: from `ema_collections`.
        Returns:
            uint8 [H, W, 3]: label map in colour | live generator | EMA generator with three
            noises | the real validation photo, for comparison: no network ever sees it. Where
            photos and label maps do not belong together it is one of another place, and says so.
        """
        live = {"params": state.params["generator"], **state.collections["generator"]}
        ema = {"params": state.ema_params, **ema_collections}
        labels = self._labels[self._shown]
        columns = [
            ("label map", self._spec.colour(labels)),
            ("live", self._paint(live, labels, 0, 0)),
        ]
        columns += [
            (f"EMA, noise {n + 1}", self._paint(ema, labels, 0, n)) for n in range(EMA_SAMPLES)
        ]
        title = "real, not a target" if self._paired else "real, another place"
        columns.append((title, self._photos[self._shown]))
        return grids.grid(columns)

    def measure(self, state, ema_collections):
        """Measures the sliced Wasserstein distance of EMA photos to validation photos.

        Args:
            state: TrainState of NumPy arrays.
            ema_collections: from `ema_collections`.
        Returns:
            dict of floats, see `sliced_wasserstein.distance`.
        """
        ema = {"params": state.ema_params, **ema_collections}
        painted = [
            self._paint(ema, batch, 0, 0, start)[:count]
            for start, batch, count in batching.batches(self._labels, self._rows)
        ]
        return sliced_wasserstein.distance(np.concatenate(painted), self._photos)


def _first_labels(settings):
    """The label maps of the first training batches, int32 [N, B, H, W]."""
    stream = streams.training(settings)
    return np.stack([next(stream)["label"] for _ in range(STATISTICS_BATCHES)])
