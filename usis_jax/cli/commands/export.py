"""`usis export`: writes a generator for use without this package."""

from usis_jax.cli.commands import arguments

_FORMATS = ("stablehlo", "saved_model", "onnx", "safetensors")


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "export", run, "write a generator that runs without this package",
        "Beside FILE stand FILE.json, which describes it to programs, and FILE.md, a model card. "
        "docs/exporting.md\nhas a script for each format.",
    )  # fmt: skip
    arguments.add_path(parser, "--workdir", arguments.RUN, metavar="DIR", help=arguments.WORKDIR)
    parser.add_argument(
        "--format", required=True, choices=_FORMATS,
        help="stablehlo (JAX), saved_model (TensorFlow), onnx (onnxruntime and others) or "
        "safetensors (weights with their configuration)",
    )  # fmt: skip
    arguments.add_path(
        parser,
        "--out",
        arguments.OUTPUT,
        metavar="FILE",
        required=True,
        help="file to write; for saved_model a folder",
    )
    arguments.add_step(parser)
    arguments.add_size(parser, "{side} of photos (default: that of training)")
    parser.add_argument(
        "--input", choices=("noise", "seed"), default="noise",
        help="what is given beside label maps: noise (default), or a seed to draw it from "
        "(stablehlo and saved_model)",
    )  # fmt: skip
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the parameters in safetensors (default float32)",
    )
    arguments.add_path(
        parser, "--scores", arguments.INPUT_FILE, metavar="FILE",
        help="what usis evaluate --json wrote, for the model card "
        "(default: what the work directory keeps of it)",
    )  # fmt: skip


def run(values) -> dict:
    """Exports; returns what is written as JSON."""
    from usis_jax.export import export

    result = export.export(
        values.workdir, values.format, values.out, **arguments.checkpoint(values),
        height=values.height, width=values.width, given=values.input, dtype=values.dtype,
        scores=values.scores,
    )  # fmt: skip
    tried = result["largest_difference"]
    print(
        f"{result['file']}: {values.format} of step {result['step']}, "
        f"{result['bytes'] / 1e6:.2f} MB; model card: {result['card']}"
    )
    if tried is not None:
        print(f"checked: differs by at most {tried:.1e} from the images of usis sample")
    elif values.format == "onnx":
        print("not tried, as onnxruntime is not installed: pip install 'usis_jax[export]'")
    return {"command": "export", **result}
