"""`usis train-evaluator`: trains a small segmenter on real images, for measuring generated ones."""

from usis_jax.cli.commands import arguments
from usis_jax.errors import UserError

_WITHOUT_CONFIG = "configs/small.py"


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "train-evaluator",
        run,
        "train a segmenter on real images, to measure generated ones",
        "Without --config give --pairs, --measure, --height and --width.\n\n"
        + arguments.fields_help(),
    )
    arguments.add_config(parser, "; of it the data and their size are used")
    parser.add_argument(
        "--pairs", metavar="NAME:SPLIT",
        help="prepared images with their label maps to train on, such as scenes:test (default: "
        "train, or else test, of the data set to measure on)",
    )  # fmt: skip
    parser.add_argument(
        "--measure", metavar="NAME:SPLIT",
        help="other pairs to measure the evaluator on, short for --config.data.validation",
    )  # fmt: skip
    arguments.add_size(parser, "{side} of the images, short for --config.data.{side}")
    arguments.add_path(
        parser,
        "--out",
        arguments.OUTPUT_FOLDER,
        metavar="DIR",
        required=True,
        help="folder for the evaluator; it must not exist yet",
    )
    parser.add_argument(
        "--steps", metavar="N", type=arguments.at_least(1), help="training steps (default 500)"
    )
    parser.add_argument(
        "--batch_size", metavar="N", type=arguments.at_least(1), help="pairs a step (default 8)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=arguments.seed,
        help="decides weights and order (default 0)",
    )  # fmt: skip


def run(values) -> dict | None:
    """Trains an evaluator; returns what is written as JSON, None on all but the first process."""
    if not values.config:
        missing = [
            name
            for name in ("pairs", "measure", "height", "width")
            if getattr(values, name) is None
        ]
        if missing:
            raise UserError(
                f"--{missing[0]} is missing; without --config give --pairs, "
                "--measure, --height and --width"
            )
        values.config = _WITHOUT_CONFIG
    fields = dict(values.overrides)
    for option, field in (
        ("measure", "data.validation"),
        ("height", "data.height"),
        ("width", "data.width"),
    ):
        value = getattr(values, option)
        if value is not None and field in fields:
            raise UserError(f"--{option} and --config.{field} are the same; give one of them")
        if value is not None:
            values.overrides.append((field, str(value)))
    settings = arguments.settings_of(values)
    from usis_jax.config import schema
    from usis_jax.distributed import mesh
    from usis_jax.evaluation.evaluators import train_evaluator

    if values.pairs is not None:
        try:
            schema.parse_data(values.pairs)
        except ValueError as error:
            raise UserError(f"--pairs is {error}") from None
    given = {name: getattr(values, name) for name in ("steps", "batch_size", "seed")}
    training = train_evaluator.Training(**{k: v for k, v in given.items() if v is not None})
    mesh.initialize()
    result = train_evaluator.train_evaluator(settings, values.out, values.pairs or "", training)
    if not mesh.is_first():
        return None
    print(table(result))
    return {"command": "train-evaluator", **result}


def table(result) -> str:
    """How well an evaluator segments real images, as text."""
    lines = [f"{'class':<24} IoU"]
    for name, value in result["iou"].items():
        lines.append(f"{name[:24]:<24} {'not there' if value is None else f'{100 * value:.1f} %'}")
    lines.append(
        f"{result['name']}: mIoU {100 * result['miou']:.1f} %, {100 * result['accuracy']:.1f} % of "
        f"pixels right on the {result['num_measured']} real images of {result['measure']}; trained "
        f"on {result['num_pairs']} of {result['pairs']} in {result['seconds']:.0f} s; "
        f"{result['picture']}"
    )
    return "\n".join(lines)
