"""Sections of settings: frozen dataclasses whose fields check their own type and range."""

import dataclasses
import difflib
import math
import numbers
import os
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from usis_jax.errors import UserError

S = TypeVar("S", bound="Section")


def limited(
    default: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple | None = None,
    path: str | None = None,
) -> Any:
    """A dataclass field with the range that its value, or each number of a tuple, must lie in.

    Args:
      default: value of the field when none is given.
      at_least: smallest value allowed.
      at_most: largest value allowed.
      below: value that must not be reached.
      choices: the values allowed.
      path: of a text that names a file or folder, which of the two: a kind of `paths.of`.

    Returns:
      A dataclasses field that carries its limits as metadata.
    """
    limits = {
        "at_least": at_least,
        "at_most": at_most,
        "below": below,
        "choices": choices,
        "path": path,
    }
    return dataclasses.field(default=default, metadata=limits)


@dataclasses.dataclass(frozen=True)
class Section:
    """Base of the frozen dataclasses of settings; lists become tuples, integers become floats."""

    prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        types = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            name, value = self.prefix + field.name, getattr(self, field.name)
            value = _typed(name, value, types[field.name])
            _check_limits(name, value, field.metadata)
            object.__setattr__(self, field.name, value)


def from_dict(cls: type[S], values: dict[str, Any]) -> S:
    """A section of a nested dict.

    Args:
      cls: subclass of Section.
      values: field name -> value, or -> dict for a section inside; missing fields keep their
        default.

    Returns:
      An instance of `cls`.

    Raises:
      UserError: a field is unknown, or its value has the wrong type or is out of range.
    """
    types = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    made = {}
    for name, value in values.items():
        if name not in known:
            raise UserError(unknown_field(cls.prefix + name, [cls.prefix + n for n in known]))
        if value is None and types[name] is str and not getattr(cls, name, None):
            continue  # None for an empty text, which is what "none" is written as here
        if dataclasses.is_dataclass(types[name]):
            if not isinstance(value, dict):
                raise UserError(
                    f"{cls.prefix}{name} is {value!r}; it must be a group of fields such as "
                    f"{name}.{dataclasses.fields(types[name])[0].name}"
                )
            value = from_dict(types[name], value)
        made[name] = value
    return cls(**made)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dict as a flat one with dotted names, such as `data.height`."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def paths_of(cls: Any, prefix: str = "") -> dict[str, str]:
    """Dotted name of each field that names a file or folder -> the kind that it must be."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            found |= paths_of(field.type, f"{prefix}{field.name}.")
        elif field.metadata.get("path"):
            found[prefix + field.name] = field.metadata["path"]
    return found


def unknown_field(name: str, known: list[str]) -> str:
    """One line that says that a field does not exist and names the nearest ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    last = name.rsplit(".", 1)[-1]
    near += [full for full in known if full.rsplit(".", 1)[-1] == last and full not in near]
    if not near:
        ends = {full.rsplit(".", 1)[-1]: full for full in known}
        near = [ends[end] for end in difflib.get_close_matches(last, ends, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"fields are {', '.join(known)}"
    return f"there is no field {name}; {hint}"


def _typed(name: str, value: Any, kind: type) -> Any:
    """The value as `kind`, or a ValueError that says what it must be."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        value = str(value)  # of np.str_ and of enumerations of texts, the text alone
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if not isinstance(value, tuple | list):
            raise UserError(f"{name} is {value!r}; it must be a tuple such as (1, 2, 3)")
        return tuple(_typed(f"{name}[{i}]", part, item) for i, part in enumerate(value))
    if kind is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
        raise UserError(f"{name} is {value!r}; it must be finite")
    if value is None:
        raise UserError(f"{name} is None; it must be {_describe(kind)}, or leave the field out")
    if kind in (int, float) or not isinstance(value, kind):
        raise UserError(f"{name} is {value!r}; it must be {_describe(kind)}")
    return value


def _describe(kind: type) -> str:
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
    return words.get(kind, f"a {kind.__name__}")


def _check_limits(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        choices = limits.get("choices")
        if choices and part not in choices:
            raise UserError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
        for key, words, bad in (
            ("at_least", "at least", lambda x, limit: x < limit),
            ("at_most", "at most", lambda x, limit: x > limit),
            ("below", "less than", lambda x, limit: x >= limit),
        ):
            if limits.get(key) is not None and bad(part, limits[key]):
                raise UserError(f"{name} is {value!r}; it must be {words} {limits[key]}")
