"""Devices and hosts: where the state lives, how a step is mapped, how batches get there."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from usis_jax.distributed import jax_environment, liveness
from usis_jax.errors import UserError

AXIS = "batch"


def initialize(
    address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    join_seconds: int = 300,
    lost_seconds: int = 60,
) -> None:
    """Join the other processes of a run, where there are some.

    What is not given is read from COORDINATOR_ADDRESS, NUM_PROCESSES and PROCESS_ID (or, for the
    last, Kubernetes' JOB_COMPLETION_INDEX). With the address "auto", or USIS_DISTRIBUTED=1, JAX
    finds all three itself (TPU pods, Slurm, Open MPI). Does nothing where there is no address, or
    when called again.

    Args:
      address: HOST:PORT of process 0, or "auto".
      num_processes: number of processes.
      process_id: this process, from 0.
      join_seconds: how long to wait for the others at the start.
      lost_seconds: silence after which another process is taken for gone, which ends this one.

    Raises:
      UserError: only some of the three are given, they are no numbers, joining failed, or there
        are no devices of the kind that JAX_PLATFORMS asks for.
    """
    if not jax.distributed.is_initialized():
        _join_others(address, num_processes, process_id, join_seconds, lost_seconds)
    jax_environment.check_devices()


def _join_others(address, num_processes, process_id, join_seconds, lost_seconds) -> None:
    """`initialize`, where that was not done before."""
    given = {
        "COORDINATOR_ADDRESS": address,
        "NUM_PROCESSES": num_processes,
        "PROCESS_ID": process_id,
    }
    given = {
        name: str(os.environ.get(name, "") if value is None else value)
        for name, value in given.items()
    }
    if given["COORDINATOR_ADDRESS"] and not given["PROCESS_ID"]:
        given["PROCESS_ID"] = os.environ.get("JOB_COMPLETION_INDEX", "")
    if address == "auto" or (os.environ.get("USIS_DISTRIBUTED") == "1" and not any(given.values())):
        _join({}, join_seconds, lost_seconds)
        return
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return
    if missing:
        names = ", ".join(name for name in given if name not in missing)
        raise UserError(
            f"{names} set but not {', '.join(missing)}: set all three or none (or "
            "--coordinator_address, --num_processes, --process_id)"
        )
    _join(_checked(*given.values()), join_seconds, lost_seconds)


def _checked(address: str, count: str, index: str) -> dict:
    """Arguments of jax.distributed.initialize."""
    if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
        raise UserError(
            f"NUM_PROCESSES is {count!r} and PROCESS_ID {index!r}; they must be whole "
            "numbers, the second from 0 to the first less 1"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"COORDINATOR_ADDRESS is {address!r}; it must be HOST:PORT of process 0, "
            "for example 10.0.0.1:1234"
        )
    values = {"coordinator_address": address, "num_processes": int(count), "process_id": int(index)}
    if host in ("127.0.0.1", "localhost"):  # listen where asked, not on every network
        values["coordinator_bind_address"] = address
    return values


def _join(values: dict, join_seconds: int, lost_seconds: int) -> None:
    """Join, and watch the others from then on."""
    count = values.get("num_processes", "all")
    where = values.get("coordinator_address", "the address that JAX found")
    liveness.say_at_abort(
        f"not all of the {count} processes came together at {where} within {join_seconds} s: start "
        "the same command on every host, with process ids from 0 and an address they all reach"
    )
    try:
        jax.distributed.initialize(
            **values,
            initialization_timeout=join_seconds,
            # The watch of our own comes first, with a line that names who is gone.
            heartbeat_timeout_seconds=3 * lost_seconds,
            shutdown_timeout_seconds=lost_seconds,
        )
    except (RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"cannot join the other processes at {where}: {first}") from None
    # JAX has no public name for the client of its coordination service.
    state = multihost_utils.distributed.global_state
    if state.num_processes > 1:
        liveness.watch(state.client, state.process_id, state.num_processes, lost_seconds)


def mean(tree: Any, axis_name: str = AXIS) -> Any:
    """Mean over the devices of a named axis, where there is more than one.

    Args:
      tree: pytree of arrays.
      axis_name: name of the axis that the calling function is mapped over.

    Returns:
      A pytree of the same structure. On one device it is `tree` itself: XLA's sum over one CPU
      device waits for all of its terms and copies them.
    """
    return jax.lax.pmean(tree, axis_name) if jax.lax.axis_size(axis_name) > 1 else tree


def smallest(value: int) -> int:
    """The smallest of the values that the processes give; all must call it."""
    if jax.process_count() == 1:
        return value
    liveness.meet()
    return int(np.min(multihost_utils.process_allgather(np.asarray(value))))


def is_first() -> bool:
    """Whether this is the process that writes and prints for all."""
    return jax.process_index() == 0


class Runner:
    """Maps a per-device step over all devices; the state is one replicated copy.

    With mapping "shard_map" the step is `jax.jit(jax.shard_map(...))` over all hosts' devices; with
    "pmap" it is `jax.pmap`, for one host.
    """

    def __init__(self, mapping: str = "shard_map", devices: list | None = None):
        """Args: mapping: "shard_map" or "pmap"; devices: default all.

        Raises:
          UserError: unknown mapping, or pmap with more than one process.
        """
        if mapping not in ("shard_map", "pmap"):
            raise UserError(f"mapping is {mapping!r}; it must be shard_map or pmap")
        if mapping == "pmap" and jax.process_count() > 1:
            raise UserError("mapping is pmap, which serves one process; use mapping=shard_map")
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
        if self.mapping == "pmap":
            donated = (0,) if donate else ()
            return jax.pmap(
                step,
                axis_name=AXIS,
                in_axes=(None, 0),
                out_axes=(None, None),
                devices=self.devices,
                donate_argnums=donated,
            )
        return self.jit(self.map(step), donate)

    def map(self, step: Callable) -> Callable:
        """A per-device function as one of replicated state and whole batch, by shard_map."""
        return jax.shard_map(
            step, mesh=self.mesh, in_specs=(P(), P(AXIS)), out_specs=(P(), P()), check_vma=False
        )

    def jit(self, mapped: Callable, donate: bool = True) -> Callable:
        """`jax.jit` of a mapped step with the compiler's options of these devices.

        On CPUs operations are put in the order that takes the least memory, instead of spreading
        what can run at once, for half of the temporary memory (measured). It is as fast: the
        operations themselves use all cores.
        """
        options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
        options = options if self.devices[0].platform == "cpu" else {}
        return jax.jit(mapped, donate_argnums=(0,) if donate else (), compiler_options=options)

    def place(self, tree: Any) -> Any:
        """Copy a host pytree to every device, as one replicated pytree.

        JAX arrays that lie on a device of this process are taken over there, not copied: a step
        that the result is given to takes their memory too.
        """
        if self.mapping == "pmap":
            return jax.tree.map(jax.numpy.array, tree)
        sharding = NamedSharding(self.mesh, P())
        local = [device for device in self.devices if device.process_index == self.process_index]

        def copied(x):
            copies = [jax.device_put(x, device) for device in local]
            return jax.make_array_from_single_device_arrays(x.shape, sharding, copies)

        return jax.tree.map(copied, tree)

    def put(self, batch: Any) -> Any:
        """Split this process's part of a batch (NumPy, [b, ...]) over its devices.

        Raises:
          UserError: b is not a multiple of the number of this process's devices.
        """
        local = self.num_devices // self.process_count

        def check(x):
            if x.shape[0] % local:
                raise UserError(
                    f"batch_size: {x.shape[0]} samples a process do not divide over "
                    f"{local} devices; use a multiple of {local}"
                )
            return x

        batch = jax.tree.map(check, batch)
        if self.mapping == "pmap":
            return jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)
        sharding = NamedSharding(self.mesh, P(AXIS))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)

    def fetch(self, tree: Any) -> Any:
        """Copy a replicated pytree to NumPy."""
        return jax.tree.map(np.asarray, jax.device_get(tree))


def prefetch(batches: Iterable, runner: Runner, depth: int = 2) -> Iterator:
    """Put batches on the devices ahead of their use.

    Args:
      batches: iterable of NumPy pytrees, this process's part.
      runner: where they go.
      depth: batches in flight.

    Returns:
      Iterator over device batches, in the same order.
    """
    queue: collections.deque = collections.deque()
    for batch in batches:
        queue.append(runner.put(batch))
        if len(queue) >= depth:
            yield queue.popleft()
    while queue:
        yield queue.popleft()
