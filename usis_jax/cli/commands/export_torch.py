"""`usis export-torch`: writes a network of a run as the published code's state dict."""

from usis_jax.cli.commands import arguments

_NETWORKS = ("generator", "segmenter", "discriminator")


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "export-torch",
        run,
        "write a network of a run with the published code's keys",
        "PyTorch is not needed. In PyTorch: network.load_state_dict(torch.load(FILE)).",
    )
    arguments.add_path(
        parser,
        "workdir",
        arguments.RUN_FOLDER,
        metavar="WORKDIR",
        help="folder that usis train wrote",
    )
    arguments.add_path(
        parser,
        "file",
        arguments.OUTPUT_FILE,
        metavar="FILE",
        help="file to write: .pth as torch.save does, or .safetensors",
    )
    parser.add_argument(
        "--network",
        choices=_NETWORKS,
        default="generator",
        help="which one (default: generator, its moving average)",
    )
    arguments.add_step(parser)


def run(values) -> dict:
    """Exports; returns what is written as JSON."""
    from usis_jax.export import torch_export

    result = torch_export.export_checkpoint(
        values.workdir, values.file, values.network, **arguments.checkpoint(values)
    )
    print(
        f"{result['kind'].replace('_', ' ')} of step {result['step']} with "
        f"{result['parameters']:,} parameters is in {values.file}"
    )
    return {"command": "export-torch", **result}
