"""`usis completion`: completion of commands, options and fields for a shell."""

import argparse
import dataclasses
import re
import sys

from usis_jax.cli.commands import arguments
from usis_jax.config import settings

SHELLS = ("bash", "zsh", "fish")

# Bash hands `--option=value` on as three words; what shtab writes wants two.
_BASH_WORDS = """

_usis_without_equals() {
  local words=() word index=0 cword=0
  for word in "${COMP_WORDS[@]}"; do
    if [[ $word == "=" && $index -lt $COMP_CWORD ]]; then
      :
    elif [[ $word == "=" ]]; then
      cword=${#words[@]}; words+=("")
    else
      [[ $index -eq $COMP_CWORD ]] && cword=${#words[@]}
      words+=("$word")
    fi
    index=$((index + 1))
  done
  local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword
  _shtab_usis
}

complete -o bashdefault -F _usis_without_equals usis
"""


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "completion", run, "complete commands, options and fields with Tab",
        "now, in this shell:\n"
        '  bash  eval "$(usis completion bash)"\n'
        '  zsh   autoload -U compinit; compinit; eval "$(usis completion zsh)"\n'
        "  fish  usis completion fish | source\n"
        "from now on:\n"
        "  bash  usis completion bash > ~/.local/share/bash-completion/completions/usis\n"
        "  zsh   usis completion zsh > _usis, in a folder of $fpath\n"
        "  fish  usis completion fish > ~/.config/fish/completions/usis.fish\n",
    )  # fmt: skip
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


def run(values) -> dict:
    """Prints the script; returns what is written as JSON."""
    text = script(values.parser, values.shell)
    sys.stdout.write(text)
    return {"command": "completion", "shell": values.shell, "lines": text.count("\n")}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What a shell must read to complete `usis`.

    Args:
      parser: that of `usis` with all commands; it is changed on the way.
      shell: one of SHELLS.

    Returns:
      A script in the shell's language that needs nothing else: no Python runs at Tab.
    """
    import shtab

    for command in commands_of(parser).values():
        _say_kinds(command, shtab)
    text = shtab.complete(parser, shell)
    if shell == "bash":
        text += _BASH_WORDS
    if shell == "zsh":  # _arguments takes --option=value only where it is told so
        text = re.sub(r'^( +"(?:\([^)]*\))?--[\w.]+)(\[.*\]:)', r"\1=\2", text, flags=re.M)
    return text.rstrip("\n") + "\n"


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by name."""
    [subparsers] = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return dict(subparsers.choices)


def _say_kinds(parser, shtab):
    """Marks options that take files and folders; puts every field in place of --config.field."""
    for action in list(parser._actions):
        if "--config.field" in action.option_strings:
            action.help = argparse.SUPPRESS
            _add_fields(parser)
        elif isinstance(action, arguments.PathOption):
            folder = action.metavar in ("DIR", "WORKDIR")
            action.complete = shtab.DIRECTORY if folder else shtab.FILE


def _add_fields(parser):
    choices = _choices(settings.Settings)
    for name, value in settings.flatten(settings.Settings()).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        allowed = ("True", "False") if isinstance(value, bool) else choices.get(name)
        parser.add_argument(
            f"--config.{name}",
            choices=allowed,
            metavar="VALUE",
            help=f"default {text}" if text else "default empty",
        )


def _choices(section, prefix=""):
    """The values allowed of each field that has a list of them, by dotted name."""
    found = {}
    for field in dataclasses.fields(section):
        name, choices = prefix + field.name, field.metadata.get("choices")
        if dataclasses.is_dataclass(field.type):
            found |= _choices(field.type, f"{name}.")
        elif choices and field.type is str:
            found[name] = choices
    return found
