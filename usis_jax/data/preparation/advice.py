"""What to run where prepared data are missing, lack a split or are damaged."""

import os
import pathlib
import re

from usis_jax.config import settings as settings_lib
from usis_jax.config import suggestions
from usis_jax.data.preparation import locations
from usis_jax.storage import texts

DIR = "YOUR_DIR"
_PLACE = re.compile(r"(photos|labels)_([0-9]+)x([0-9]+)")
_PUBLISHED = ("camvid", "faces", "cityscapes", "ade20k", "coco_stuff", "gta5", "kitti")
# Networks of any size, for settings that are about data only.
_NETWORKS = {
    "generator": {"multipliers": (1, 1)}, "segmenter": {"down": (1,), "up": (1,)},
    "discriminator": {"name": "patch", "patch": 8}, "decoder": {"name": "none"},
}  # fmt: skip


def command(settings, name: str, overwrite: bool = False, fields=()) -> str:
    """The `usis prepare` command that prepares a data set.

    Args:
      settings: Settings whose data are wanted.
      name: name of the data set.
      overwrite: whether it is there and must be built again.
      fields: as of `suggestions.prepare`.

    Returns:
      The command with the caller's own --config and fields, and with the folders that the data set
      was prepared from before; where those are not known, YOUR_DIR stands in their place.
    """
    if name == "scenes":
        options, fields = {}, [*fields, *(() if overwrite else _counts(settings))]
    else:
        options = _files(locations.directory(settings), name)
    return suggestions.prepare(settings, fields, **options, overwrite=overwrite)


def again(path: str | os.PathLike, settings=None) -> str:
    """The command that builds a prepared data set in a folder of `prepared.location` again."""
    path = pathlib.Path(path)
    if path.name != locations.VERSION:  # a file in it
        path = path.parent
    place = _PLACE.fullmatch(path.parent.name)
    if not place:
        return "usis prepare --help"
    name = path.parent.parent.name
    return command(settings or _settings(path, name, place), name, overwrite=True)


def _settings(path, name, place):
    """Settings that name a data set at its size; of a known one with the usual splits."""
    root = path.parent.parent.parent
    data = {"height": int(place[2]), "width": int(place[3]), "prepared_dir": str(root)}
    if root == locations.directory(settings_lib.Settings()):
        data["prepared_dir"] = ""
    if name in ("camvid", "faces"):
        data |= {"photos": f"{name}:train[:50%]", "labels": f"{name}:train[50%:]"}
    else:
        data |= {"photos": f"{name}:train", "labels": f"{name}:train"}
    return settings_lib.load(_NETWORKS | {"data": data | {"validation": f"{name}:validation"}})


def _counts(settings) -> list[tuple[str, str]]:
    """Fields with the number of scenes that is there at this size, where settings have another."""
    root, data = locations.directory(settings), settings.data
    for size in {locations.size(settings), locations.size(settings, True)}:
        for file in sorted(root.glob(f"scenes/*_{size[0]}x{size[1]}/*/source.json")):
            try:
                there = texts.read_json(file)["counts"]
            except (OSError, ValueError, TypeError, KeyError):
                continue
            found = [
                ("num_scenes", there.get("train")),
                ("num_validation", there.get("validation", there.get("test"))),
            ]
            return [
                (f"data.{field}", str(count))
                for field, count in found
                if count and count != getattr(data, field)
            ]
    return []


def _files(root: pathlib.Path, name: str) -> dict[str, str]:
    """Options that say where a data set's files lie, as they were given the last time."""
    for file in sorted(root.glob(f"{name}/*/{locations.VERSION}/source.json")):
        try:
            found = texts.read_json(file).get("from") or {}
        except (OSError, ValueError, AttributeError):
            continue
        options = {
            key: _short(found[key])
            for key in ("photos", "labels", "spec", "data_dir")
            if isinstance(found.get(key), str)
        }
        if options:
            return options if "data_dir" in options else {"name": name, **options}
    if name in _PUBLISHED or name == "folder":
        return {"data_dir": DIR}
    return {"name": name, "photos": f"{DIR}/photos", "labels": f"{DIR}/labels"}


def _short(path: str) -> str:
    """A path from the current folder, where it lies in it."""
    short = os.path.relpath(path) if os.path.isabs(path) else path
    return path if short.startswith("..") else short
