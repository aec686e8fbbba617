"""Command line: `usis prepare | train | sample`, each with `--help`.

Exit codes: 0 done; 2 bad use or bad input, with one line that says what to change; 1 anything else.
"""

import argparse
import errno
import json
import os
import pathlib
import re
import sys
import traceback

from usis_jax import __version__, settings

_EXPECTED_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)
_EXPECTED_OS_ERRORS = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: arguments after the program's name; None = those of the process.

    Returns:
      Exit code: 0 done, 2 bad use or bad input, 1 interrupted. Other errors are raised, so that
      Python shows their traceback and exits 1.
    """
    # TensorFlow only writes files here; without these two it fills the screen with notes.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        words, overrides = split_overrides(sys.argv[1:] if argv is None else argv)
        arguments = _parser().parse_args(words)
        if overrides and not hasattr(arguments, "config"):
            raise ValueError(
                f"--config.{overrides[0][0]} has no effect in usis {arguments.command}, which uses "
                "the configuration in --workdir; leave it out"
            )
        arguments.overrides = overrides
        _check_writable(arguments.json)
        result = arguments.run(arguments)
        _write_json(arguments.json, result)
        return 0
    except KeyboardInterrupt:
        print("usis: interrupted", file=sys.stderr)
        return 1
    except FloatingPointError as error:
        print(f"usis: {_one_line(error)}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        if not is_bad_input(error):
            raise
        print(f"usis: {_one_line(error)}", file=sys.stderr)
        return 2


def split_overrides(argv: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Takes `--config.field=value` and `--config.field value` out of the arguments.

    Args:
      argv: arguments after the program's name.

    Returns:
      The other arguments, and pairs of field name and text.

    Raises:
      ValueError: a field has no value.
    """
    words, overrides = [], []
    rest = iter(argv)
    for word in rest:
        if not word.startswith("--config."):
            words.append(word)
            continue
        name, equals, text = word.removeprefix("--config.").partition("=")
        text = text if equals else next(rest, None)
        if not name or text is None or (not equals and text.startswith("--")):
            raise ValueError(f"{word} has no value; write --config.{name or 'field'}=value")
        overrides.append((name, text))
    return words, overrides


def is_bad_input(error: Exception) -> bool:
    """Whether an error says what the user must change, rather than being a fault of the program.

    Such are file errors, and ValueErrors that usis_jax itself raised (in this process or in one
    of its worker processes), not those from inside other libraries.
    """
    if isinstance(error, OSError):
        return isinstance(error, _EXPECTED_OS_ERRORS) or error.errno in _EXPECTED_ERRNO
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename for frame in frames][-1:]
    if type(error.__cause__).__name__ in ("_RemoteTraceback", "RemoteTraceback"):
        files = re.findall(r'File "([^"]+)"', str(error.__cause__))[-1:]
    package = pathlib.Path(__file__).resolve().parent
    return bool(files) and package in pathlib.Path(files[0]).resolve().parents


def _prepare(arguments):
    run = _settings(arguments)
    from usis_jax.data import prepare

    result = prepare.prepare(run, arguments.data_dir, overwrite=arguments.overwrite)
    print(f"data is ready in {result['prepared_dir']}")
    return {"command": "prepare", **result}


def _train(arguments):
    run = _settings(arguments)
    from usis_jax import train

    result = train.train(
        run, arguments.workdir, accept_config_change=arguments.accept_config_change
    )
    print(
        f"step {result['step']} of {run.steps}; samples, losses.png and checkpoints are in "
        f"{arguments.workdir}"
    )
    return {"command": "train", "workdir": str(arguments.workdir), **result}


def _sample(arguments):
    from usis_jax import sampling

    generator = sampling.Generator.load(arguments.workdir, best=arguments.best)
    result = sampling.sample_folder(
        generator, arguments.labels, arguments.out, arguments.num_samples, arguments.seed
    )
    print(
        f"{result['photos']} photos of {result['labels']} label maps; all together in "
        f"{result['contact_sheet']}"
    )
    return {"command": "sample", "out": str(arguments.out), **result}


