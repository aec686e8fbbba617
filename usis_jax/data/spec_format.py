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
import tomllib

_KEYS = {"name", "void", "flip_pairs", "classes"}
_CLASS_KEYS = {"name", "ids", "colour", "file_colours"}


def read(path: pathlib.Path) -> dict:
    """Content of a spec file; ValueError, naming it, where it does not parse."""
    if path.suffix not in (".toml", ".yaml", ".yml", ".json"):
        raise ValueError(f"label spec {path}: its name must end in .toml, .yaml, .yml or .json")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            content = tomllib.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            content = _yaml().safe_load(text)
        else:
            content = json.loads(text)
    except (ValueError, OSError, _yaml().YAMLError) as error:
        raise ValueError(f"label spec {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"label spec {path} must hold `name` and `classes`")
    return content


def write(content: dict, path: pathlib.Path) -> None:
    """Writes a spec's dict in the format that the path's suffix says."""
    if path.suffix == ".json":
        text = json.dumps(content, indent=1)
    elif path.suffix in (".yaml", ".yml"):
        text = _yaml().safe_dump(content, sort_keys=False)
    elif path.suffix == ".toml":
        text = _toml(content)
    else:
        raise ValueError(f"label spec {path} must end in .toml, .yaml, .yml or .json")
    path.write_text(text, encoding="utf-8")


def fields(content: dict) -> dict:
    """Arguments of LabelSpec from the dict of a spec file; ValueError where it has no sense."""
    unknown = set(content) - _KEYS
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}; known are {sorted(_KEYS)}")
    classes = content.get("classes") or []
    if not classes:
        raise ValueError("`classes` is missing or empty")
    classes = [{"name": c} if isinstance(c, str) else c for c in classes]
    for entry in classes:
        wrong = set(entry) - _CLASS_KEYS
        if wrong or "name" not in entry:
            raise ValueError(
                f"class {entry} must have a name and may have `ids`, `colour` and `file_colours`"
            )
    names = [str(entry["name"]) for entry in classes]

    def position(value):
        if isinstance(value, str):
            if value not in names:
                raise ValueError(f"{value!r} is not one of the classes {names}")
            return names.index(value)
        return int(value)

    palette = [entry["colour"] for entry in classes if "colour" in entry]
    if palette and len(palette) != len(classes):
        raise ValueError("either each class has a `colour` or none has")
    void = content.get("void")
    return {
        "name": str(content.get("name", "custom")),
        "classes": tuple(names),
        "palette": palette,
        "void": None if void is None else position(void),
        "file_ids": [(i, k) for k, entry in enumerate(classes) for i in entry.get("ids", [k])],
        "file_colours": [
            (c, k) for k, entry in enumerate(classes) for c in entry.get("file_colours", [])
        ],
        "flip_pairs": [tuple(map(position, pair)) for pair in content.get("flip_pairs", [])],
    }


def _yaml():
    import yaml

    return yaml


def _toml(content: dict) -> str:
    """TOML text of a spec's dict; JSON's strings, numbers and lists are TOML's as well."""
    top = [f"{k} = {json.dumps(v)}" for k, v in content.items() if k != "classes"]
    for entry in content["classes"]:
        top += ["", "[[classes]]"] + [f"{k} = {json.dumps(v)}" for k, v in entry.items()]
    return "\n".join(top) + "\n"
