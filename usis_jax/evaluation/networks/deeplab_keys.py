"""Published state dicts of DeepLab v2 with ResNet-101 to our variables."""

from collections.abc import Mapping

import numpy as np

from usis_jax.checkpoint import flat_trees
from usis_jax.evaluation.networks import deeplab
from usis_jax.interop.folding import StateDict

_PARTS = {"narrow": "reduce", "middle": "conv3x3", "widen": "increase", "project": "shortcut"}


def variables(
    state_dict: Mapping[str, np.ndarray], name="the state dict", num_classes=deeplab.CLASSES
) -> dict:
    """Variables of `DeepLab` from a published state dict.

    Args:
      state_dict: key -> array, with keys such as "base.layer2.block1.reduce.conv.weight".
      name: of the file, for messages.
      num_classes: of its output.

    Returns:
      {"params": ...} of float32 arrays, each batch norm folded into its convolution.

    Raises:
      ValueError: a key is missing, left over or of another shape.

    Source: the keys of deeplabv2_resnet101_msc-cocostuff164k-100000.pth.
    """
    left = StateDict(state_dict, name, "DeepLab v2 with ResNet-101 and three scales")
    params = {}
    for path, sizes in deeplab.convolutions(num_classes).items():
        conv, norm = _keys(path)
        for part, array in left.convolution(conv, norm, *sizes)["conv"].items():
            params[f"params/base/{path}/conv/{part}"] = array
    left.finish()
    return flat_trees.nest(params)


def _keys(path):
    """Prefixes of a convolution's and its batch norm's keys."""
    if path.startswith("rate_"):
        return f"base.aspp.c{deeplab.RATES.index(int(path.removeprefix('rate_')))}", None
    prefix = "base.layer1.conv1"
    if path != "stem":
        block, part = path.split("/")
        stage, number = map(int, block.split("_")[1:])
        prefix = f"base.layer{stage + 2}.block{number + 1}.{_PARTS[part]}"
    return f"{prefix}.conv", f"{prefix}.bn"
