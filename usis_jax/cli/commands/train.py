"""`usis train`: trains, or goes on with a run."""

import sys

from usis_jax.cli.commands import arguments
from usis_jax.distributed import preemption


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "train",
        run,
        "train, or go on with a run that was stopped",
        arguments.fields_help(),
    )
    arguments.add_config(parser, "; may be left out to go on with the run in --workdir")
    arguments.add_path(
        parser,
        "--workdir",
        arguments.RUN_FOLDER,
        metavar="DIR",
        required=True,
        help="folder of checkpoints, grids and logs",
    )
    parser.add_argument(
        "--accept_config_change",
        action="store_true",
        help="go on although the run in --workdir has another configuration",
    )
    hosts = parser.add_argument_group(
        "several processes",
        "Start the same command in every process. Without these, COORDINATOR_ADDRESS, "
        "NUM_PROCESSES and PROCESS_ID are read.",
    )
    hosts.add_argument(
        "--coordinator_address",
        metavar="HOST:PORT",
        help="address of process 0; auto: what Slurm, Open MPI or the TPU pod say",
    )
    hosts.add_argument("--num_processes", type=int, metavar="N", help="number of processes")
    hosts.add_argument("--process_id", type=int, metavar="I", help="this process, from 0")
    hosts.add_argument(
        "--join_timeout", type=int, default=300, metavar="S",
        help="seconds in which all processes must come together (300)",
    )  # fmt: skip
    hosts.add_argument(
        "--lost_timeout", type=int, default=60, metavar="S",
        help="seconds of silence after which a process is taken for gone and the others end (60)",
    )  # fmt: skip
    parser.epilog = (
        (parser.epilog or "")
        + "\n\nexit codes: 0 done; 75 stopped by SIGTERM, SIGHUP, SIGUSR1, a preemption notice or "
        "the\nloss of another process: the same command goes on; 130 stopped by Ctrl-C, saved "
        "too;\n2 bad use or input, or a disk that cannot be written; 1 anything else. The first "
        "signal\nfinishes the step, saves, and does what is due; a second one leaves at once.\n"
    )


def run(values) -> dict:
    """Trains; returns the summary written as JSON."""
    settings = arguments.settings_of(values)
    from usis_jax.distributed import mesh
    from usis_jax.train import run

    mesh.initialize(
        values.coordinator_address,
        values.num_processes,
        values.process_id,
        values.join_timeout,
        values.lost_timeout,
    )
    result = run.train(settings, values.workdir, accept_config_change=values.accept_config_change)
    if not mesh.is_first():  # the first process writes for all, the exit code is everybody's
        sys.exit(preemption.exit_code(result["interrupted"]))
    print(
        f"step {result['step']} of {settings.steps}; samples, losses.png and checkpoints are in "
        f"{values.workdir}"
    )
    return {"command": "train", "workdir": str(values.workdir), **result}
