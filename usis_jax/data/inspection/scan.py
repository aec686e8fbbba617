"""Looking at every file of a folder: in several processes, in order, a few files at a time."""

import collections
import concurrent.futures
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence

# Below this many files a process takes longer to start than it saves.
_FILES_FOR_A_PROCESS = 200
_CHUNK = 8


def scan(function: Callable, items: Sequence, processes: int = 0) -> Iterator:
    """Yields function(item) for each item, in order; only a few results wait at any time.

    Args:
      function: a function of a module, so that other processes find it.
      items: what to call it with.
      processes: how many at once; 0 = one a core, and none besides this one for few items.

    Yields:
      Results.
    """
    count = processes or min(_cores(), len(items) // _FILES_FOR_A_PROCESS)
    if count <= 1:
        yield from map(function, items)
        return
    chunks = iter([(function, items[i : i + _CHUNK]) for i in range(0, len(items), _CHUNK)])
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, context) as pool:
        pending = collections.deque(
            pool.submit(_run, *chunk) for chunk in itertools.islice(chunks, 4 * count)
        )
        try:
            while pending:
                yield from pending.popleft().result()
                for chunk in itertools.islice(chunks, 1):
                    pending.append(pool.submit(_run, *chunk))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run(function, items) -> list:
    return [function(item) for item in items]


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
