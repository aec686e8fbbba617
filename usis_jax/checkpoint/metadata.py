"""What a checkpoint says about itself: version, step, config, label spec, metrics."""

import json

import orbax.checkpoint as ocp

from usis_jax import errors
from usis_jax.checkpoint import checksums, randomness
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs import label_spec
from usis_jax.errors import UserError
from usis_jax.storage import atomic

FORMAT_VERSION = 2
ITEM = "meta"
_FILE = "metadata"  # where Orbax puts JSON
# The usis_jax that wrote each format.
_WRITTEN_BY = {1: "0.1.0"}


def described(step, settings, spec, metrics):
    """What a checkpoint says about itself.

    Args:
        step: int, the number of steps taken.
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
        metrics: dict of floats.
    Returns:
        dict of JSON values.
    """
    return {
        "format_version": FORMAT_VERSION,
        "step": int(step),
        "settings": settings_lib.to_json(settings),
        "label_spec": spec.to_dict(),
        "random": randomness.described(),
        "metrics": {k: float(v) for k, v in metrics.items()},
    }


def read(folder):
    """Reads what a checkpoint says about itself; each process may do so when it likes.

    Args:
        folder: pathlib.Path of one checkpoint.
    Returns:
        dict of JSON values: of `described`, "best", "progress", "checksums", or "imported".
    Raises:
        FileNotFoundError, ValueError: it is missing or damaged.
    """
    meta = ocp.JsonCheckpointHandler().restore(folder / ITEM)
    if not isinstance(meta, dict):
        raise UserError(f"{ITEM} is no JSON object")
    rest = {name: value for name, value in meta.items() if name != "checksum"}
    if checksums.of_json(rest) != meta.get("checksum"):
        raise UserError(f"{ITEM} has another checksum")
    return meta


def add_metrics(folder, metrics):
    """Puts metrics into what a checkpoint on the disk says about itself, all at once.

    Args:
        folder: pathlib.Path of one checkpoint.
        metrics: dict of floats.
    Raises:
        OSError, ValueError: it cannot be read or written.
    """
    meta = read(folder)
    meta.pop("checksum", None)
    meta["metrics"] = {k: float(v) for k, v in metrics.items()}
    meta["checksum"] = checksums.of_json(meta)
    atomic.write_text(folder / ITEM / _FILE, json.dumps(meta))


def measure(meta):
    """Name of the value by which a checkpoint with this `meta` may be best; None if imported."""
    return meta.get("best", {}).get("measure")


def check_version(meta, workdir):
    """Raises UserError when another usis_jax, older or newer, wrote what says `meta`."""
    version = meta.get("format_version")
    if version == FORMAT_VERSION:
        return
    writer = _WRITTEN_BY.get(version)
    who = f"usis_jax {writer} wrote it" if writer else "a newer usis_jax wrote it"
    what = f"use usis_jax {writer} for it, or train anew" if writer else "install that one"
    raise UserError(
        f"checkpoint in {workdir} has format {version}, this version reads {FORMAT_VERSION}: "
        f"{who}; {what}"
    )


def check_step(meta, step, workdir):
    """Raises UserError when what a checkpoint says is of another step than its folder's name."""
    inside = meta.get("step")
    if inside != step:
        raise errors.UserError(
            f"checkpoint {step} of {workdir} says that it is that of step {inside}, so its folder "
            f"was renamed or copied: rename checkpoints/{step} to checkpoints/{inside}, or remove "
            "it"
        )


def restore_spec(meta):
    """Returns the LabelSpec that travels in a checkpoint's meta."""
    return label_spec.LabelSpec.from_dict(meta["label_spec"])
