"""Devices and hosts: where the state lives, how a step is mapped, how batches get there."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "batch"


def initialize() -> None:
    """Join the other processes of a pod, where the environment describes one.

    Reads COORDINATOR_ADDRESS, NUM_PROCESSES and PROCESS_ID, or, with USIS_DISTRIBUTED=1, what JAX
    finds out about the cluster by itself (TPU pods, Slurm). Does nothing otherwise.

    Raises:
      ValueError: only some of the three variables are set.

    Source: JAX's own jax.distributed.
    """
    if jax.distributed.is_initialized():
        return
    names = ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID")
    given = [name for name in names if os.environ.get(name)]
    if len(given) == len(names):
        jax.distributed.initialize(os.environ[names[0]], int(os.environ[names[1]]),
                                   int(os.environ[names[2]]))
    elif given:
        missing = ", ".join(name for name in names if name not in given)
        raise ValueError(f"{', '.join(given)} set but not {missing}: set all three or none")
    elif os.environ.get("USIS_DISTRIBUTED") == "1":
        jax.distributed.initialize()


def is_first() -> bool:
    """Whether this is the process that writes and prints for all. Source: ours."""
    return jax.process_index() == 0


class Runner:
    """Maps a per-device step over all devices; the state is one replicated copy.

    With mapping "shard_map" the step is `jax.jit(jax.shard_map(...))` over all hosts' devices; with
    "pmap" it is `jax.pmap`, for one host.

    Source: design of our own.
    """

    def __init__(self, mapping: str = "shard_map", devices: list | None = None):
        """Args: mapping: "shard_map" or "pmap"; devices: default all.

        Raises:
          ValueError: unknown mapping, or pmap with more than one process.
        """
        if mapping not in ("shard_map", "pmap"):
            raise ValueError(f"mapping is {mapping!r}; it must be shard_map or pmap")
        if mapping == "pmap" and jax.process_count() > 1:
            raise ValueError("mapping is pmap, which serves one process; use mapping=shard_map")
        self.mapping = mapping
        self.devices = devices or jax.devices()
        self.num_devices = len(self.devices)
        self.process_index, self.process_count = jax.process_index(), jax.process_count()
        self.mesh = jax.sharding.Mesh(np.array(self.devices), (AXIS,))

    def compile(self, step: Callable, donate: bool = True) -> Callable:
        """Map `step(state, batch) -> (state, metrics)`.

        Args:
          step: per-device function with the named axis "batch".
          donate: give the memory of the state that it is called with to the new one.

        Returns:
          Function of (placed state, put batch), compiled at its first call.
        """
        donated = (0,) if donate else ()
        if self.mapping == "pmap":
            return jax.pmap(step, axis_name=AXIS, in_axes=(None, 0), out_axes=(None, None),
                            devices=self.devices, donate_argnums=donated)
        mapped = jax.shard_map(step, mesh=self.mesh, in_specs=(P(), P(AXIS)),
                               out_specs=(P(), P()), check_vma=False)
        return jax.jit(mapped, donate_argnums=donated)

    def compile_all(self, steps: dict, state: Any, batch: Any, first: Any = None) -> Mapping:
        """Compile several mapped steps one after the other while the caller goes on.

        Two at once would be ready a little sooner and need twice the memory.

        Args:
          steps: name -> function from `compile`.
          state, batch: what they will be called with; left as they are.
          first: name of the one that is needed first, None = in the order given.

        Returns:
          name -> compiled step; asking for one waits until it is compiled, and raises what its
          compilation raised.
        """
        state, batch = jax.tree.map(_abstract, (state, batch))
        order = sorted(steps, key=lambda name: name != first)
        pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="compile")
        made = {name: pool.submit(lambda step: step.lower(state, batch).compile(), steps[name])
                for name in order}
        pool.shutdown(wait=False)
        return _Programs(made)

    def place(self, tree: Any) -> Any:
        """Copy a host pytree to every device, as one replicated pytree."""
        if self.mapping == "pmap":
            return jax.tree.map(jax.numpy.array, tree)
        sharding = NamedSharding(self.mesh, P())
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)

    def put(self, batch: Any) -> Any:
        """Split this process's part of a batch (NumPy, [b, ...]) over its devices.

        Raises:
          ValueError: b is not a multiple of the number of this process's devices.
        """
        local = self.num_devices // self.process_count

        def check(x):
            if x.shape[0] % local:
                raise ValueError(f"batch_size: {x.shape[0]} samples a process do not divide over "
                                 f"{local} devices; use a multiple of {local}")
            return x

        batch = jax.tree.map(check, batch)
        if self.mapping == "pmap":
            return jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)
        sharding = NamedSharding(self.mesh, P(AXIS))
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, x), batch)

    def fetch(self, tree: Any) -> Any:
        """Copy a replicated pytree to NumPy."""
        return jax.tree.map(np.asarray, jax.device_get(tree))


class _Programs(Mapping):
    """name -> result of a future, waited for when it is asked for."""

    def __init__(self, futures: dict):
        self._futures = futures

    def __getitem__(self, name):
        return self._futures[name].result()

    def __iter__(self):
        return iter(self._futures)

    def __len__(self):
        return len(self._futures)


def _abstract(x: jax.Array | np.ndarray) -> jax.ShapeDtypeStruct:
    """An array's shape, dtype and sharding: the array itself may be donated meanwhile."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))


def prefetch(batches: Iterable, runner: Runner, depth: int = 2) -> Iterator:
    """Put batches on the devices ahead of their use.

    Args:
      batches: iterable of NumPy pytrees, this process's part.
      runner: where they go.
      depth: batches in flight.

    Returns:
      Iterator over device batches, in the same order.

    Source: ours; the transfer is asynchronous.
    """
    queue: collections.deque = collections.deque()
    for batch in batches:
        queue.append(runner.put(batch))
        if len(queue) >= depth:
            yield queue.popleft()
    while queue:
        yield queue.popleft()
