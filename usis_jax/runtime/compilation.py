"""Compiling a step before it is called."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from usis_jax.distributed import liveness
from usis_jax.runtime import host_memory


def compile_ahead(step: Any, state: Any, batch: Any) -> Callable:
    """Compile a mapped step before it is called.

    It is done beside this thread, which waits: so signals are heard meanwhile.

    Args:
      step: function from `mesh.Runner.compile`, or a `trace_cache.CachedStep`.
      state, batch: what it will be called with; left as they are.

    Returns:
      Compiled step; several processes wait for each other.

    Raises:
      What tracing or compiling raised.
    """
    state, batch = jax.tree.map(_abstract, (state, batch))

    def compiled():
        try:
            with host_memory.collected_later():
                lowered = step.lower(state, batch)
            return lowered.compile()
        finally:
            host_memory.give_back()

    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="compile")
    made = pool.submit(compiled)
    pool.shutdown(wait=False)
    program = made.result()
    liveness.meet()
    return program


def _abstract(x: jax.Array | np.ndarray) -> jax.ShapeDtypeStruct:
    """An array's shape, dtype and sharding: the array itself may be donated meanwhile."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))
