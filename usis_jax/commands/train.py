"""`usis train`: trains, or goes on with a run."""

from usis_jax.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "train", run, "train, or go on with a run that was stopped",
        arguments.fields_help(),
    )
    arguments.add_config(parser, "; may be left out to go on with the run in --workdir")
    parser.add_argument(
        "--workdir", metavar="DIR", required=True, help="folder of checkpoints, grids and logs"
    )
    parser.add_argument(
        "--accept_config_change",
        action="store_true",
        help="go on although the run in --workdir has another configuration",
    )


def run(values) -> dict | None:
    """Trains; returns the summary written as JSON, None where another process writes it."""
    settings = arguments.settings_of(values)
    from usis_jax import parallel, train

    result = train.train(
        settings, values.workdir, accept_config_change=values.accept_config_change
    )
    if not parallel.is_first():
        return None
    print(
        f"step {result['step']} of {settings.steps}; samples, losses.png and checkpoints are in "
        f"{values.workdir}"
    )
    return {"command": "train", "workdir": str(values.workdir), **result}
