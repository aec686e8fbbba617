"""`usis report`: one HTML page about a run."""

from usis_jax.cli.commands import arguments
from usis_jax.errors import UserError


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "report", run, "write one HTML page about a run: pictures, curves, diagnostics"
    )
    arguments.add_path(
        parser,
        "folder",
        arguments.RUN_FOLDER,
        metavar="WORKDIR",
        nargs="?",
        help="folder that usis train wrote",
    )
    arguments.add_path(parser, "--workdir", arguments.RUN_FOLDER, metavar="DIR", help="the same")
    arguments.add_path(
        parser,
        "--out",
        arguments.OUTPUT_FILE,
        metavar="FILE",
        help="page to write (default WORKDIR/report.html)",
    )


def run(values) -> dict:
    """Writes the page; returns what is written as JSON."""
    if bool(values.folder) == bool(values.workdir):
        raise UserError("give one work directory: usis report WORKDIR")
    from usis_jax.report import reporting

    result = reporting.write(values.folder or values.workdir, values.out)
    for diagnostic in result["diagnostics"]:
        print(f"{diagnostic['status']:14s}{diagnostic['name']}: {diagnostic['value']}")
    for note in result["notes"]:
        print(f"note: {note}")
    print(f"report of step {result['step']:,}: {result['file']}")
    return {"command": "report", **result}
