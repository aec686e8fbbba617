"""Work on rows, such as generating or segmenting images, spread over all devices of all hosts.

Every host holds all rows and gets all results; a host works on an equal share of them. What fills
the last batch is thrown away, so no row counts twice, and a row's result does not depend on how
many devices or hosts there are. All hosts must call the same functions here in the same order.
"""

import concurrent.futures
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from usis_jax.distributed import liveness, padding
from usis_jax.distributed.mesh import AXIS


class Spread:
    """A compiled function of rows; each device works on at most `size` rows at once."""

    def __init__(self, function: Callable, size: int, devices: list | None = None):
        """Makes it; compiled at its first call, and when more rows come than ever before.

        Args:
          function: (variables, *rows [b, ...]) -> array [b, ...], each row of the result of the
            rows at its place only.
          size: most rows a device at once, at least 1.
          devices: of this host; default all.
        """
        self._size, self._devices = size, list(devices or jax.local_devices())
        self._each = 1
        mesh = Mesh(np.array(self._devices), (AXIS,))
        self._split, self._whole = NamedSharding(mesh, P(AXIS)), NamedSharding(mesh, P())
        mapped = jax.shard_map(
            lambda variables, rows: function(variables, *rows),
            mesh=mesh,
            in_specs=(P(), P(AXIS)),
            out_specs=P(AXIS),
            check_vma=False,
        )
        self._run = jax.jit(mapped)

    def place(self, variables):
        """Copies variables to this host's devices, so that several calls do it once."""
        return jax.device_put(variables, self._whole)

    def __call__(self, variables, *rows: np.ndarray, advance: Callable | None = None) -> np.ndarray:
        """Results of all rows.

        Args:
          variables: pytree, the same on all hosts.
          rows: arrays [N, ...], the same on all hosts, N at least 1.
          advance: called with the number of rows each time some are done, or None.

        Returns:
          [N, ...], on every host.
        """
        variables = self.place(variables)

        def own(*part):
            # Never fewer than before: fewer rows are filled up rather than compiled for.
            needed = min(self._size, -(-len(part[0]) // len(self._devices)))
            self._each = each = max(self._each, needed)
            places, found = np.arange(len(part[0])), []
            waiting = None
            for _, batch, count in padding.batches(places, each * len(self._devices)):
                given = jax.device_put(tuple(x[batch] for x in part), self._split)
                # Devices work on this batch while the one before is taken.
                result = self._run(variables, given), count
                if waiting is not None:
                    found.append(_taken(*waiting, advance))
                waiting = result
            return np.concatenate([*found, _taken(*waiting, advance)])

        return over_hosts(own, *rows)


def over_hosts(function: Callable, *rows: np.ndarray) -> np.ndarray:
    """Results of all rows, of which each host works on its share.

    Args:
      function: (*rows [n, ...]) -> array [n, ...] of 32 bits or fewer an element.
      rows: arrays [N, ...], the same on all hosts, N at least 1.

    Returns:
      [N, ...], on every host.
    """
    if jax.process_count() == 1:
        return function(*rows)
    number = len(rows[0])
    share = -(-number // jax.process_count())
    own = np.arange(share) + jax.process_index() * share
    found = function(*(x[np.minimum(own, number - 1)] for x in rows))
    liveness.meet()
    return np.asarray(multihost_utils.process_allgather(found, tiled=True))[:number]


def each_device(
    function: Callable, variables, rows: np.ndarray, size: int, advance: Callable | None = None
) -> np.ndarray:
    """Results of all rows by a function that cannot be compiled as a whole, a thread a device.

    Args:
      function: (variables, rows [size, ...]) -> array [size, ...].
      variables: pytree, the same on all hosts.
      rows: array [N, ...], the same on all hosts, N at least 1.
      size: rows of a batch.
      advance: as of `Spread`.

    Returns:
      [N, ...], on every host.
    """
    devices = jax.local_devices()
    placed: dict = {}

    def one(number, batch, count):
        device = devices[number % len(devices)]
        with jax.default_device(device):
            if device not in placed:
                placed[device] = jax.device_put(variables, device)
            return _taken(function(placed[device], batch), count, advance)

    def own(part):
        batches = [
            (number, batch, count)
            for number, (_, batch, count) in enumerate(padding.batches(part, size))
        ]
        first = one(*batches[0])
        with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
            return np.concatenate([first, *pool.map(lambda given: one(*given), batches[1:])])

    return over_hosts(own, rows)


def agreed(values: list[float]) -> list[float]:
    """The first host's values, on every host, so that all decide alike; as many on each. Ours."""
    if jax.process_count() == 1:
        return list(values)
    # Halves of each number: JAX would round 64 bits.
    halves = np.asarray(values, np.float64).view(np.uint32)
    liveness.meet()
    found = np.asarray(multihost_utils.broadcast_one_to_all(halves))
    return found.astype(np.uint32).view(np.float64).tolist()


def all_hosts(value: bool) -> bool:
    """Whether a value is true on all hosts."""
    if jax.process_count() == 1:
        return bool(value)
    liveness.meet()
    return bool(multihost_utils.process_allgather(np.array([value], np.uint8), tiled=True).all())


def _taken(result, count, advance):
    """The first `count` rows of a result, on the host."""
    found = np.asarray(result)[:count]
    if advance is not None:
        advance(count * jax.process_count())
    return found
