"""ml_collections' configurations as plain dicts: placeholders, references and frozen ones too."""

from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from usis_jax.errors import UserError

_GROUPS = (Mapping, ml_collections.ConfigDict)
_UNSET = object()


def plain(config: Mapping, prefix: str = "") -> dict[str, object]:
    """A configuration as nested dicts of values.

    Args:
      config: ConfigDict, FrozenConfigDict or dict, with any of them inside.
      prefix: of the names in errors, such as "data.".

    Returns:
      Dicts without references; a placeholder that was never set is left out, so that the field has
      its default.

    Raises:
      UserError: a required placeholder was never set.
    """
    found: dict[str, object] = {}
    for name in config:
        value = _value(config, name, prefix)
        if isinstance(value, _GROUPS):
            found[name] = plain(value, f"{prefix}{name}.")
        elif value is not _UNSET:
            found[name] = value
    return found


def names(config: Mapping, prefix: str = "") -> list[str]:
    """Dotted names of all fields, also of those that are required and not set."""
    found = []
    for name in config:
        value = _value(config, name, prefix, required=False)
        inside = isinstance(value, _GROUPS)
        found += names(value, f"{prefix}{name}.") if inside else [f"{prefix}{name}"]
    return found


def put(config: ml_collections.ConfigDict, name: str, value: object) -> None:
    """Sets a field by its dotted name, in place; references to it change with it.

    Args:
      config: the configuration; groups that it lacks are made.
      name: such as "data.height".
      value: value of the field's type.

    Raises:
      UserError: something on the way is a value, not a group of fields.
    """
    *groups, last = name.split(".")
    node = config
    for depth, group in enumerate(groups):
        if group not in node:
            with node.unlocked():
                node[group] = ml_collections.ConfigDict()
        node = node[group]
        if not isinstance(node, ml_collections.ConfigDict):
            whole = ".".join(groups[: depth + 1])
            raise UserError(f"{whole} is {node!r}; it must be a group of fields")
    with node.unlocked(), node.ignore_type():
        node[last] = value


def thawed(config: Mapping) -> ml_collections.ConfigDict:
    """A configuration whose fields may be set: itself, or a copy where it is frozen or a dict."""
    if isinstance(config, ml_collections.FrozenConfigDict):
        return ml_collections.ConfigDict(config)
    if isinstance(config, ml_collections.ConfigDict):
        free: ml_collections.ConfigDict = config
    else:
        free = ml_collections.ConfigDict(dict(config))
    for name in list(free):
        value = _value(free, name, "", required=False)
        if isinstance(value, _GROUPS) and (fresh := thawed(value)) is not value:
            with free.unlocked(), free.ignore_type():
                free[name] = fresh
    return free


def _value(config: Mapping, name: str, prefix: str, required: bool = True) -> Any:
    """Value of a field; _UNSET of a placeholder that was not set."""
    try:
        value = config[name]
    except config_dict.RequiredValueError:
        if not required:
            return _UNSET
        raise UserError(
            f"{prefix}{name} is required and has no value; give --config.{prefix}{name}=VALUE, or "
            "set it in the configuration"
        ) from None
    if isinstance(value, config_dict.FieldReference):  # in plain dicts, which do not resolve them
        value, kind = value.get(), value.get_type()
    else:
        kind = config.get_type(name) if hasattr(config, "get_type") else type(value)
    return _UNSET if value is None and kind is not type(None) else value
