"""Means of what training steps report, over a logging interval."""

import math

from usis_jax.diagnostics import loss_jumps


class Means:
    """Means of step metrics over a logging interval, and the largest value of each loss in it.

    Finds values that are not finite.

    Args:
        state: from `get_state`, to go on with an interval that was begun.
    """

    def __init__(self, state=None):
        state = state or {}
        self._sums = {name: tuple(found[:2]) for name, found in state.items()}
        # Runs of earlier versions saved no largest values.
        self._highest = {name: tuple(found[2:]) for name, found in state.items() if found[2:]}

    def get_state(self):
        """Returns {name: (sum, count)} of the interval so far, for losses (..., largest, step)."""
        return {name: (*pair, *self._highest.get(name, ())) for name, pair in self._sums.items()}

    def add(self, step, metrics):
        """Adds one step's metrics.

        Args:
            step: int, for the message.
            metrics: dict of float scalars.
        Raises:
            FloatingPointError: naming step and metric, when a value is not finite.
        """
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            values = ", ".join(f"{name} = {float(metrics[name])}" for name in sorted(bad))
            raise FloatingPointError(f"step {step}: {values}")
        for name, value in metrics.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value), count + 1
            if name.startswith(loss_jumps.LOSS):
                self._highest[name] = max(
                    self._highest.get(name, (-math.inf, step)), (float(value), step),
                    key=lambda pair: pair[0])  # fmt: skip

    def so_far(self):
        """Returns the mean of each metric over the steps of the interval that had it."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def highest(self):
        """Returns {name: (largest value, its step)} of each loss in the interval so far."""
        return dict(self._highest)

    def take(self):
        """Returns the means, as `so_far`, and starts anew."""
        means = self.so_far()
        self._sums, self._highest = {}, {}
        return means
