"""`usis report`: one HTML page about a run."""

from pathlib import Path

from usis_jax.cli.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "report", run, "write one HTML page about a run: pictures, curves, health"
    )
    parser.add_argument("folder", metavar="WORKDIR", nargs="?", help="folder that usis train wrote")
    parser.add_argument("--workdir", metavar="DIR", help="the same")
    parser.add_argument(
        "--out", metavar="FILE", help="page to write (default WORKDIR/report.html)"
    )


def run(values) -> dict:
    """Writes the page; returns what is written as JSON."""
    if bool(values.folder) == bool(values.workdir):
        raise ValueError("give one work directory: usis report WORKDIR")
    out = values.out and Path(values.out)
    if out and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise ValueError(f"--out is {out}; it must be a file in a folder that exists")
    from usis_jax.report import reporting

    result = reporting.write(values.folder or values.workdir, out)
    for sign in result["signs"]:
        print(f"{sign['verdict']:14s}{sign['name']}: {sign['value']}")
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"report of step {result['step']:,}: {result['file']}")
    return {"command": "report", **result}
