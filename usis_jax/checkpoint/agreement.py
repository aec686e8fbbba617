"""What a checkpoint means, compared by name with what a run, its data and this process mean.

A checkpoint says with which label spec, settings, data and random numbers it was made
(`checkpoint.metadata`). Whoever resumes from it, or samples from it, asks here first.
"""

import pathlib
from typing import Any

from usis_jax.checkpoint import metadata
from usis_jax.config import settings as settings_lib
from usis_jax.config.settings import Settings
from usis_jax.data.specs import label_spec, lookup, spec_mapping
from usis_jax.errors import UserError

_CHECKPOINT, _DATA = "the checkpoint", "the data"


def check_spec(
    meta: dict, spec: label_spec.LabelSpec, source: str, data: str, accept: bool = False
) -> None:
    """Checks that data have the classes that a checkpoint was trained with.

    Args:
      meta: of the checkpoint.
      spec: LabelSpec of the data.
      source: the checkpoint in words, such as "checkpoint 4 of runs/a".
      data: what the data are, such as "data.labels=own:train".
      accept: whether other ids, file colours, colours and flip pairs of the same classes do, and
        other names of classes that keep their positions.

    Raises:
      UserError: they differ; names the classes and their positions.
    """
    kept = metadata.restore_spec(meta)
    # Of published weights only the number of classes may be known.
    unnamed = "imported" in meta and kept.name == lookup.UNNAMED
    renamed = spec_mapping.only_renamed(kept, spec)
    if not renamed or not (accept or unnamed):
        check_classes(kept, spec, source, data)
    what = spec_mapping.file_differences(kept, spec, _CHECKPOINT, _DATA)
    if what and not accept and "imported" not in meta:
        raise UserError(
            f"{source} has the classes of {data}, but reads label files otherwise: "
            f"{'; '.join(what)}; prepare the data with the label spec of the run again, or pass "
            "--accept_config_change to go on with the data's"
        )


def check_classes(
    trained: label_spec.LabelSpec, spec: label_spec.LabelSpec, source: str, data: str
) -> None:
    """Checks that a checkpoint and data mean the same by each train id.

    Args:
      trained: LabelSpec of the checkpoint.
      spec: LabelSpec of the data.
      source: the checkpoint in words.
      data: what the data are.

    Raises:
      UserError: they do not; names the classes and their positions.
    """
    what = spec_mapping.differences(trained, spec, _CHECKPOINT, _DATA)
    if what:
        raise UserError(
            f"{source} was trained with other classes than {data} has: {'; '.join(what)}; prepare "
            "the data with the label spec of the run again, or train in another --workdir"
        )


def check_data(meta: dict, data: dict, source: str) -> None:
    """Checks that data have as many images as when a checkpoint was written.

    Their number decides the order of the batches, so a run goes on exactly with the same ones only.

    Args:
      meta: of the checkpoint; older ones do not say.
      data: of `streams.counts`.
      source: the checkpoint in words.

    Raises:
      UserError: a data set has another number of images; names it and both numbers.
    """
    kept = meta.get("progress", {}).get("data", {})
    for kind in kept.keys() & data.keys():
        for name, number in kept[kind].items():
            own = data[kind].get(name)
            if own is not None and own != number:
                raise UserError(
                    f"data.{kind}={name} has {own} images, and had {number} when {source} was "
                    "written: it was prepared anew from other files; choose another --workdir, or "
                    "pass --accept_config_change to go on with the new ones"
                )


def check_settings(meta: dict, settings: Settings, source: str) -> None:
    """Checks that a run goes on with the settings that its newest checkpoint was made with.

    Args:
      meta: of the checkpoint.
      settings: of the run now.
      source: the checkpoint in words.

    Raises:
      UserError: a field differs that may not change on the way; names each one.
    """
    what = field_changes(meta, settings)
    if what:
        raise UserError(
            f"{source} was made with another config ({'; '.join(what)}): put the former values "
            "back, or, where no network gets another size, pass --accept_config_change to go "
            "on with the new values"
        )


def check_fits(meta: dict, settings: Settings, source: str, error: Exception) -> None:
    """Raises what explains that a checkpoint's arrays do not fit the settings' networks.

    Args:
      meta: of the checkpoint.
      settings: of the run now.
      source: the checkpoint in words.
      error: what was raised when they did not fit.

    Raises:
      UserError: names the fields that differ; or `error`, where none does.
    """
    what = field_changes(meta, settings)
    if not what:
        raise error
    raise UserError(
        f"{source} does not fit this config, whose networks are others ({'; '.join(what)}): put "
        "the former values back, or choose another --workdir"
    ) from None


def field_changes(meta: dict, settings: Settings) -> list[str]:
    """Fields that a run may not change on the way, as "field: in the checkpoint -> now"."""
    try:
        kept = settings_lib.from_json(meta["settings"])
    except ValueError:  # of another version: nothing to compare
        return []
    changes = settings_lib.differences(kept, settings)
    return [each for each in changes if each.split(":")[0] not in settings_lib.FREE_FIELDS]


def spec_beside(folder: Any, spec: label_spec.LabelSpec) -> str | None:
    """What to say where a label spec beside label maps reads them otherwise than a checkpoint's.

    Args:
      folder: of the label maps.
      spec: LabelSpec of the checkpoint, by which they are read.

    Returns:
      One line; None where they agree on every id and colour, or there is no label spec.
    """
    folder = pathlib.Path(folder).expanduser()
    paths = [
        place / name
        for place in (folder, folder.absolute().parent)
        for name in label_spec.FILE_NAMES
    ]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        other = label_spec.LabelSpec.load(path)
    except (ValueError, OSError):  # the checkpoint's is used, whatever this one is
        return None
    pairs = [
        (dict(spec.file_ids), dict(other.file_ids), "id"),
        (dict(spec.file_colours), dict(other.file_colours), "colour"),
    ]
    for own, beside, what in pairs:
        for value in sorted(own.keys() & beside.keys()):
            a, b = spec.classes[own[value]], other.classes[beside[value]]
            if a != b:
                return (
                    f"{what} {value} is {a!r} to the checkpoint and {b!r} in {path}; label "
                    "maps are read as the checkpoint says"
                )
    return None


def check_steps(step: int, settings: Settings, workdir: Any) -> None:
    """Checks that a run has not more steps behind it than it shall have.

    Raises:
      UserError: it has; names both numbers.
    """
    if step > settings.steps:
        raise UserError(
            f"steps is {settings.steps}, but the run in {workdir} has taken {step} steps already: "
            f"give --config.steps={step} or more, or choose another --workdir"
        )
