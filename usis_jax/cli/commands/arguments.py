"""Arguments that several commands share, and the settings they lead to."""

import argparse
import os
import re

from usis_jax.config import settings
from usis_jax.storage import cache_dir

WORKDIR = ("folder that usis train wrote, or a .safetensors file of usis export (default: the "
           "small generator of street scenes that comes with usis)")


def command(commands, name, run, summary, epilog=None):
    """Adds a parser for `usis name`, with --json, that calls `run(values)`; returns the parser."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON into a file")
    parser.set_defaults(run=run)
    return parser


def add_config(parser, more=""):
    """Adds --config FILE and --config.field=value."""
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration, such as configs/quickstart.py{more}"
    )
    parser.add_argument(
        "--config.field", metavar="VALUE", help="change a field, such as --config.steps=20"
    )


def add_size(parser, what):
    """Adds --height and --width; `what` explains them, with {side} for which of the two."""
    for side in ("height", "width"):
        parser.add_argument(
            f"--{side}", metavar="N", type=at_least(1), help=what.format(side=side)
        )


def add_step(parser):
    """Adds --step, which checkpoint; `checkpoint` reads it."""
    parser.add_argument(
        "--step", metavar="STEP", type=_step, default="latest",
        help="checkpoint: latest (default), best (by evaluation.best) or its number",
    )  # fmt: skip


def checkpoint(values):
    """What --step says, as arguments of `Generator.load` and of Checkpoints."""
    return {"step": values.step if isinstance(values.step, int) else None,
            "best": values.step == "best"}  # fmt: skip


def _step(text):
    if text in ("best", "latest"):
        return text
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed, it must be best, latest or the number of a checkpoint"
        )
    return int(text)


def fields_help():
    """Every field of a configuration with its default, a line each."""
    lines = ["fields (configs/base.py explains each one) and their defaults:"]
    for name, value in settings.flatten(settings.Settings()).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        lines.append(f"  --config.{name}={text}")
    return "\n".join(lines)


def at_least(least):
    """Reader of whole numbers of `least` or more, for argparse."""
    def read(text):
        if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed, it must be a whole number of {least} or more"
            )
        return int(text)

    return read


def settings_of(values):
    """Settings of --config, or those that --workdir already has, with the overrides."""
    import ml_collections

    from usis_jax.config import loading

    if values.config:
        config = loading.load_config(values.config)
    elif values.command == "train" and os.path.isdir(values.workdir):
        from usis_jax.workdir import layout

        config = ml_collections.ConfigDict(
            settings.to_dict(layout.load_settings(values.workdir))
        )
    else:
        raise ValueError("--config is missing; for example --config=configs/quickstart.py")
    loading.apply(config, values.overrides)
    return settings.load(config)


def use_of_run(workdir):
    """Keeps compiled programs for a run, if it has that switched on and this user may write there.

    For a generator in a file, or the one that comes with the package, they lie in the user's
    folder of caches.
    """
    from usis_jax.inference.generator_file import is_file
    from usis_jax.runtime import compilation_cache
    from usis_jax.workdir import layout

    if is_file(workdir):
        compilation_cache.use(cache_dir.directory())
        return
    if os.access(workdir, os.W_OK):
        compilation_cache.use(workdir, layout.load_settings(workdir).compilation_cache)
