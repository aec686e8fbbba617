"""Random keys of samples: each follows from the sample's number, not from its device."""

import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.distributed.mesh import AXIS


def of_numbers(key: Array, numbers: Array) -> Array:
    """A key for each number, such as that of a label map: key, int [n] -> [n] keys."""
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)


def sample_keys(key: Array, batch: int, axis_name: str | None = AXIS) -> Array:
    """A key for each sample of this device, by its index in the whole batch.

    Args:
      key: one random key.
      batch: samples on this device.
      axis_name: devices' axis, or None.

    Returns:
      [batch] keys; N devices draw what one device would draw for the whole batch.
    """
    start = jax.lax.axis_index(axis_name) * batch if axis_name else 0
    return of_numbers(key, start + jnp.arange(batch))
