"""Where a run begins: its newest good checkpoint, an imported generator, or fresh networks."""

from pathlib import Path
from typing import Any, NamedTuple

from usis_jax import methods
from usis_jax.checkpoint import agreement, manager, randomness
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError
from usis_jax.methods import train_state as state_lib
from usis_jax.storage import disk_errors


class Start(NamedTuple):
    """What training goes on from.

    Attributes:
        state: TrainState.
        step: int, steps taken so far.
        progress: dict that the loop saved beside the state; empty at step 0.
        imported: file of the imported generator in the state, or None.
        damaged: {step: what is wrong} of newer checkpoints that cannot be used.
        measured: whether that step's evaluation, if one was due, is done.
    """

    state: state_lib.TrainState
    step: int = 0
    progress: dict = {}  # noqa: RUF012 (never changed)
    imported: str | None = None
    damaged: dict = {}  # noqa: RUF012
    measured: bool = True


def find(
    settings: settings_lib.Settings,
    workdir: Path,
    spec: LabelSpec,
    data: dict[str, Any] | None = None,
    accept: bool = False,
) -> Start:
    """Finds the start of a run; nothing in the directory is changed.

    Args:
        settings: Settings.
        workdir: directory of the run; need not exist.
        spec: LabelSpec of the data.
        data: of `streams.counts`, None for what is not known.
        accept: go on although the data, or ids of the label spec, were changed.
    Returns:
        Start.
    Raises:
        UserError: every checkpoint is damaged.
        UserError: the newest means something else than the settings, the data or this process.
    """
    given = settings, spec, data or {}, accept
    damaged: dict[int, str] = {}
    if (Path(workdir) / "checkpoints").is_dir():
        with manager.Checkpoints(workdir, read_only=True) as checkpoints:
            for step in reversed(checkpoints.all_steps()):
                try:
                    return _from(checkpoints, step, given, damaged)
                except disk_errors.DamagedError as error:
                    damaged[step] = error.reason
    if damaged:
        raise UserError(
            f"every checkpoint in {workdir} is damaged (the newest: {damaged[max(damaged)]}): put "
            "back a copy of one, or choose another --workdir to begin anew"
        )
    return Start(methods.get(settings.method.name).create(settings, spec.num_classes))


def _from(
    checkpoints: manager.Checkpoints,
    step: int,
    given: tuple[settings_lib.Settings, LabelSpec, dict[str, Any], bool],
    damaged: dict[int, str],
) -> Start:
    """The start at one checkpoint, once it is known to mean what is meant now."""
    settings, spec, data, accept = given
    method, meta = methods.get(settings.method.name), checkpoints.meta(step)
    source = f"checkpoint {step} of {checkpoints.workdir}"
    labels = f"data.labels={settings.data.labels}"
    agreement.check_spec(meta, spec, source, labels, accept)
    if "imported" not in meta:
        agreement.check_steps(step, settings, checkpoints.workdir)
        if not accept:
            agreement.check_data(meta, data, source)
            agreement.check_settings(meta, settings, source)
        # Older checkpoints do not say which implementation; the shape of their key does.
        key = None if "random" in meta else checkpoints.restore_arrays(step).get("key")
        randomness.check(meta, source, key)
        try:
            state = checkpoints.restore(method.shapes(settings, spec.num_classes), step)
        except disk_errors.DamagedError:
            raise
        except ValueError as error:
            agreement.check_fits(meta, settings, source, error)
        measured = bool(meta.get("metrics"))
        return Start(state, step, meta.get("progress", {}), None, damaged, measured)
    variables, meta = checkpoints.restore_generator(step)
    file = meta["imported"]["file"]
    fresh = method.create(settings, spec.num_classes)
    state = method.with_generator(fresh, variables, f"the generator of {file}")
    return Start(state, imported=file, damaged=damaged)
