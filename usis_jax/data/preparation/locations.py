"""Where prepared data sets lie."""

import pathlib

from usis_jax.storage import paths

VERSION = "1.0.0"


def directory(settings) -> pathlib.Path:
    """Folder of prepared data: data.prepared_dir, else $TFDS_DATA_DIR, else TFDS's own default."""
    if settings.data.prepared_dir:
        return paths.of(settings.data.prepared_dir, "data.prepared_dir", paths.FOLDER)
    return paths.from_environment("TFDS_DATA_DIR", "~/tensorflow_datasets")


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