def _settings(arguments):
    """Settings of --config, or those that --workdir already has, with the overrides."""
    import ml_collections

    from usis_jax import overrides

    if arguments.config:
        config = overrides.load_config(arguments.config)
    elif arguments.command == "train" and os.path.isdir(arguments.workdir):
        from usis_jax import checkpoint

        config = ml_collections.ConfigDict(
            settings.to_dict(checkpoint.load_settings(arguments.workdir))
        )
    else:
        raise ValueError("--config is missing; for example --config=configs/quickstart.py")
    overrides.apply(config, arguments.overrides)
    return settings.load(config)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        print(f"usis: {message}; see {self.prog} --help", file=sys.stderr)
        self.exit(2)


def _parser():
    parser = _Parser(prog="usis", description="Photos from label maps, learned without pairs.")
    parser.add_argument("--version", action="version", version=f"usis_jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    commands.required = True

    prepare = _command(
        commands, "prepare", _prepare, "build the data that a configuration names", _fields_help()
    )
    _add_config(prepare)
    prepare.add_argument(
        "--data_dir", metavar="DIR", help="where your own files lie; not needed for scenes"
    )
    prepare.add_argument(
        "--overwrite", action="store_true", help="build again what is already prepared"
    )

    train = _command(
        commands, "train", _train, "train, or go on with a run that was stopped", _fields_help()
    )
    _add_config(train, "; may be left out to go on with the run in --workdir")
    train.add_argument(
        "--workdir", metavar="DIR", required=True, help="folder of checkpoints, grids and logs"
    )
    train.add_argument(
        "--accept_config_change",
        action="store_true",
        help="go on although the run in --workdir has another configuration",
    )

    sample = _command(commands, "sample", _sample, "paint photos from a folder of label maps")
    sample.add_argument(
        "--workdir", metavar="DIR", required=True, help="folder that usis train wrote"
    )
    sample.add_argument(
        "--labels", metavar="DIR", required=True, help="folder of label maps (PNG of class ids)"
    )
    sample.add_argument("--out", metavar="DIR", required=True, help="folder to write photos into")
    sample.add_argument(
        "--num_samples", metavar="N", type=_at_least(1), default=4,
        help="photos for each label map, each from other noise (default 4)",
    )  # fmt: skip
    sample.add_argument(
        "--seed", metavar="N", type=_at_least(0), default=0, help="decides the noise (default 0)"
    )
    sample.add_argument(
        "--best", action="store_true", help="the best checkpoint instead of the latest"
    )
    return parser


def _command(commands, name, run, summary, epilog=None):
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


def _add_config(parser, more=""):
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration, such as configs/quickstart.py{more}"
    )
    parser.add_argument(
        "--config.field", metavar="VALUE", help="change a field, such as --config.steps=20"
    )


def _fields_help():
    lines = ["fields (configs/base.py explains each one) and their defaults:"]
    for name, value in settings.flatten(settings.Settings()).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        lines.append(f"  --config.{name}={text}")
    return "\n".join(lines)


def _at_least(least):
    def read(text):
        if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not allowed, it must be a whole number of {least} or more"
            )
        return int(text)

    return read


def _one_line(error):
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(text.split()) or type(error).__name__


def _check_writable(file):
    if file is None:
        return
    folder = pathlib.Path(file).absolute().parent
    if not folder.is_dir() or pathlib.Path(file).is_dir():
        raise ValueError(f"--json is {file}; it must be a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--json is {file}, and there is no permission to write there")


def _write_json(file, result):
    if file is None:
        return
    part = pathlib.Path(f"{file}.part")
    part.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    part.replace(file)


if __name__ == "__main__":
    sys.exit(main())
