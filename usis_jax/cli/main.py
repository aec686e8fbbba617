"""Command line: `usis COMMAND`, each command with `--help`.

Exit codes: 0 done; 2 bad use or bad input, with one line that says what to change; 75 training was
stopped by SIGTERM, SIGHUP, SIGUSR1 or a preemption notice, saved, and goes on with the same
command; 130 interrupted by Ctrl-C, after which training is saved too; 1 anything else.
"""

import argparse
import errno
import json
import os
import sys
import traceback

from usis_jax import __version__
from usis_jax.cli.commands import arguments as arguments_lib
from usis_jax.cli.commands import (
    compile,
    completion,
    demo,
    doctor,
    evaluate,
    export,
    export_torch,
    get_weights,
    import_torch,
    inspect,
    prepare,
    report,
    sample,
    train,
    train_evaluator,
)
from usis_jax.config import suggestions
from usis_jax.display import output, terminal
from usis_jax.distributed import jax_environment, liveness, preemption
from usis_jax.errors import UserError
from usis_jax.storage import atomic

# In the order of `usis --help`: first the path from data to images, then what stands beside it.
PATH = (prepare, train, evaluate, sample, demo)
OTHERS = (
    export,
    report,
    doctor,
    inspect,
    compile,
    train_evaluator,
    get_weights,
    import_torch,
    export_torch,
    completion,
)
COMMANDS = (*PATH, *OTHERS)
# Commands that begin with JAX at once. Those that may run in several processes ask for the devices
# when they have joined each other (parallel.initialize).
_USE_DEVICES = ("sample", "demo", "export", "import-torch", "export-torch")
_USE_JAX = (
    *_USE_DEVICES,
    "prepare",
    "inspect",
    "train",
    "evaluate",
    "train-evaluator",
    "report",
    "get-weights",
)

_LONGEST = 8000
_EXPECTED_ERRNO = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.EIO,
    errno.ESTALE,
)
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
      Exit code: 0 done, 2 bad use or bad input, 75 or 130 stopped by a signal, 1 a value that is
      not finite, or what a command says with `exit_code` in its result. Other errors are raised,
      so that Python shows their traceback and exits 1.
    """
    with output.lossy():
        return _main(argv)


def _main(argv):
    """`main`, when no output can end it."""
    # TensorFlow only writes files here; without these two it fills the screen with notes.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    terminal.show_anything()
    try:
        words, overrides = split_overrides(sys.argv[1:] if argv is None else argv)
        arguments = parser().parse_args(words)
        if overrides and not hasattr(arguments, "config"):
            raise UserError(
                f"--config.{overrides[0][0]} has no effect in usis {arguments.command}, which "
                f"{_uses(arguments)}; leave it out"
            )
        arguments.overrides = overrides
        arguments_lib.check_texts(arguments)
        arguments_lib.check_apart(arguments)
        if arguments.command in _USE_JAX:
            jax_environment.check()
        if arguments.command in _USE_DEVICES:
            jax_environment.check_devices()
        with suggestions.called_with(arguments):
            result = arguments.run(arguments)
        # Of several processes that work on one command the first one writes.
        if result is not None:
            _write_json(arguments.json, result)
        result = result or {}
        return result.get("exit_code") or preemption.exit_code(result.get("interrupted"))
    except KeyboardInterrupt:
        return _end(preemption.INTERRUPTED, "interrupted")
    except MemoryError:
        return _end(1, "there is not enough memory for this")
    except FloatingPointError as error:
        return _end(1, _one_line(error))
    except Exception as error:
        if is_bad_input(error):
            return _end(2, _one_line(error))
        if text := liveness.cause():
            return _end(preemption.STOPPED, text)
        if liveness.watching():
            traceback.print_exc()
            liveness.leave(1, f"{type(error).__name__}: {_one_line(error)}")
        raise


def split_overrides(argv: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Takes `--config.field=value` and `--config.field value` out of the arguments.

    Of fields that are true or false also `--config.field` and `--noconfig.field`, as absl has it.
    Not by ml_collections.config_flags: its flags are absl's own, beside which argparse's commands
    could not be, and a wrong field or value would end in absl's usage text instead of one line.

    Args:
      argv: arguments after the program's name.

    Returns:
      The other arguments, and pairs of field name and text.

    Raises:
      UserError: a field has no value.
    """
    words, overrides = [], []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith(("--config.", "--noconfig.")):
            words.append(word)
            continue
        negated = word.startswith("--no")
        name, equals, text = word.partition(".")[2].partition("=")
        if negated and not equals and name:
            text = "false"
        elif not equals and name in _switches() and (not rest or rest[0].startswith("-")):
            text = "true"
        elif not equals:
            text = rest.pop(0) if rest and not rest[0].startswith("--") else None
        if not name or text is None or (negated and (equals or name not in _switches())):
            name = name or "field"
            raise UserError(
                f"{word} has no value; write --config.{name}=value"
                if not negated
                else f"{word} is for fields that are true or false; write --config.{name}=value"
            )
        overrides.append((name, text))
    return words, overrides


def _switches() -> set[str]:
    """Fields that are true or false."""
    from usis_jax.config import settings

    fields = settings.flatten(settings.Settings())
    return {name for name, value in fields.items() if isinstance(value, bool)}


def is_bad_input(error: Exception) -> bool:
    """Whether an error says what the user must change, rather than being a fault of the program.

    Such are UserErrors, and what the system says of files and disks.
    """
    if isinstance(error, OSError):
        return isinstance(error, _EXPECTED_OS_ERRORS) or error.errno in _EXPECTED_ERRNO
    return isinstance(error, UserError)


def _uses(arguments) -> str:
    """Where a command without --config has its configuration from."""
    if hasattr(arguments, "workdir"):
        return "uses the configuration in --workdir"
    return "uses no configuration"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        _complain(f"{message}; see {self.prog} --help")
        self.exit(2)


class _TopParser(_Parser):
    """Its help fits a screen of 80x24 and shows the path that one takes."""

    def format_help(self):
        """Returns the help as text."""
        [commands] = [action for action in self._actions if action.dest == "command"]
        about = {choice.dest: choice.help for choice in commands._choices_actions}
        path = len(PATH)
        lines = [f"{self.description}", ""]
        for title, names in (
            ("The path from data to images", list(about)[:path]),
            ("Beside it", list(about)[path:]),
        ):
            lines.append(terminal.styled(title, "bold"))
            lines += [f"  {terminal.styled(f'{name:<15}', 'cyan')} {about[name]}" for name in names]
            lines.append("")
        lines.append("usis COMMAND --help tells more; usis --version says which one this is.")
        return "\n".join(lines) + "\n"


def parser() -> argparse.ArgumentParser:
    """The parser of `usis` with all commands."""
    top = _TopParser(
        prog="usis", description="usis COMMAND [OPTIONS]: images from label maps, without pairs."
    )
    top.add_argument("--version", action="version", version=f"usis_jax {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    commands.required = True
    for module in COMMANDS:
        module.add(commands)
    top.set_defaults(parser=top)  # for the command that writes completions of all of it
    return top


def _one_line(error):
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    # Names in files may hold what terminals take for commands.
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return text[:_LONGEST] or type(error).__name__


def _end(code, text):
    """Says why the command ends, here and to the other processes of a run; returns the code."""
    _complain(text)
    liveness.leave(code, text)
    return code


def _complain(text):
    print(f"{terminal.styled('usis:', 'bold', 'red', stream=sys.stderr)} {text}", file=sys.stderr)


def _write_json(file, result):
    if file is None:
        return
    atomic.write_text(file, json.dumps(result, indent=2, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main())
