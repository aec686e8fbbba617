"""Prepared data sets: what is in one, and what to say where one is missing or damaged."""

import pathlib
import re

from usis_jax.data.preparation import advice, locations
from usis_jax.errors import UserError
from usis_jax.storage import texts

_SPLIT = re.compile(r"[A-Za-z0-9_]+")
_FEATURES = tuple(
    f"tensorflow_datasets.core.features.{name}"
    for name in ("features_dict.FeaturesDict", "image_feature.Image", "text_feature.Text")
)
_LARGEST = 2**24


def splits(path: pathlib.Path) -> dict[str, int]:
    """Number of images of each split of a prepared data set in a folder of `location`.

    Raises:
      UserError: its dataset_info.json is damaged, or names files outside the folder.
    """
    found = {}
    for part in _json(path / "dataset_info.json", "splits"):
        try:
            name, template = part["name"], part["filepathTemplate"]
            found[name] = sum(map(int, part["shardLengths"]))
            good = _SPLIT.fullmatch(name) and "/" not in template and "\\" not in template
        except (KeyError, TypeError, ValueError, AttributeError):
            good = False
        if not good or found[name] < 0:
            raise UserError(_damaged(path / "dataset_info.json"))
    return found


def missing_shards(path: pathlib.Path) -> list[str]:
    """Names of files that dataset_info.json promises and that are missing or empty.

    Raises:
      UserError: dataset_info.json is damaged.
    """
    missing = []
    for split in _json(path / "dataset_info.json", "splits"):
        shards = [int(length) for length in split["shardLengths"]]
        for index, length in enumerate(shards):
            file = path / (
                f"{path.parent.parent.name}-{split['name']}.array_record-"
                f"{index:05d}-of-{len(shards):05d}"
            )
            if length and not (file.is_file() and file.stat().st_size):
                missing.append(file.name)
    return missing


def builder(path: pathlib.Path):
    """TFDS builder that reads a prepared data set in a folder of `location`.

    TFDS imports whatever Python modules a data set's files name, so they are looked at first.

    Raises:
      UserError: the folder's files are damaged, or it is no data set of usis_jax.
    """
    import tensorflow_datasets as tfds

    splits(path)
    if _json(path / "dataset_info.json", "fileFormat") != "array_record":
        raise UserError(_damaged(path / "dataset_info.json"))
    features = _json(path / "features.json", "featuresDict")
    inner = features.get("features") if isinstance(features, dict) else None
    kinds = [_json(path / "features.json", "pythonClassName")]
    kinds += [
        entry.get("pythonClassName") if isinstance(entry, dict) else None
        for entry in (inner.values() if isinstance(inner, dict) else [None])
    ]
    if any(kind not in _FEATURES for kind in kinds) or len(kinds) != 3:
        raise UserError(_damaged(path / "features.json"))
    try:
        return tfds.builder_from_directory(path)
    except Exception as error:  # of damaged files, TFDS raises nearly anything
        raise UserError(f"{_damaged(path)} ({type(error).__name__}: {error})") from error


def _json(file: pathlib.Path, key: str):
    """A value of a file of JSON; ValueError where it is damaged."""
    file = pathlib.Path(file)
    try:
        if file.stat().st_size > _LARGEST:
            raise UserError("too large")
        return texts.read_json(file)[key]
    except (ValueError, TypeError, LookupError, RecursionError, FileNotFoundError):
        raise UserError(_damaged(file)) from None


def _damaged(path) -> str:
    return f"{path} is damaged; run: {advice.again(path)}"


def missing_message(settings, name: str, kind: str, validation: bool = False, fields=()) -> str:
    """What to say where a prepared data set is missing; `fields` as of `suggestions.prepare`."""
    height, width = locations.size(settings, validation)
    return (
        f"data set {name!r} ({kind}, {height}x{width}) is not prepared in "
        f"{locations.directory(settings)}; "
        f"run: {advice.command(settings, name, fields=fields)}"
    )
