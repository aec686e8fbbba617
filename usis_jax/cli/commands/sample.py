"""`usis sample`: generates images from a folder of label maps."""

from usis_jax.cli.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "sample", run, "generate images from a folder of label maps"
    )
    arguments.add_path(parser, "--workdir", arguments.RUN, metavar="DIR", help=arguments.WORKDIR)
    arguments.add_path(
        parser,
        "--labels",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="folder of label maps (PNG of class ids); default: the "
        "maps that usis demo begins with, written into OUT/labels",
    )
    arguments.add_path(
        parser,
        "--out",
        arguments.OUTPUT_FOLDER,
        metavar="DIR",
        required=True,
        help="folder to write images into",
    )
    parser.add_argument(
        "--num_samples", metavar="N", type=arguments.at_least(1), default=4,
        help="images for each label map, each from other noise (default 4)",
    )  # fmt: skip
    parser.add_argument(
        "--seed",
        metavar="N",
        type=arguments.seed,
        default=0,
        help="decides the noise (default 0)",
    )
    arguments.add_step(parser)


def run(values) -> dict:
    """Generates images; returns what is written as JSON."""
    from usis_jax.inference import label_folders, sampling
    from usis_jax.serving import examples

    arguments.use_of_run(values.workdir)
    generator = sampling.Generator.load(values.workdir, **arguments.checkpoint(values))
    labels = values.labels or examples.write(generator, values.out)
    result = label_folders.sample_folder(
        generator, labels, values.out, values.num_samples, values.seed
    )
    print(
        f"{result['photos']} images of {result['labels']} label maps; all together in "
        f"{result['contact_sheet']}"
    )
    return {"command": "sample", "out": str(values.out), **result}
