"""`usis demo`: draw label maps in the browser and see the generated images."""

import argparse
import re

from usis_jax.cli.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "demo", run, "draw label maps in the browser and see the images"
    )
    arguments.add_path(parser, "--workdir", arguments.RUN, metavar="DIR", help=arguments.WORKDIR)
    arguments.add_step(parser)
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1",
        help="address to listen at; 0.0.0.0 lets other machines in (default 127.0.0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--port", metavar="N", type=_port, default=8000,
        help="port to listen at, 0 for any that is free (default 8000)",
    )  # fmt: skip
    parser.add_argument(
        "--allow_host", metavar="NAME", action="append", default=[],
        help="a name under which a proxy hands requests on; may be given several times",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(values) -> dict:
    """Serves the page until Ctrl-C; returns what is written as JSON."""
    from usis_jax.inference import sampling
    from usis_jax.serving import serve

    arguments.use_of_run(values.workdir)
    generator = sampling.Generator.load(values.workdir, **arguments.checkpoint(values))
    served = serve.serve(generator, values.host, values.port, tuple(values.allow_host), values.open)
    return {"command": "demo", "workdir": values.workdir and str(values.workdir), **served}


def _port(text):
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed, it must be 0 to 65535")
    return int(text)
