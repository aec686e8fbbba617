"""Which checkpoint of a run is best, by what the checkpoints say of themselves (`meta`)."""

import math

from usis_jax.checkpoint import metadata
from usis_jax.config import schema

_DEFAULT = schema.Evaluation().best


class Ranking:
    """Orders checkpoints by one measured value; a policy of what Orbax preserves.

    Args:
        read: function of a step that returns its meta, or raises ValueError if it is damaged.
        measure: name of the value, of `schema.BETTER`.
    """

    def __init__(self, read, measure=_DEFAULT):
        self._read = read
        self._metrics = {}
        self.measure = measure

    def take_measure_of(self, steps):
        """Orders from now on by what ordered the newest measured checkpoint among steps."""
        for step in sorted(steps, reverse=True):
            meta = self._sound_meta(step)
            measure = metadata.measure(meta)
            if measure in meta.get("metrics", {}):
                self.measure = measure
                return

    def note(self, step, metrics):
        """Takes in the metrics, a dict of floats, of a checkpoint that is being written."""
        self._metrics[step] = metrics

    def best(self, steps):
        """Returns the one with the best value among steps, or None if none was measured by it."""
        losses = {step: self._loss(step) for step in steps}
        measured = [step for step in sorted(losses, reverse=True) if losses[step] < math.inf]
        return min(measured, key=losses.get, default=None)

    def should_preserve(self, checkpoints, *, context):
        """Which of Orbax's checkpoints stay: the best one."""
        del context
        best = self.best([info.step for info in checkpoints])
        return [info.step == best for info in checkpoints]

    def _loss(self, step):
        """What is lower the better a checkpoint is; infinite without a value."""
        if step not in self._metrics:
            self._metrics[step] = self._sound_meta(step).get("metrics", {})
        value = self._metrics[step].get(self.measure, math.nan)
        if math.isnan(value):
            return math.inf
        return value if schema.BETTER[self.measure] == "lower" else -value

    def _sound_meta(self, step):
        """The meta of a checkpoint; nothing if it is damaged: then it cannot be the best."""
        try:
            return self._read(step)
        except ValueError:
            return {}
