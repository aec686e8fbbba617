"""`usis doctor`: what is there, and what is wrong with what to do about it."""

import pathlib

from usis_jax.cli.commands import arguments
from usis_jax.display import terminal
from usis_jax.storage import cache_dir

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "doctor", run, "say what is installed and found here, and what is wrong",
        "exit codes: 0 nothing is wrong, 1 something is. Notes are no faults.",
    )  # fmt: skip
    arguments.add_path(
        parser, "--workdir", arguments.PLACE, metavar="DIR", help="look at this run, too"
    )
    arguments.add_path(
        parser, "--data_dir", arguments.PLACE, metavar="DIR",
        help="look for data in this folder, too: prepared, or to be prepared",
    )  # fmt: skip


def run(values) -> dict:
    """Looks and prints; returns what is written as JSON."""
    from usis_jax.doctor.finding import WRONG

    found = []
    for part in _parts(values):
        found += _without_fault(*part)
    print(text(found))
    wrong = sum(one.state == WRONG for one in found)
    return {
        "command": "doctor", "exit_code": int(wrong > 0), "wrong": wrong,
        "findings": [one._asdict() for one in found],
    }  # fmt: skip


def text(found) -> str:
    """Findings as lines for a terminal, what is wrong with its advice below it.

    Args:
      found: list of Finding.

    Returns:
      Lines; the last one counts what is wrong.
    """
    lines, part = [], None
    for one in found:
        if one.part != part:
            part = one.part
            lines.append(terminal.styled(part, "bold"))
        mark = terminal.styled(f"{one.state:<5}", _COLOURS[one.state])
        lines.append(f"  {mark} {_printable(f'{one.name}: {one.text}')}")
        if one.advice:
            lines.append(f"        -> {_printable(one.advice)}")
    wrong = sum(one.state == "wrong" for one in found)
    last = f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong" if wrong else "nothing is wrong"
    return "\n".join([*lines, terminal.styled(last, "bold", "red" if wrong else "green")])


def _parts(values):
    """What to look at: pairs of a group's name and a function that looks.

    Each imports what it needs itself, so that a package that is missing or broken is a finding.
    """
    parts = [
        ("packages", _packages),
        ("devices", _devices),
        ("disk", lambda: _disks(values)),
        ("data", _prepared),
        ("weights", _weights),
    ]
    if values.data_dir:
        parts.insert(4, ("data", lambda: _source(values)))
    if values.workdir:
        parts.append(("run", lambda: _work_directory(values)))
    return parts


def _packages():
    from usis_jax.doctor import packages

    return packages.look()


def _devices():
    from usis_jax.doctor import machine

    return [*machine.devices(), machine.memory(), machine.pages()]


def _disks(values):
    from usis_jax.doctor import machine

    folders = [("prepared data", _prepared_dir()), ("caches", cache_dir.directory())]
    if values.workdir:
        folders.append(("work directory", values.workdir))
    return machine.disks(folders)


def _prepared():
    from usis_jax.doctor import holdings

    return holdings.data_sets(_prepared_dir())


def _prepared_dir():
    from usis_jax.config import settings
    from usis_jax.data.preparation import locations

    return locations.directory(settings.Settings())


def _source(values):
    from usis_jax.doctor import holdings

    return holdings.source(pathlib.Path(values.data_dir))


def _weights():
    from usis_jax.doctor import holdings

    return holdings.caches(cache_dir.directory())


def _work_directory(values):
    from usis_jax.doctor import holdings

    return holdings.run(pathlib.Path(values.workdir))


def _without_fault(part, look):
    """What a look finds; where it fails itself, a finding that says so."""
    from usis_jax.doctor.finding import WRONG, Finding

    try:
        return look()
    except Exception as error:  # whatever is broken, the doctor goes on with the next part
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return [
            Finding(
                part,
                "doctor",
                WRONG,
                f"could not look ({said})",
                "if nothing else here explains it, in the clone: pip install -e .",
            )
        ]


def _printable(line):
    """A line without what a terminal takes for commands, which names of files may hold."""
    return "".join(c if c.isprintable() else "?" for c in line)
