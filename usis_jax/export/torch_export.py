"""From a run to a published state dict, so that results can be checked in PyTorch."""

import jax
import numpy as np

from usis_jax.checkpoint import flat_trees, manager, metadata
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError
from usis_jax.interop import files, torch
from usis_jax.storage import paths
from usis_jax.workdir import layout

_PUBLISHED = {
    "generator": {"multipliers": schema.Generator().multipliers, "spade_width": 128,
                  "spade_kernel": 3, "noise": "image"},
    "segmenter": {"down": schema.Segmenter().down, "up": schema.Segmenter().up},
    "discriminator": {"channel_base": 32768, "channel_max": 512, "dense": 512, "stddev_group": 4},
}  # fmt: skip
NETWORKS = tuple(_PUBLISHED)
_LAST = {"wavelet": ((2, 4), (4, 4)), "whole": ((2, 4),), "patch": ((4, 4),)}
"""Sizes of the last feature that the published discriminators have."""


def export_checkpoint(
    workdir, path, network: str = "generator", best: bool = False, step: int | None = None
) -> dict:
    """Write one network of a run with the published keys.

    Discriminators group their minibatch standard deviation as published when they run in PyTorch,
    whatever discriminator.stddev_grouping is here.

    Args:
      workdir: directory of a run, or of an imported generator.
      path: file to write; its suffix says in which format, see `files.write`.
      network: "generator" (its moving average), "segmenter" or "discriminator".
      best: the best checkpoint instead of the latest.
      step: number of a checkpoint, or None.

    Returns:
      dict: file, network, kind, step, tensors, parameters, num_classes.

    Raises:
      FileNotFoundError: there is no checkpoint.
      UserError: the suffix is unknown, a setting has no counterpart in the published code, or the
        run was imported and has no such network.

    Source: the published state dicts.
    """
    workdir, path = paths.of(workdir, "WORKDIR", paths.FOLDER), paths.output_file(path, "FILE")
    layout.check_not_its_own(path, "FILE", workdir, "WORKDIR")
    files.check_name(path)
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        meta = checkpoints.meta(step, best)
        settings = settings_lib.from_json(meta["settings"])
        kind, grid = published_kind(settings, network)
        if network == "generator":
            variables, _ = checkpoints.restore_generator(step, best)
        else:
            variables = _variables(checkpoints.restore_arrays(step, best), network)
    arrays = torch.state_dict(kind, variables, grid)
    files.write(path, arrays)
    return {
        "file": str(path), "network": network, "kind": kind, "step": meta["step"],
        "tensors": len(arrays), "parameters": sum(
            np.size(leaf) for leaf in jax.tree.leaves(variables["params"])),
        "num_classes": metadata.restore_spec(meta).num_classes,
    }  # fmt: skip


def published_kind(settings, network: str) -> tuple[str, tuple[int, int] | None]:
    """Which published network a run's network is.

    Args:
      settings: Settings of the run.
      network: "generator", "segmenter" or "discriminator".

    Returns:
      (kind as in `torch.load`, size of a discriminator's last feature or None).

    Raises:
      UserError: a field has a value that the published code does not have; names it.

    Source: the published networks.
    """
    section = getattr(settings, network)
    for field, published in _PUBLISHED[network].items():
        value = getattr(section, field)
        if value != published:
            raise UserError(
                f"{network}.{field} is {value!r}; only {published!r} has a published "
                "counterpart that weights can be exported to"
            )
    if network == "segmenter":
        return "segmenter", None
    kind = f"{section.name}_{network}"
    return kind, _grid(settings) if network == "discriminator" else None


def _grid(settings) -> tuple[int, int]:
    """Size of the discriminator's last feature, if it is a published one."""
    name = settings.discriminator.name
    stride = 2 ** (settings.discriminator_levels + 1)
    fields, sizes = ("data.height", "data.width"), (settings.data.height, settings.data.width)
    if name == "patch":
        fields, sizes = ("discriminator.patch",), (settings.discriminator.patch,) * 2
    grid = tuple(size // stride for size in sizes)
    if grid not in _LAST[name]:
        what = " and ".join(f"{f}={s}" for f, s in zip(fields, sizes, strict=False))
        allowed = " or ".join(f"{height}x{width}" for height, width in _LAST[name])
        raise UserError(
            f"{what} with {settings.discriminator_levels} levels leave "
            f"{grid[0]}x{grid[1]} pixels; the published {name} discriminator ends "
            f"with {allowed}, so its weights cannot be exported"
        )
    return grid


def _variables(flat, network):
    """Parameters and collections of a network in the arrays of a training state."""
    params, collections = f"params/{network}/", f"collections/{network}/"
    own = {
        f"params/{name.removeprefix(params)}": value
        for name, value in flat.items()
        if name.startswith(params)
    }
    own |= {
        name.removeprefix(collections): value
        for name, value in flat.items()
        if name.startswith(collections)
    }
    return flat_trees.nest(own)
