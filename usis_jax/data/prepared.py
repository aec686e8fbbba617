"""Where prepared data sets lie, and what to say where one is missing."""

import json
import os
import pathlib

# Configurations for data sets that have none of their own name.
_CONFIGS = {"scenes": "quickstart", "gta5": "gta5_to_cityscapes", "kitti": "gta5_to_cityscapes"}
_WITH_CONFIG = ("camvid", "faces", "cityscapes", "ade20k", "coco_stuff")
VERSION = "1.0.0"


def directory(settings) -> pathlib.Path:
    """Folder of prepared data: data.prepared_dir, else $TFDS_DATA_DIR, else TFDS's own default."""
    value = settings.data.prepared_dir or os.environ.get("TFDS_DATA_DIR", "")
    return pathlib.Path(value or "~/tensorflow_datasets").expanduser()


def config_name(kind: str, height: int, width: int) -> str:
    """Name of the TFDS config that stores one kind at one size, such as "photos_64x128"."""
    return f"{kind}_{height}x{width}"


def size(settings, validation: bool = False) -> tuple[int, int]:
    """(H, W) at which images are stored: what training crops from, or validation's own size."""
    data = settings.data
    if validation:
        return data.height, data.width
    return data.stored_height, data.stored_width


def location(settings, name: str, kind: str, validation: bool = False) -> pathlib.Path:
    """Folder of one prepared data set and kind at the size of training or of validation."""
    return directory(settings) / name / config_name(kind, *size(settings, validation)) / VERSION


def is_prepared(path: pathlib.Path) -> bool:
    """Whether a folder of `location` holds a finished data set."""
    return (path / "dataset_info.json").is_file()


def splits(path: pathlib.Path) -> dict[str, int]:
    """Number of images of each split of a prepared data set in a folder of `location`."""
    info = json.loads((path / "dataset_info.json").read_text())
    return {part["name"]: sum(map(int, part["shardLengths"])) for part in info["splits"]}


def missing_message(settings, name: str, kind: str, validation: bool = False) -> str:
    """What to say where a prepared data set is missing."""
    config = _CONFIGS | {known: known for known in _WITH_CONFIG}
    source = "" if name == "scenes" else " --data_dir=YOUR_DIR"
    height, width = size(settings, validation)
    command = f"usis prepare --config=configs/{config.get(name, 'folder')}.py{source}"
    if name not in config and name != "folder":
        command = (
            f"usis prepare --name={name} --photos=DIR --labels=DIR, with the --config and fields "
            "of training"
        )
    return (
        f"data set {name!r} ({kind}, {height}x{width}) is not prepared in {directory(settings)}; "
        f"run: {command}"
    )
