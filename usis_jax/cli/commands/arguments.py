"""Arguments that several commands share, and the settings they lead to."""

import argparse
import os
import re

from usis_jax.config import constraints, settings
from usis_jax.data.images import image_files
from usis_jax.data.specs import lookup
from usis_jax.errors import UserError
from usis_jax.storage import cache_dir, paths

WORKDIR = (
    "folder that usis train wrote, or a .safetensors file of usis export (default: the "
    "small generator of street scenes that comes with usis)"
)

INPUT, INPUT_FILE, INPUT_FOLDER = "input", "input file", "input folder"
RUN, RUN_FOLDER = "run", "run folder"
OUTPUT, OUTPUT_FILE, OUTPUT_FOLDER = "output", "output file", "output folder"
OUTPUT_PICTURE = "output picture"
PLACE = "place"
"""Roles of paths: what is read; a work directory (RUN: or the file of weights that stands for one);
what is written; a folder that is looked into or where things are kept, and results may lie."""
_KINDS = {
    INPUT_FILE: paths.FILE,
    INPUT_FOLDER: paths.FOLDER,
    RUN: paths.RUN,
    RUN_FOLDER: paths.FOLDER,
    OUTPUT_FOLDER: paths.FOLDER,
    PLACE: paths.FOLDER,
}
_INPUTS = (INPUT, INPUT_FILE, INPUT_FOLDER)
_OUTPUT_FILES = (OUTPUT_FILE, OUTPUT_PICTURE)
_OUTPUTS = (OUTPUT, OUTPUT_FOLDER, *_OUTPUT_FILES)


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
    add_path(
        parser, "--json", OUTPUT_FILE, metavar="FILE", help="write the result as JSON into a file"
    )
    parser.set_defaults(run=run)
    return parser


class PathOption(argparse.Action):
    """An option, or a positional argument, that names files or folders.

    `paths.of` turns its texts into paths, or says in one line why it cannot.
    """

    def __init__(self, option_strings, dest, role, **options):
        super().__init__(option_strings, dest, **options)
        self.role = role

    def __call__(self, parser, namespace, values, option_string=None):
        name = option_string or self.metavar
        if values is not None:
            many = isinstance(values, list)
            read = [self._read(value, name) for value in (values if many else [values])]
            given = [(name, path, self.role) for path in read]
            namespace.given_paths = [*getattr(namespace, "given_paths", []), *given]
            values = read if many else read[0]
        setattr(namespace, self.dest, values)

    def _read(self, value, name):
        """The path as text, which commands also print."""
        if self.role in _OUTPUT_FILES:
            path = paths.output_file(value, name)
            if self.role == OUTPUT_FILE and path.suffix.lower() in image_files.SUFFIXES:
                raise UserError(
                    f"{name} is {path}, which has the name of an image; what is "
                    "written is none, so give another name"
                )
            return str(path)
        return str(paths.of(value, name, _KINDS.get(self.role, paths.ANY)))


def add_path(parser, name, role, **options):
    """Adds an option or a positional argument that names a file or folder.

    Args:
      parser: of the command.
      name: such as "--workdir".
      role: what the command does with it: one of the roles of this module.
      **options: as of `add_argument`; metavar and help are needed.
    """
    parser.add_argument(name, action=PathOption, role=role, **options)


def check_apart(values):
    """UserError where a command would write over, or into, what it reads."""
    given = getattr(values, "given_paths", [])
    outputs = [(name, path, role) for name, path, role in given if role in _OUTPUTS]
    for place, (name, path, role) in enumerate(outputs):
        for other, second, _ in outputs[:place]:
            if role in _OUTPUT_FILES and paths.real(path) == paths.real(second):
                raise UserError(f"{name} and {other} are both {path}; give each its own file")
        inputs = [(other, source) for other, source, what in given if what in _INPUTS]
        paths.check_not_an_input(path, name, inputs)
        for other, run in [(n, p) for n, p, what in given if what in (RUN, RUN_FOLDER)]:
            from usis_jax.workdir import layout

            layout.check_not_its_own(path, name, run, other)


def check_texts(values):
    """UserError where an option that is no path is empty, or not UTF-8."""
    for name, value in vars(values).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                paths.check_text(text, f"--{name}")
    for name, text in getattr(values, "overrides", []):
        if not paths.is_utf8(text):
            paths.check_text(text, f"--config.{name}")


def add_config(parser, more=""):
    """Adds --config FILE and --config.field=value."""
    add_path(
        parser,
        "--config",
        INPUT_FILE,
        metavar="FILE",
        help=f"configuration, such as configs/quickstart.py{more}",
    )
    parser.add_argument(
        "--config.field", metavar="VALUE", help="change a field, such as --config.steps=20"
    )


def add_size(parser, what):
    """Adds --height and --width; `what` explains them, with {side} for which of the two."""
    for side in ("height", "width"):
        parser.add_argument(f"--{side}", metavar="N", type=at_least(1), help=what.format(side=side))


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
        none = name in settings.PATHS and not text
        lines.append(f"  --config.{name}=" + ("PATH (default: none given)" if none else text))
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


def seed(text):
    """Reader of seeds, for argparse: JAX takes 32 bits, and larger ones would be others."""
    from usis_jax.checkpoint import randomness

    if not re.fullmatch(r"[0-9]+", text) or int(text[:20]) > randomness.MOST_SEED:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not allowed, it must be a whole number of 0 or more, at most "
            f"{randomness.MOST_SEED}"
        )
    return int(text)


def settings_of(values):
    """Settings of --config, or of the run in --workdir, with the overrides."""
    import ml_collections

    from usis_jax.config import loading

    if values.config:
        config = loading.load_config(values.config)
    elif getattr(values, "workdir", None) and os.path.isdir(values.workdir):
        from usis_jax.workdir import layout

        config = ml_collections.ConfigDict(settings.to_dict(layout.load_settings(values.workdir)))
    else:
        raise UserError("--config is missing; for example --config=configs/quickstart.py")
    _check_empty(config, values.overrides)
    loading.apply(config, values.overrides)
    return settings.load(_with_paths(config))


def _check_empty(config, overrides):
    """UserError where a field that names a path is set to nothing, and was not set before."""
    flat = constraints.flatten(config.to_dict())
    for name, text in overrides:
        if name in settings.PATHS and not text.strip() and not flat.get(name):
            paths.check_text(text, f"--config.{name}")


def _with_paths(config):
    """The configuration with its fields that name paths checked and made absolute."""

    for name, value in constraints.flatten(config.to_dict()).items():
        if name not in settings.PATHS or not value or not isinstance(value, str | os.PathLike):
            continue
        if name != "data.label_spec" or lookup.is_file(str(value)):
            path = paths.of(value, f"--config.{name}", settings.PATHS[name])
            # Absolute, as the run goes on with it from other folders, too.
            config.update_from_flattened_dict({name: os.path.abspath(path)})
    return config


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
