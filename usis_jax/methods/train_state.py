"""Everything that changes during training, as one pytree."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp

from usis_jax.checkpoint import flat_trees
from usis_jax.config.settings import Settings
from usis_jax.methods import optimizers
from usis_jax.models import registry
from usis_jax.ops.kernels import REFERENCE
from usis_jax.runtime import host_memory


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

    Source: paper §5.1 (EMA).
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


@host_memory.collected_later()
def create(settings: Settings, num_classes: int) -> TrainState:
    """Initial state, a pure function of `settings.seed` and the networks' sizes.

    Args:
      settings: the run's settings.
      num_classes: K, from the label spec.

    Returns:
      TrainState on the default device.

    Source: paper §5.1.
    """
    return _assemble(settings, num_classes, _compiled_init)


def shapes(settings: Settings, num_classes: int) -> TrainState:
    """Shapes and dtypes of `create`'s state, without computing anything.

    Args:
      settings: the run's settings.
      num_classes: K, from the label spec.

    Returns:
      TrainState of jax.ShapeDtypeStruct.
    """
    return jax.eval_shape(
        lambda: _assemble(
            settings, num_classes, lambda network, key, inputs: network.init(key, *inputs)
        )
    )


def with_generator(state: TrainState, variables: dict[str, Any], source: str) -> TrainState:
    """A state whose generator, and its moving average, are given; the other players stay.

    Args:
      state: as of `create`.
      variables: the generator's "params" and collections, arrays.
      source: what they are, for messages.

    Returns:
      TrainState.

    Raises:
      ValueError: they do not fit the state's generator.
    """
    own = {"params": state.params["generator"], **state.collections["generator"]}
    variables = flat_trees.unflatten(own, flat_trees.flatten(variables), source)
    params = jax.tree.map(jnp.asarray, variables.pop("params"))
    collections = jax.tree.map(jnp.asarray, variables)
    return dataclasses.replace(
        state,
        params=state.params | {"generator": params},
        collections=state.collections | {"generator": collections},
        ema_params=_copy(params),
        ema_collections=_copy(collections),
    )


def _assemble(settings: Settings, num_classes: int, init: Callable) -> TrainState:
    """The initial state from `init(network, key, inputs) -> variables`."""
    # The reference is traced in half of the time that a CPU's kernels take.
    networks = registry.build(settings, num_classes, axis_name=None, kernels=REFERENCE)
    height, width = settings.data.height, settings.data.width
    init_key, run_key = jax.random.split(jax.random.key(settings.seed))
    keys = dict(zip((*networks._fields,), jax.random.split(init_key, 4), strict=True))
    photo = jnp.zeros((1, height, width, 3), jnp.float32)
    inputs = {
        "generator": (
            jnp.zeros((1, height, width), jnp.int32),
            jnp.zeros((1, settings.generator.z_dim), jnp.float32),
        ),
        "segmenter": (photo,),
        "discriminator": (photo,),
    }
    if networks.decoder is not None:
        (_, features), _ = jax.eval_shape(
            networks.discriminator.init_with_output, keys["discriminator"], photo
        )
        inputs["decoder"] = (jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), features),)
    variables = {name: init(getattr(networks, name), keys[name], inputs[name]) for name in inputs}
    params = {name: tree.pop("params") for name, tree in variables.items()}
    collections = {name: variables[name] for name in ("generator", "segmenter")}
    opt_state, *average = _rest(settings)(params, collections["generator"])
    return TrainState(
        jnp.int32(0), jax.random.key_data(run_key), params, collections, opt_state, *average
    )


# Run once: the least that makes it run quickly takes a second more to compile and saves two.
_QUICK = {"xla_backend_optimization_level": 1, "xla_llvm_disable_expensive_passes": True}


def _compiled_init(network, key: jax.Array, inputs: tuple) -> dict[str, Any]:
    """Variables of one network; compiled, since hundreds of small draws one by one take longer.

    The programs, which take up to 200 MiB each, are gone afterwards.
    """
    options = _QUICK if jax.default_backend() == "cpu" else None
    return jax.jit(network.init, compiler_options=options)(key, *inputs)


def _rest(settings: Settings) -> Callable:
    """(params, G's collections) -> (optimisers' states, the average's params and collections).

    Compiled as one: hundreds of arrays made one by one take seconds.
    """

    def make(params, collections):
        opt_state = {
            name: optimiser.init(players(params, name))
            for name, optimiser in optimizers.optimisers(settings.optimizer).items()
        }
        return opt_state, _copy(params["generator"]), _copy(collections)

    return jax.jit(make)


def _copy(tree: Any) -> Any:
    """The same values in buffers of their own, so that the state can be donated."""
    return jax.tree.map(jnp.copy, tree)
