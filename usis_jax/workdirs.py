"""The directory of a run: whether a config may use it, and its start."""

from usis_jax import checkpoint
from usis_jax import settings as settings_lib

# Fields that a resumed run may change: none of them touches what the state means.
FREE_FIELDS = (
    "steps",
    "log_interval",
    "sample_interval",
    "checkpoint_interval",
    "eval_interval",
    "keep_checkpoints",
    "mapping",
    "data.threads",
    "data.prepared_dir",
)


def check(settings, workdir, accept_config_change=False):
    """Checks that a directory is free, or holds a run of this config.

    Raises:
        ValueError: it holds a run of another config; the message lists the fields that differ.
    """
    try:
        old = checkpoint.load_settings(workdir)
    except FileNotFoundError:
        return
    changes = [
        change
        for change in settings_lib.differences(old, settings)
        if change.split(":")[0] not in FREE_FIELDS
    ]
    if changes and not accept_config_change:
        raise ValueError(
            f"{workdir} holds a run of another config ({'; '.join(changes)}): choose another "
            "--workdir, or pass --accept_config_change to go on with the new values"
        )


def create(workdir, settings):
    """Makes the directory and puts the config in it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        checkpoint.save_settings(workdir, settings)
    except PermissionError as error:
        raise PermissionError(f"cannot write to --workdir {workdir}: {error.strerror}") from None
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"--workdir {workdir} is a file, or lies in one") from None
