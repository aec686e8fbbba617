"""What training, inference and reports need of a method, and no more."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from usis_jax.config.settings import Settings
from usis_jax.methods.train_state import TrainState

Metrics = dict[str, Array]


class Metric(NamedTuple):
    """One number that a step returns.

    Attributes:
      name: in the metrics and in `metrics.jsonl`.
      meaning: one sentence.
      line: how the line of progress shows it, a format string; empty where it does not.
    """

    name: str
    meaning: str
    line: str = ""


class Chart(NamedTuple):
    """Numbers that the report draws together.

    Attributes:
      title: of the chart.
      y: what its vertical axis says.
      curves: (name of a Metric, what the legend calls it) of each.
    """

    title: str
    y: str
    curves: tuple[tuple[str, str], ...]


def _all(settings: Settings, step: int, metrics: Metrics) -> Metrics:
    """Every metric is of every step."""
    del settings, step
    return metrics


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to learn images from label maps: `train/` drives it, `inference/` uses its generator.

    Networks go by names: those of `networks` are the keys of the state's `params`. One of them is
    "generator", which `ema_params` is the average of. What else has to be kept between steps, such
    as a pool of generated images, is a collection of a network.

    Attributes:
      name: in `config.method.name`.
      metrics: of its step, in the order in which they are shown.
      charts: of the losses, for the report.
      networks: (settings, K, axis_name="batch", kernels=None) -> named tuple of Flax modules,
        without parameters; None stands for a network that is not configured, and as kernels for
        those of JAX's default platform.
      create: (settings, K) -> the initial state.
      shapes: (settings, K) -> its shapes and dtypes, without computing anything.
      with_generator: (state, a generator's variables, what they are) -> state that has them.
      step: (state, batch, *, settings, networks, void) -> (state, metrics), a per-device function
        with the named axis "batch", which maps arrays to arrays and changes none.
      measured: (settings, number of a step, its metrics) -> those that this step really has.
      segmenter: name of the network that reads label maps out of generated images, by which
        training diagnostics measure; None without one.
      read_labels: (that network, its variables, images float [B, H, W, 3]) -> ids int [B, H, W].
      discriminator: name of the network that scores images, as (scores [B, 1], ...); None without
        one that training diagnostics could ask.
    """

    name: str
    metrics: tuple[Metric, ...]
    charts: tuple[Chart, ...]
    networks: Callable[..., Any]
    create: Callable[[Settings, int], TrainState]
    shapes: Callable[[Settings, int], TrainState]
    with_generator: Callable[[TrainState, dict[str, Any], str], TrainState]
    step: Callable[..., tuple[TrainState, Metrics]]
    measured: Callable[[Settings, int, Metrics], Metrics] = _all
    segmenter: str | None = None
    read_labels: Callable[[Any, dict[str, Any], Array], Array] | None = None
    discriminator: str | None = None
