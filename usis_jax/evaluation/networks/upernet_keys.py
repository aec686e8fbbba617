"""Published state dicts of UPerNet with ResNet-101, encoder and decoder, to our variables."""

from collections.abc import Mapping

import numpy as np

from usis_jax.checkpoint import flat_trees
from usis_jax.evaluation.networks import upernet
from usis_jax.interop.folding import StateDict

_PARTS = {"narrow": ("conv1", "bn1"), "middle": ("conv2", "bn2"), "widen": ("conv3", "bn3"),
          "project": ("downsample.0", "downsample.1")}  # fmt: skip
_DECODER = {"pooled": "ppm_last_conv", "joint": "conv_last.0"}


def variables(
    encoder: Mapping[str, np.ndarray],
    decoder: Mapping[str, np.ndarray],
    names=("the encoder's state dict", "the decoder's state dict"),
    num_classes=upernet.CLASSES,
) -> dict:
    """Variables of `UPerNet` from the two published state dicts.

    Args:
      encoder: key -> array, with keys such as "layer1.0.conv1.weight".
      decoder: key -> array, with keys such as "ppm_last_conv.0.weight".
      names: of the files, for messages.
      num_classes: of the output.

    Returns:
      {"params": ...} of float32 arrays, each batch norm folded into its convolution.

    Raises:
      ValueError: a key is missing, left over or of another shape.

    Source: the keys of ade20k-resnet101-upernet's encoder_epoch_50.pth and decoder_epoch_50.pth.
    """
    params = {}
    for part, arrays, name, convolutions, keys_of in (
        ("encoder", encoder, names[0], upernet.encoder_convolutions(), _encoder_keys),
        ("decoder", decoder, names[1], upernet.decoder_convolutions(num_classes), _decoder_keys),
    ):
        left = StateDict(arrays, name, f"UPerNet with ResNet-101, its {part}")
        for path, sizes in convolutions.items():
            for leaf, array in left.convolution(*keys_of(path), *sizes)["conv"].items():
                params[f"params/{part}/{path}/conv/{leaf}"] = array
        left.finish()
    return flat_trees.nest(params)


def _encoder_keys(path):
    """Prefixes of a convolution's and its batch norm's keys."""
    block, _, part = path.partition("/")
    numbers = list(map(int, block.split("_")[1:]))
    if not part:
        return f"conv{numbers[0] + 1}", f"bn{numbers[0] + 1}"
    conv, norm = _PARTS[part]
    prefix = f"layer{numbers[0] + 1}.{numbers[1]}"
    return f"{prefix}.{conv}", f"{prefix}.{norm}"


def _decoder_keys(path):
    if path == "classes":
        return "conv_last.1", None
    kind, _, number = path.partition("_")
    if kind == "pool":
        prefix = f"ppm_conv.{upernet.POOLS.index(int(number))}"
    elif kind == "lateral":
        prefix = f"fpn_in.{number}"
    elif kind == "level":
        prefix = f"fpn_out.{number}.0"
    else:
        prefix = _DECODER[path]
    return f"{prefix}.0", f"{prefix}.1"
