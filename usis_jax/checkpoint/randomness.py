"""Seeds, and what JAX draws from them: recorded in checkpoints, and compared by name.

One seed gives other numbers with another implementation of random keys, and a state that was
trained with 32 bits is another one with 64.
"""

from typing import Any

import jax
import numpy as np

from usis_jax.errors import UserError

MOST_SEED = 2**32 - 1
"""JAX takes 32 bits of a seed without 64-bit numbers; larger ones would silently be others."""

_VARIABLES = {
    "jax_default_prng_impl": "JAX_DEFAULT_PRNG_IMPL",
    "jax_threefry_partitionable": "JAX_THREEFRY_PARTITIONABLE",
    "jax_enable_x64": "JAX_ENABLE_X64",
}
# Words of a raw key, where a checkpoint was written before it said which implementation.
_BY_WORDS = {2: ("threefry2x32",), 4: ("rbg", "unsafe_rbg")}


def check_seed(seed: int, name: str = "seed") -> int:
    """The seed as an int.

    Raises:
      UserError: it is no whole number from 0 to MOST_SEED; the message has `name` and the value.
    """
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= MOST_SEED:
        raise UserError(f"{name} is {seed!r}; it must be a whole number from 0 to {MOST_SEED}")
    return int(seed)


def described() -> dict[str, Any]:
    """JAX's flags that decide what a seed gives, by their names in jax.config."""
    return {name: getattr(jax.config, name) for name in _VARIABLES}


def check(meta: dict, source: str, key: Any = None) -> None:
    """Checks that this process draws as the one that wrote a checkpoint.

    Args:
      meta: of the checkpoint; older ones do not say.
      source: what it is, for the message, such as "checkpoint 4 of runs/a".
      key: raw key of its training state, from which older ones can tell; or None.

    Raises:
      UserError: a flag differs; the message names it, both values and what to set.
    """
    own, kept = described(), dict(meta.get("random") or {})
    if not kept and key is not None:
        known = _BY_WORDS.get(int(np.shape(key)[-1]), ())
        if known and own["jax_default_prng_impl"] not in known:
            kept = {"jax_default_prng_impl": known[0]}
    for name, variable in _VARIABLES.items():
        if name in kept and kept[name] != own[name]:
            value = str(kept[name]).lower() if isinstance(kept[name], bool) else kept[name]
            raise UserError(
                f"{source} was made with {name}={kept[name]!r} and this process has "
                f"{own[name]!r}, so its random numbers would be others; set {variable}={value}"
            )
