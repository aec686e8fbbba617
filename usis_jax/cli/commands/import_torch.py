"""`usis import-torch`: makes a work directory of a published checkpoint."""

from usis_jax.cli.commands import arguments
from usis_jax.config import suggestions
from usis_jax.errors import UserError

_ARCHITECTURES = ("usis", "usis-wavelet", "oasis")
_DATASETS = ("cityscapes", "ade20k", "coco_stuff")


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "import-torch",
        run,
        "make a work directory of a published USIS or OASIS checkpoint",
        "Files are read without running code in them, and without PyTorch.",
    )
    arguments.add_path(
        parser,
        "file",
        arguments.INPUT_FILE,
        metavar="FILE",
        help="what the published code saved, such as best_EMA.pth, or the same as .safetensors",
    )
    parser.add_argument(
        "--arch",
        required=True,
        choices=_ARCHITECTURES,
        help="usis: SPADE generator; usis-wavelet: wavelet generator; oasis: OASIS's generator",
    )
    arguments.add_path(
        parser,
        "--out",
        arguments.OUTPUT_FOLDER,
        metavar="WORKDIR",
        required=True,
        help="new folder to write",
    )
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument(
        "--dataset", choices=_DATASETS, help="what it was trained on: decides classes and size"
    )
    classes.add_argument(
        "--num_classes",
        metavar="K",
        type=arguments.at_least(1),
        help="number of classes, for other data",
    )
    arguments.add_path(
        classes,
        "--spec",
        arguments.INPUT_FILE,
        metavar="FILE",
        help="label spec of other data (TOML or YAML)",
    )
    for name in ("height", "width"):
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=arguments.at_least(1),
            help=f"{name} of images; needed for other data",
        )


def run(values) -> dict:
    """Imports; returns what is written as JSON."""
    from usis_jax.data.specs import lookup
    from usis_jax.export import torch_import

    sizes = (values.height, values.width)
    if any(sizes) != all(sizes):
        raise UserError("--height and --width must be given together")
    if not values.dataset and not all(sizes) and (values.spec or values.num_classes):
        raise UserError("--height and --width are missing; they are known for --dataset only")
    spec = None
    if values.spec:
        spec = lookup.read_own(values.spec)
    elif values.num_classes:
        spec = lookup.generic_spec(values.num_classes)
    result = torch_import.import_checkpoint(
        values.file,
        values.arch,
        values.out,
        dataset=values.dataset,
        spec=spec,
        height=values.height,
        width=values.width,
    )
    print(
        f"{result['arch']} generator with {result['parameters']:,} parameters, width "
        f"{result['channels_G']}, {result['num_classes']} classes, {result['z_dim']} noise "
        f"channels, {result['height']}x{result['width']}; generate images with: "
        + suggestions.command_line(
            "sample", workdir=values.out, out=f"{str(values.out).rstrip('/')}/generated"
        )
    )
    return {"command": "import-torch", **result}
