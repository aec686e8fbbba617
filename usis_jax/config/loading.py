"""Configuration files and `--config.field=value` on the command line."""

import ast
import importlib.util
import inspect
import pathlib
import re
import sys
from typing import Any

import ml_collections

from usis_jax.config import config_dicts, constraints, settings
from usis_jax.errors import UserError
from usis_jax.storage import paths

# As absl and YAML write them.
_TRUE = ("true", "yes", "on", "t", "y", "1")
_FALSE = ("false", "no", "off", "f", "n", "0")
_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def bundled_configs() -> pathlib.Path:
    """Folder of the configurations that come with usis_jax: of the clone, or of the package."""
    clone = _PACKAGE.parent / "configs"
    return clone if (clone / "base.py").is_file() else _PACKAGE / "configs"


def find_config(name: str) -> pathlib.Path:
    """Path of a configuration file.

    Args:
      name: path, relative to the current folder; or name of one that comes with usis_jax, such as
        configs/quickstart.py, quickstart.py or quickstart.

    Returns:
      Path of an existing file.

    Raises:
      UserError: there is no such file.
    """
    bundled = bundled_configs()
    file = name if name.endswith(".py") else f"{name}.py"
    inside = file.removeprefix("configs/")
    for path in (paths.of(name, "--config"), bundled / inside):
        if path.is_file():
            return path
    known = sorted(str(path.relative_to(bundled)) for path in bundled.rglob("[!_]*.py"))
    raise UserError(
        f"there is no configuration {name}; give the path of a file, or one of "
        + ", ".join(f"configs/{path}" for path in known)
    )


def load_config(name: str) -> ml_collections.ConfigDict:
    """ConfigDict of a configuration file.

    Args:
      name: as for `find_config`; or FILE:ARG, whose `get_config` is called with the text ARG. The
        file may say `from configs import base` wherever it lies.

    Returns:
      What its `get_config()` returns; a copy where that is frozen.

    Raises:
      UserError: there is no such file, or it has no `get_config` or no ConfigDict in it.
    """
    path, argument = _split_argument(name)
    _make_importable(bundled_configs())
    spec = importlib.util.spec_from_file_location("_usis_config", path)
    if spec is None or spec.loader is None:
        raise UserError(f"configuration {path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = _called(path, getattr(module, "get_config", None), argument)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"configuration {path} fails: {type(error).__name__}: {error}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f"configuration {path} must have get_config() that returns an ml_collections.ConfigDict"
        )
    return config_dicts.thawed(config)


def _split_argument(name: str) -> tuple[pathlib.Path, str | None]:
    """Path of a configuration, and what stands behind a colon, as ml_collections has it."""
    file, colon, argument = name.rpartition(":")
    if not colon or pathlib.Path(name).is_file():
        return find_config(name), None
    return find_config(file), argument


def _called(path: pathlib.Path, get_config: Any, argument: str | None) -> Any:
    """What a configuration's `get_config` returns; None where there is none to call."""
    if not callable(get_config):
        return None
    given = () if argument is None else (argument,)
    try:
        inspect.signature(get_config).bind(*given)
    except TypeError as error:
        what = (
            "takes no argument; leave out what follows the colon"
            if given
            else (f"needs one; write --config={path}:VALUE")
        )
        raise UserError(f"get_config of configuration {path}: {error}; it {what}") from None
    return get_config(*given)


def apply(config: ml_collections.ConfigDict, overrides: list[tuple[str, str]]) -> None:
    """Changes fields of a configuration in place.

    Args:
      config: the configuration.
      overrides: pairs of dotted field name and text, such as ("data.height", "64"); the text is
        read as the type that the field has.

    Raises:
      UserError: a field does not exist, or its text cannot be read as the field's type.
    """
    defaults = settings.flatten(settings.Settings())
    known = list(dict.fromkeys([*defaults, *config_dicts.names(config)]))
    for name, text in overrides:
        if name not in known:
            inside = [field for field in known if field.startswith(f"{name}.")]
            if inside:
                raise UserError(f"{name} is a group of fields; set one of {', '.join(inside)}")
            raise UserError(constraints.unknown_field(name, known))
        config_dicts.put(config, name, parse(name, text, defaults.get(name, "")))


def parse(name: str, text: str, current: object) -> object:
    """A text as a value of the type of the current one.

    Args:
      name: field name, for the error.
      text: what was typed; a tuple is (1, 2, 3) or 1,2,3; a bool true, false, yes, no, on, off, t,
        f, y, n, 1 or 0; a whole number may have underscores or an exponent, such as 1e5.
      current: value that the field has now.

    Returns:
      Value of the same type as `current`.

    Raises:
      UserError: the text cannot be read as that type.
    """
    if isinstance(current, bool):
        word = text.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise UserError(f"{name} is {text!r}; it must be true or false")
    if isinstance(current, int):
        return _whole(name, text)
    if isinstance(current, float):
        try:
            return float(text)
        except ValueError:
            raise UserError(f"{name} is {text!r}; it must be a number") from None
    if isinstance(current, tuple | list):
        return _tuple(name, text)
    return text


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]{1,2}", text) and float(text).is_integer():
        return int(float(text))
    raise UserError(f"{name} is {text!r}; it must be a whole number")


def _tuple(name: str, text: str) -> tuple:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        value = None
    value = (value,) if isinstance(value, int | float) else value
    if not isinstance(value, tuple | list):
        raise UserError(f"{name} is {text!r}; it must be numbers such as 1,2,3")
    return tuple(value)


def _make_importable(folder: pathlib.Path) -> None:
    """Makes `configs` the folder's package, whatever else of that name is on the path."""
    loaded = sys.modules.get("configs")
    if loaded and pathlib.Path(loaded.__file__ or "").parent == folder:
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "configs"]:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        "configs", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None  # a folder's __init__.py has both
    sys.modules["configs"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
