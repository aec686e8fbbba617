"""Methods that `train` drives, one module each, with their losses, optimisers and states."""

import importlib

from usis_jax.config import schema
from usis_jax.errors import UserError


def get(name: str):
    """The method of a name, as `config.method.name` has it.

    Args:
      name: one of `schema.METHODS`: the module of that name here holds it as METHOD.

    Returns:
      method.Method.

    Raises:
      UserError: there is none of that name.
    """
    if name not in schema.METHODS:
        raise UserError(f"method.name is {name!r}; it must be one of {', '.join(schema.METHODS)}")
    return importlib.import_module(f"{__name__}.{name}").METHOD
