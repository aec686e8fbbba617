"""Published state dicts of DRN-D-105 with its segmentation head to our variables."""

from collections.abc import Mapping

import numpy as np

from usis_jax.checkpoint import flat_trees
from usis_jax.evaluation.networks import drn
from usis_jax.interop.folding import StateDict

_PARTS = {"narrow": ("conv1", "bn1"), "middle": ("conv2", "bn2"), "widen": ("conv3", "bn3"),
          "project": ("downsample.0", "downsample.1")}  # fmt: skip


def variables(
    state_dict: Mapping[str, np.ndarray], name="the state dict", num_classes=drn.CLASSES
) -> dict:
    """Variables of `Drn` from a published state dict.

    Args:
      state_dict: key -> array, with keys such as "base.3.0.conv1.weight".
      name: of the file, for messages.
      num_classes: of its output.

    Returns:
      {"params": ...} of float32 arrays, each batch norm folded into its convolution.

    Raises:
      ValueError: a key is missing, left over or of another shape.

    Source: the keys of drn-d-105_ms_cityscapes.pth.
    """
    left = StateDict(state_dict, name, "DRN-D-105 for segmentation")
    params = {}
    for path, sizes in drn.convolutions(num_classes).items():
        for part, array in left.convolution(*_keys(path), *sizes)["conv"].items():
            params[f"params/{path}/conv/{part}"] = array
    side = 2 * drn.STRIDE
    enlarge = left.take("up.weight", (num_classes, 1, side, side))
    params["params/enlarge"] = enlarge[:, 0].transpose(1, 2, 0)
    left.finish()
    return flat_trees.nest(params)


def _keys(path):
    """Prefixes of a convolution's and its batch norm's keys."""
    if path == "classes":
        return "seg", None
    level, _, part = path.partition("/")
    prefix = "base." + level.removeprefix("level_").replace("_", ".")
    conv, norm = _PARTS[part] if part else ("0", "1")
    return f"{prefix}.{conv}", f"{prefix}.{norm}"
