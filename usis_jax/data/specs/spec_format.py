"""Files of label specs: TOML, YAML or JSON with the class list and what files call each class.

name = "streets"
void = "unknown"                        # optional: a class by name or position
flip_pairs = [["left eye", "right eye"]]  # optional: classes that mirroring exchanges

[[classes]]
name = "road"
ids = [7, 8]                            # optional: ids in label files; else the position
colour = [128, 64, 128]                 # optional, but then each class must have one
file_colours = [[128, 64, 128]]         # optional: colours in label files that are colour images;
                                        # else the colour; once given, colours without are unknown
"""

import json
import pathlib
import re
import reprlib
import tomllib

from usis_jax.data.specs import foreign
from usis_jax.data.specs import yaml as yaml_lib
from usis_jax.errors import UserError
from usis_jax.storage import atomic, texts

_KEYS = {"name", "void", "flip_pairs", "classes"}
_CLASS_KEYS = {"name", "ids", "colour", "file_colours"}
_LARGEST = 2**18
_DEEP_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++\s*+\.\s*+){20}")


def read(path: pathlib.Path) -> dict:
    """Content of a spec file.

    Raises:
      UserError: it does not parse, is too large or nested too deep, or is YAML with references,
        in which a short text can stand for an endless one; the message names it.
    """
    suffix = path.suffix.lower()
    if suffix not in foreign.SUFFIXES:
        raise UserError(foreign.of_name(path))
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise UserError(f"it has {size} bytes; at most {_LARGEST} are read")
        text = texts.decode(path.read_bytes(), "it")
        if suffix == ".toml":
            if _DEEP_KEY.search(text):  # tomllib takes minutes for keys of very many parts
                raise RecursionError
            content = tomllib.loads(text)
        elif suffix in (".yaml", ".yml"):
            content = yaml_lib.parse(text)
        else:
            content = texts.parse_json(text, "it")
    except (ValueError, OSError) as error:
        raise UserError(f"label spec {path}: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise UserError(f"label spec {path}: it is nested too deep") from None
    if not isinstance(content, dict):
        raise UserError(f"label spec {path} must hold `name` and `classes`")
    return content


def write(content: dict, path: pathlib.Path) -> None:
    """Writes a spec's dict in the format that the path's suffix says."""
    import yaml

    if path.suffix == ".json":
        text = json.dumps(content, indent=1)
    elif path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(content, sort_keys=False)
    elif path.suffix == ".toml":
        text = _toml(content)
    else:
        raise UserError(f"label spec {path} must end in .toml, .yaml, .yml or .json")
    atomic.write_text(path, text)


def fields(content: dict) -> dict:
    """Arguments of LabelSpec from the dict of a spec file; ValueError where it has no sense."""
    unknown = set(content) - _KEYS
    if unknown:
        raise UserError(
            f"unknown key {min(map(str, unknown))!r}; known are "
            f"{', '.join(sorted(_KEYS))}{foreign.of_keys(content)}"
        )
    classes = content.get("classes") or []
    if not classes or not isinstance(classes, list):
        raise UserError("`classes` is missing or empty; it must be a list")
    classes = [{"name": c} if isinstance(c, str) else c for c in classes]
    for entry in classes:
        if not isinstance(entry, dict) or set(entry) - _CLASS_KEYS or "name" not in entry:
            raise UserError(
                f"class {_short(entry)} must have a name and may have `ids`, `colour` and "
                "`file_colours`"
            )
    names = [_text(entry["name"], "name of a class") for entry in classes]

    def position(value):
        if isinstance(value, str):
            if value not in names:
                raise UserError(f"{value!r} is not one of the classes {names}")
            return names.index(value)
        return _whole(value, "class by position")

    palette = [_wholes(entry["colour"], "colour") for entry in classes if "colour" in entry]
    if palette and len(palette) != len(classes):
        raise UserError("either each class has a `colour` or none has")
    void = content.get("void")
    return {
        "name": _text(content.get("name", "custom"), "name"),
        "classes": tuple(names),
        "palette": palette,
        "void": None if void is None else position(void),
        "file_ids": [
            (i, k) for k, entry in enumerate(classes)
            for i in _wholes(entry.get("ids", [k]), "ids")
        ],
        "file_colours": [
            (_wholes(c, "file_colours"), k) for k, entry in enumerate(classes)
            for c in _list(entry.get("file_colours", []), "file_colours")
        ],
        "flip_pairs": [
            tuple(map(position, _list(pair, "flip_pairs")))
            for pair in _list(content.get("flip_pairs", []), "flip_pairs")
        ],
    }  # fmt: skip


def _text(value, what) -> str:
    """A word as a spec has it; YAML reads some words, such as 7 and no, as others than texts."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):  # as `no` in YAML
        raise UserError(f"{what} is {_short(value)}; it must be a text in quotation marks")
    if not str(value).strip():
        raise UserError(f"{what} is empty; it must be a text")
    if not str(value).isprintable():
        raise UserError(f"{what} is {_short(value)}; it must be one line of printable characters")
    return str(value)


def _whole(value, what) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{what} is {_short(value)}; it must be a whole number")
    return value


def _list(value, what) -> list:
    if not isinstance(value, list | tuple):
        raise UserError(f"`{what}` is {_short(value)}; it must be a list")
    return value


def _wholes(value, what) -> list[int]:
    return [_whole(number, f"`{what}`") for number in _list(value, what)]


def _short(value, length: int = 80) -> str:
    """The value as text, its start where it is long."""
    text = reprlib.repr(value)
    return text if len(text) <= length else f"{text[:length]} ..."


def _toml(content: dict) -> str:
    """TOML text of a spec's dict."""
    top = [f"{k} = {toml_value(v)}" for k, v in content.items() if k != "classes"]
    for entry in content["classes"]:
        top += ["", "[[classes]]"] + [f"{k} = {toml_value(v)}" for k, v in entry.items()]
    return "\n".join(top) + "\n"


def toml_value(value) -> str:
    """A text, number or list in TOML.

    JSON's are TOML's as well, but for characters beyond 65535, which JSON escapes in halves, and
    the one control character that it leaves as it is.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
