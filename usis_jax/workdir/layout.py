"""The directory of a run: its config, and whether another one may use it."""

import os
import shutil
import tempfile
from pathlib import Path

from usis_jax import errors
from usis_jax.config import settings as settings_lib
from usis_jax.config import suggestions
from usis_jax.errors import UserError
from usis_jax.storage import atomic, paths, texts

_PATTERN_MARKS = "*?[]\\"
CONFIG_FILE = "config.json"
DAMAGED_FOLDER = "damaged"
_FIELD_OF_0_1 = '"fast_paths"'
# What training writes and a run needs or shows; nothing else may be written there. The report is
# missing, since it can be written anew at any time.
OWN = (
    CONFIG_FILE,
    DAMAGED_FOLDER,
    "checkpoints",
    "samples",
    "evaluations",
    "tensorboard",
    "compilation_cache",
    "environment.json",
    "metrics.jsonl",
    "losses.png",
    "lock",
    "wandb_id.txt",
)
# What a run writes into besides its own directory.
FOLDERS = ("checkpoints", "samples", "evaluations", "tensorboard")


def check_name(workdir, option="--workdir"):
    """Checks that checkpoints can be written below a path: Orbax takes these marks for patterns.

    Raises:
        UserError: the path, made absolute, has one; names it.
    """
    path = str(Path(workdir).absolute())
    found = [mark for mark in _PATTERN_MARKS if mark in path]
    if found:
        raise errors.UserError(
            f"{option} is {path}, with {' '.join(found)} in it: checkpoints written there could "
            f"not be read again; choose a path without any of {' '.join(_PATTERN_MARKS)}"
        )


def check(settings, workdir, accept_config_change=False):
    """Checks that a directory is free, or holds a run of this config.

    Raises:
        UserError: it holds a run of another config; the message lists the fields that differ.
        UserError: a file or folder of it is a link to nothing.
    """
    for own in OWN:  # each may be a link to another disk
        paths.of(Path(workdir) / own, "--workdir")
    try:
        old = load_settings(workdir)
    except FileNotFoundError:
        return
    may_change = settings_lib.FREE_FIELDS + tuple(
        name for name in settings_lib.PATHS if _same(old, settings, name)
    )
    changes = [
        change
        for change in settings_lib.differences(old, settings)
        if change.split(":")[0] not in may_change
    ]
    if changes and not accept_config_change:
        raise UserError(
            f"{workdir} holds a run of another config ({'; '.join(changes)}): choose another "
            "--workdir, or, where no network gets another size, pass --accept_config_change to go "
            "on with the new values"
        )


def check_not_its_own(path, name, workdir, workdir_name="--workdir"):
    """Refuses to write over what belongs to a run.

    Args:
        path: file or folder to write.
        name: of it, for the message.
        workdir: directory of the run, or a file of weights.
        workdir_name: of that, for the message.
    Raises:
        UserError: the path is the directory, or one of the files and folders that training writes.
    """
    if paths.real(path) == paths.real(workdir):
        raise UserError(f"{name} is {path}, the same as {workdir_name}; give another place")
    paths.check_not_an_input(path, name, [(workdir_name, Path(workdir) / own) for own in OWN])


def _same(old, new, name):
    """Whether a field names the same file, be it relative in one of two settings."""
    a, b = (settings_lib.flatten(settings)[name] for settings in (old, new))
    return bool(a and b) and paths.real(a) == paths.real(b)


def create(workdir, settings):
    """Makes the directory and puts the config in it."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        save_settings(workdir, settings)
        _try_folders(workdir)
    except PermissionError as error:
        raise PermissionError(f"cannot write to --workdir {workdir}: {error.strerror}") from None
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"--workdir {workdir} is a file, or lies in one") from None


def _try_folders(workdir):
    """Tries to write into the folders that a run has already, hours before it must."""
    for name in FOLDERS:
        folder = workdir / name
        if not os.path.lexists(folder):
            continue
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except (NotADirectoryError, FileNotFoundError):
            raise UserError(
                f"{folder} is no folder, and a run keeps its {name} in one of that name: move it "
                "away, or choose another --workdir"
            ) from None


def load_settings(workdir):
    """Reads the config of a run.

    Args:
        workdir: directory of a run.
    Returns:
        Settings.
    Raises:
        FileNotFoundError: no run was started there.
        UserError: the file is damaged, or of another version.
    """
    try:
        text = texts.read(Path(workdir) / CONFIG_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{workdir} is not a work directory: it has no {CONFIG_FILE}; {_instead(workdir)}"
        ) from None
    try:
        return settings_lib.from_json(text)
    except ValueError as error:
        if _FIELD_OF_0_1 in text:
            raise UserError(
                f"{workdir} holds a run of usis_jax 0.1.0, which this version does not read: train "
                'anew in another --workdir, or install "usis_jax==0.1.0" to go on with it'
            ) from None
        raise UserError(f"{workdir}/{CONFIG_FILE} cannot be used: {error}") from error


def _instead(workdir):
    """What to give where a folder is no work directory: the runs that lie in it, if any do."""
    inside = sorted(path.parent for path in Path(workdir).glob(f"*/{CONFIG_FILE}"))[:3]
    if inside:
        return f"the runs in it are {', '.join(map(str, inside))}"
    return "give the folder that usis train wrote as --workdir"


def no_checkpoint(workdir):
    """What to say where a work directory has no checkpoint yet."""
    if (Path(workdir) / CONFIG_FILE).is_file():
        return f"no checkpoint in {workdir}; run: {suggestions.train(workdir)}"
    return f"no checkpoint in {workdir}; {_instead(workdir)}"


def save_settings(workdir, settings):
    """Writes the config of a run to `config.json`, whole or not at all."""
    atomic.write_text(Path(workdir) / CONFIG_FILE, settings_lib.to_json(settings) + "\n")


def set_aside(workdir, step):
    """Moves a damaged checkpoint to the folder `damaged`, in the place of an older one there."""
    folder = Path(workdir) / DAMAGED_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (Path(workdir) / "checkpoints" / str(step)).rename(folder / str(step))
