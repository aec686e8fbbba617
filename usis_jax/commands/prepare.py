"""`usis prepare`: builds the data that a configuration names."""

from usis_jax.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "prepare", run, "build the data that a configuration names",
        arguments.fields_help(),
    )
    arguments.add_config(parser)
    parser.add_argument(
        "--data_dir", metavar="DIR", help="where your own files lie; not needed for scenes"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="build again what is already prepared"
    )


def run(values) -> dict:
    """Prepares data; returns what is written as JSON."""
    settings = arguments.settings_of(values)
    from usis_jax.data import prepare

    result = prepare.prepare(settings, values.data_dir, overwrite=values.overwrite)
    print(f"data is ready in {result['prepared_dir']}")
    return {"command": "prepare", **result}
