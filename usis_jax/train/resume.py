"""Where a run begins: its newest good checkpoint, an imported generator, or fresh networks."""

from pathlib import Path
from typing import NamedTuple

from usis_jax import methods
from usis_jax.checkpoint import manager
from usis_jax.config import settings as settings_lib
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
    """

    state: state_lib.TrainState
    step: int = 0
    progress: dict = {}  # noqa: RUF012 (never changed)
    imported: str | None = None
    damaged: dict = {}  # noqa: RUF012


def find(settings: settings_lib.Settings, workdir: Path, num_classes: int) -> Start:
    """Finds the start of a run; nothing in the directory is changed.

    Args:
        settings: Settings.
        workdir: directory of the run; need not exist.
        num_classes: K, from the label spec.
    Returns:
        Start.
    Raises:
        ValueError: every checkpoint is damaged, or the newest does not fit the settings.
    """
    damaged: dict[int, str] = {}
    if (Path(workdir) / "checkpoints").is_dir():
        with manager.Checkpoints(workdir, read_only=True) as checkpoints:
            for step in reversed(checkpoints.all_steps()):
                try:
                    return _from(checkpoints, step, settings, num_classes, damaged)
                except disk_errors.DamagedError as error:
                    damaged[step] = error.reason
    if damaged:
        raise ValueError(
            f"every checkpoint in {workdir} is damaged (the newest: {damaged[max(damaged)]}): put "
            "back a copy of one, or choose another --workdir to begin anew"
        )
    return Start(methods.get(settings.method.name).create(settings, num_classes))


def _from(
    checkpoints: manager.Checkpoints,
    step: int,
    settings: settings_lib.Settings,
    num_classes: int,
    damaged: dict[int, str],
) -> Start:
    """The start at one checkpoint."""
    method, meta = methods.get(settings.method.name), checkpoints.meta(step)
    if "imported" not in meta:
        state = checkpoints.restore(method.shapes(settings, num_classes), step)
        return Start(state, step, meta.get("progress", {}), damaged=damaged)
    variables, meta = checkpoints.restore_generator(step)
    file = meta["imported"]["file"]
    fresh = method.create(settings, num_classes)
    state = method.with_generator(fresh, variables, f"the generator of {file}")
    return Start(state, imported=file, damaged=damaged)
