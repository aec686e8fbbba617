"""Commands that messages suggest: of the caller's own arguments, so that they work when copied."""

import argparse
import contextlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from usis_jax.config import loading as overrides_lib
from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError

# Fields that change neither what is trained nor what is prepared.
_NO_MATTER = (
    "data.prepared_dir", "data.threads", "keep_checkpoints", "compilation_cache", "log_interval",
    "sample_interval", "checkpoint_interval", "eval_interval", "rollbacks",
)  # fmt: skip
_SOURCES = ("data.photos", "data.labels", "data.validation")
_OF_TRAINING = ("data.threads", "data.flip", "data.class_balance")
_OF_SIZES = ("data.", "generator.", "segmenter.", "discriminator.", "decoder.")

_caller: argparse.Namespace | None = None


@contextlib.contextmanager
def called_with(values: argparse.Namespace | None) -> Iterator[None]:
    """While it lasts, suggestions are for a caller of these arguments of a command; None: any."""
    global _caller
    before, _caller = _caller, values
    try:
        yield
    finally:
        _caller = before


def of_run(workdir: str | os.PathLike) -> contextlib.AbstractContextManager[None]:
    """As `called_with`, for the run in a work directory."""
    return called_with(argparse.Namespace(config=None, overrides=[], workdir=workdir))


def command_line(
    command: str,
    *words: object,
    config: str | None = None,
    overrides: Iterable[tuple[str, object]] = (),
    **options: object,
) -> str:
    """A `usis` command as one types it.

    Args:
      command: such as "prepare".
      *words: arguments without a name.
      config: value of --config, or None.
      overrides: pairs of field and value, as text or of the field's type.
      **options: values of the other options; True is an option without value, None and False leave
        it out.

    Returns:
      One line, quoted for a shell.
    """
    shown = ["usis", command]
    shown += [f"--config={config}"] if config else []
    for name, value in options.items():
        if value is True:
            shown.append(f"--{name}")
        elif value is not None and value is not False:
            shown.append(f"--{name}={value}")
    shown += [f"--config.{name}={_text(value)}" for name, value in dict(overrides).items()]
    return shlex.join([*shown, *map(str, words)])


def prepare(
    settings: settings_lib.Settings, fields: Iterable[tuple[str, str]] = (), **options: Any
) -> str:
    """The `usis prepare` command for the data of settings.

    Args:
      settings: what to prepare for, where no command of the caller says it.
      fields: fields to change besides, such as [("data.photos", "scenes:test")].
      **options: further options, such as data_dir and overwrite.

    Returns:
      The command with the caller's --config and fields, or with the work directory that has them;
      without either, with the bundled configuration nearest to the settings.
    """
    config = getattr(_caller, "config", None)
    workdir = getattr(_caller, "workdir", None)
    fields = list(fields)
    changed = [pair for pair in getattr(_caller, "overrides", ()) if pair[0] not in dict(fields)]
    if config:
        return command_line("prepare", config=config, overrides=changed + fields, **options)
    if workdir and os.path.isfile(os.path.join(workdir, "config.json")):
        return command_line("prepare", workdir=workdir, overrides=changed + fields, **options)
    config, changes = data_config(settings)
    changes |= dict(fields)
    return command_line("prepare", config=config, overrides=changes.items(), **options)


def train(workdir: str | os.PathLike) -> str:
    """The `usis train` command that goes on with the run in a work directory."""
    return command_line("train", workdir=workdir)


def nearest_config(settings: settings_lib.Settings) -> tuple[str, dict[str, object]]:
    """The bundled configuration nearest to settings, and the fields that differ.

    Fields that do not change what is trained are left out.
    """
    return _nearest(settings, lambda name: name not in _NO_MATTER)


def data_config(settings: settings_lib.Settings) -> tuple[str, dict[str, object]]:
    """As `nearest_config`, of what is prepared: the data and, where sizes need them, networks."""
    name, changes = _nearest(
        settings, lambda name: name.startswith("data.") and name not in _OF_TRAINING
    )
    config = overrides_lib.load_config(name)
    try:
        overrides_lib.apply(config, [(field, _text(value)) for field, value in changes.items()])
        settings_lib.load(config)
    except ValueError:  # sizes that the preset's networks cannot take
        name, changes = _nearest(
            settings, lambda name: name.startswith(_OF_SIZES) and name not in _OF_TRAINING
        )
    return name, changes


def install(extra: str) -> str:
    """The command that installs one of the package's extras."""
    return f"pip install 'usis_jax[{extra}]'"


def _nearest(
    settings: settings_lib.Settings, counts: Callable[[str], bool]
) -> tuple[str, dict[str, object]]:
    own = {k: v for k, v in settings_lib.flatten(settings).items() if counts(k)}
    best = None
    folder = overrides_lib.bundled_configs()
    for path in sorted(folder.rglob("[!_]*.py")):
        name = f"configs/{path.relative_to(folder).as_posix()}"
        preset = settings_lib.flatten(settings_lib.load(overrides_lib.load_config(name)))
        changes = {k: v for k, v in own.items() if v != preset[k]}
        other = sum(_data_set(own, k) != _data_set(preset, k) for k in _SOURCES)
        if best is None or (other, len(changes)) < best[2]:
            best = name, changes, (other, len(changes))
    if best is None:
        raise UserError(f"there are no configurations in {folder}; install usis_jax again")
    return best[:2]


def _data_set(flat: dict[str, object], field: str) -> str:
    return str(flat[field]).partition(":")[0]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
