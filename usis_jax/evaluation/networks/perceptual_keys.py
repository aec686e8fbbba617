"""Published state dicts of LPIPS and shift-tolerant LPIPS to our variables."""

from collections.abc import Mapping

import numpy as np

from usis_jax.errors import UserError
from usis_jax.evaluation.networks import perceptual
from usis_jax.interop.folding import StateDict

_PLAIN = {
    "vgg16": ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
    "alexnet": ((0,), (3,), (6,), (8,), (10,)),
}
_TOLERANT = {
    "vgg16": ((0, 2), (6, 8), (12, 14, 16), (20, 22, 24), (28, 30, 32)),
    "alexnet": ((0,), (5,), (9,), (11,), (13,)),
}
"""Numbers of the convolutions of each level among the trunk's layers."""
_BLURS = {"vgg16": ((2, 5), (3, 11), (4, 19), (5, 27)), "alexnet": ((1, 1), (2, 4), (3, 8))}
"""Slice and layer of each fixed blur that is stored beside the weights."""


def tolerant(
    state_dict: Mapping[str, np.ndarray], trunk: str, name="the state dict"
) -> tuple[dict, list]:
    """Variables and heads of the shift-tolerant `Perceptual` from its published file.

    Args:
      state_dict: key -> array, with keys such as "net.slice1.0.weight" and "lin0.model.1.weight".
      trunk: "vgg16" or "alexnet".
      name: of the file, for messages.

    Returns:
      ({"params": ...}, heads): float32 arrays; of each level a head [C].

    Raises:
      UserError: a key is missing, left over or of another shape, or a constant another one.

    Source: the keys of stlpips-pytorch 0.0.2.
    """
    left = StateDict(state_dict, name, f"shift-tolerant LPIPS with {trunk}")
    params = _convolutions(
        left, trunk, lambda level, place: f"net.slice{level + 1}.{_TOLERANT[trunk][level][place]}"
    )
    heads = _heads(left, trunk)
    for part, value in (("shift", perceptual.SHIFT), ("scale", perceptual.SCALE)):
        key = f"scaling_layer.{part}"
        _same(left.take(key, (1, 3, 1, 1)), np.reshape(value, (1, 3, 1, 1)), key, name)
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for number, layer in _BLURS[trunk]:
        width = _blurred_width(trunk, number, layer)
        key = f"net.slice{number}.{layer}.filt"
        _same(left.take(key, (width, 1, 3, 3)), blur, key, name)
    left.finish()
    return {"params": params}, heads


def original(
    trunk_dict: Mapping[str, np.ndarray],
    head_dict: Mapping[str, np.ndarray],
    trunk: str,
    names=("the trunk", "the heads"),
) -> tuple[dict, list]:
    """Variables and heads of the original `Perceptual` from the two files that it has.

    Args:
      trunk_dict: key -> array of torchvision's classifier; what follows its features is not used.
      head_dict: key -> array of the heads, version 0.1.
      trunk: "vgg16" or "alexnet".
      names: of the files, for messages.

    Returns:
      ({"params": ...}, heads): float32 arrays; of each level a head [C].

    Raises:
      UserError: as of `tolerant`.

    Source: the keys of torchvision and of lpips 0.1.4.
    """
    features = {
        key: value for key, value in trunk_dict.items() if not key.startswith("classifier.")
    }
    left = StateDict(features, names[0], f"torchvision's {trunk} trained on ImageNet")
    params = _convolutions(
        left, trunk, lambda level, place: f"features.{_PLAIN[trunk][level][place]}"
    )
    left.finish()
    left = StateDict(head_dict, names[1], f"the heads of LPIPS 0.1 with {trunk}")
    heads = _heads(left, trunk)
    left.finish()
    return {"params": params}, heads


def _blurred_width(trunk: str, number: int, layer: int) -> int:
    """Channels that the blur in a slice (from 1) filters: before or behind the convolution."""
    levels = perceptual.TRUNKS[trunk].levels
    inside = layer > _TOLERANT[trunk][number - 1][0]
    return levels[number - 1][0].width if inside else levels[number - 2][-1].width


def _convolutions(left, trunk, key_of):
    params, width = {}, 3
    for level, convs in enumerate(perceptual.TRUNKS[trunk].levels):
        for place, conv in enumerate(convs):
            params[f"conv_{level}_{place}"] = left.convolution(
                key_of(level, place), None, conv.size, width, conv.width
            )["conv"]
            width = conv.width
    return params


def _heads(left, trunk):
    return [
        left.take(f"lin{level}.model.1.weight", (1, convs[-1].width, 1, 1)).reshape(-1)
        for level, convs in enumerate(perceptual.TRUNKS[trunk].levels)
    ]


def _same(found, expected, key, name):
    """Raises UserError if what the network has built in is not what the file says."""
    if not np.allclose(found, expected, rtol=1e-6, atol=0):
        raise UserError(
            f"{name}: {key!r} is not the constant of the published network; give the published file"
        )
