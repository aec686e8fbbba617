"""Reading back what was written, before a run relies on it."""

import shutil
from pathlib import Path

from usis_jax import errors
from usis_jax.checkpoint import flat_trees, metadata
from usis_jax.errors import UserError

_TRIAL = ".trial"


def check(reader, step):
    """Reads a checkpoint as others do, and compares every value with what was written.

    Args:
        reader: checkpoint.Checkpoints, read only.
        step: int, the checkpoint's.
    Raises:
        UserError: it cannot be read, or is not what was written.
    """
    try:
        if step not in reader.all_steps():
            raise UserError("it is not there")
        reader.read(step, *reader.meta(step)["checksums"])
    except ValueError as error:
        reason = getattr(error, "reason", str(error))
        raise errors.UserError(
            f"checkpoint {step} in --workdir {reader.workdir} does not read back as it was written "
            f"({reason}): training stopped, as nothing could be used of it; choose another "
            "--workdir, on another file system"
        ) from None


def try_out(make, workdir, state, settings, spec):
    """Writes, reads back and removes a checkpoint of a few small arrays, in less than a second.

    Args:
        make: checkpoint.Checkpoints.
        workdir: directory of a run, which must exist.
        state: TrainState, one array of each of whose types is written.
        settings: Settings of the run.
        spec: LabelSpec of its label maps.
    Raises:
        UserError: what was written is not what is read.
        OSError: it cannot be written.
    """
    flat = sorted(flat_trees.flatten(state).items(), key=lambda item: -item[1].size)
    few = {value.dtype: (name, value) for name, value in flat if value.size}  # the smallest
    few = dict(few.values())
    folder = Path(workdir).absolute() / _TRIAL
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with make(folder) as checkpoints:
            meta = metadata.described(0, settings, spec, {})
            checkpoints.write({"state": few, "generator": few}, meta)
            checkpoints.verify(0)
    except (OSError, errors.UserError) as error:
        # The user knows the work directory only.
        error.args = tuple(
            part.replace(f"/{_TRIAL}", "") if isinstance(part, str) else part for part in error.args
        )
        if isinstance(error, OSError) and isinstance(error.strerror, str):
            error.strerror = error.strerror.replace(f"/{_TRIAL}", "")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
