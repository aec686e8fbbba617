"""Everything that changes during training, as one pytree."""

import dataclasses
import functools
from typing import Any

import flax
import jax
import jax.numpy as jnp

from usis_jax import optim
from usis_jax.models import registry
from usis_jax.settings import Settings


@flax.struct.dataclass
class TrainState:
    """State of a run between two steps.

    Attributes:
      step: int32 scalar, steps made.
      key: uint32 raw key; a step's randomness is fold_in(key, step).
      params: {"generator", "segmenter", "discriminator" and, if there is one, "decoder"} -> params.
      collections: player -> non-trained collections ("batch_stats", "spectral").
      opt_state: {"generator", "segmenter", "discriminator"} -> optimiser state.
      ema_params: moving average of the generator's params.
      ema_collections: the moving average's own collections.

    Source: paper §5.1 (EMA); design of our own.
    """

    step: jax.Array
    key: jax.Array
    params: dict[str, Any]
    collections: dict[str, Any]
    opt_state: dict[str, Any]
    ema_params: Any
    ema_collections: Any


def players(params: dict[str, Any], player: str) -> dict[str, Any]:
    """The networks whose parameters a player's optimiser moves: D's include the decoder's.

    Args:
      params: network name -> params.
      player: "generator", "segmenter" or "discriminator".

    Returns:
      network name -> params, a part of `params`.

    Source: paper §5.2 (the decoder is trained in D's step).
    """
    names = (player, "decoder") if player == "discriminator" else (player,)
    return {name: params[name] for name in names if name in params}


def create(settings: Settings, num_classes: int) -> TrainState:
    """Initial state, a pure function of `settings.seed` and the networks' sizes.

    Args:
      settings: the run's settings.
      num_classes: K, from the label spec.

    Returns:
      TrainState on the default device.

    Source: paper §5.1.
    """
    key = jax.random.key(settings.seed)
    return _initial(key, dataclasses.replace(settings, seed=0), num_classes)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _initial(key: jax.Array, settings: Settings, num_classes: int) -> TrainState:
    """The state for a key; compiled once for all seeds."""
    networks = registry.build(settings, num_classes, axis_name=None)
    height, width = settings.data.height, settings.data.width
    init_key, run_key = jax.random.split(key)
    keys = jax.random.split(init_key, 4)
    label = jnp.zeros((1, height, width), jnp.int32)
    photo = jnp.zeros((1, height, width, 3), jnp.float32)
    z = jnp.zeros((1, settings.generator.z_dim), jnp.float32)
    variables = {"generator": networks.generator.init(keys[0], label, z),
                 "segmenter": networks.segmenter.init(keys[1], photo),
                 "discriminator": networks.discriminator.init(keys[2], photo)}
    if networks.decoder is not None:
        (_, features), _ = networks.discriminator.init_with_output(keys[2], photo)
        variables["decoder"] = networks.decoder.init(keys[3], features)
    params = {name: tree.pop("params") for name, tree in variables.items()}
    collections = {name: variables[name] for name in ("generator", "segmenter")}
    opt_state = {name: optimiser.init(players(params, name))
                 for name, optimiser in optim.optimisers(settings).items()}
    copy = lambda tree: jax.tree.map(jnp.copy, tree)  # noqa: E731
    return TrainState(jnp.int32(0), jax.random.key_data(run_key), params, collections,
                      opt_state, copy(params["generator"]), copy(collections["generator"]))
