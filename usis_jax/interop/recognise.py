"""Which published networks a file holds: found by their keys, under any prefix or nesting."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from usis_jax.errors import UserError

_SIGNATURES = {
    "spade_generator": ("conv_img.weight", "body.0.conv_0.bias"),
    "wavelet_generator": ("conv_img.conv.weight", "body.0.conv_0.bias"),
    "segmenter": ("layer_up_last.weight", "body_down.0.conv_s.bias"),
    "wavelet_discriminator": ("from_rgbs.0.conv.0.weight", "final_linear.0.weight"),
    "whole_discriminator": ("convs.0.0.weight", "final_linear.0.weight"),
    "decoder": ("up1.conv.0.weight_orig", "final_up.0.weight_orig"),
}
NAMES = {
    "spade_generator": "SPADE generator (--arch=usis or --arch=oasis)",
    "wavelet_generator": "wavelet generator (--arch=usis-wavelet)",
    "segmenter": "segmenter (or OASIS's discriminator)",
    "wavelet_discriminator": "wavelet discriminator",
    "whole_discriminator": "whole or patch discriminator",
    "decoder": "published decoder",
}
_PARALLEL = "module."
_DEPTH = 4
_LISTED = 3


class StateDict(NamedTuple):
    """Arrays of one network in a file: where they were, what they are ("" if unknown)."""

    name: str
    kind: str
    arrays: dict[str, np.ndarray]


def state_dicts(content: Any) -> list[StateDict]:
    """The state dicts in what a file holds.

    Prefixes go: those of DataParallel ("module.") and those of a model that holds several networks
    ("netEMA.").

    Args:
      content: nested dicts of arrays and anything else.

    Returns:
      One for each network; one of unknown kind for each dict of arrays without a known network.

    Source: the published code saves a network a file; others save {"netEMA": ...} and the like.
    """
    return list(_walk(content, ""))


def choose(content: Any, kind: str, path) -> dict[str, np.ndarray]:
    """The one state dict of a kind in what a file holds; of several, the moving average.

    Args:
      content: nested dicts of arrays and anything else.
      kind: "spade_generator" or another kind.
      path: of the file, for messages.

    Returns:
      published key -> array.

    Raises:
      UserError: there is none, or there are several and not exactly one with "ema" in its name.
    """
    found = state_dicts(content)
    fitting = [entry for entry in found if entry.kind == kind]
    averages = [entry for entry in fitting if "ema" in entry.name.lower()]
    chosen = averages or fitting
    if not chosen:
        keys = " and ".join(_SIGNATURES[kind])
        raise UserError(
            f"{path}: expected a {NAMES[kind]} (keys such as {keys}), found {_describe(found)}"
        )
    if len(chosen) > 1:
        names = ", ".join(entry.name or "one without a name" for entry in chosen)
        raise UserError(f"{path} holds several networks of this kind ({names}); save one alone")
    return chosen[0].arrays


def _walk(content: Any, name: str, depth: int = _DEPTH) -> Iterator[StateDict]:
    if not isinstance(content, dict) or not depth:
        return
    arrays = {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, np.ndarray)
    }
    if arrays:
        yield from _split(arrays, name)
    for key, value in content.items():
        yield from _walk(value, f"{name}.{key}" if name else str(key), depth - 1)


def _split(arrays: dict[str, np.ndarray], name: str, depth: int = _DEPTH) -> Iterator[StateDict]:
    """The networks in one dict of arrays: itself, or those under the first words of its keys."""
    while all(key.startswith(_PARALLEL) for key in arrays):
        arrays = {key.removeprefix(_PARALLEL): value for key, value in arrays.items()}
    kinds = [kind for kind, keys in _SIGNATURES.items() if all(key in arrays for key in keys)]
    if kinds:
        yield StateDict(name, kinds[0], arrays)
        return
    parts = {}
    for key, value in arrays.items():
        head, _, rest = key.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = value
    known = [
        entry
        for head, part in parts.items()
        if depth
        for entry in _split(part, f"{name}.{head}" if name else head, depth - 1)
        if entry.kind
    ]
    yield from known or [StateDict(name, "", arrays)]


def _describe(found: list[StateDict]) -> str:
    known = dict.fromkeys(f"a {NAMES[entry.kind]}" for entry in found if entry.kind)
    if known:
        return " and ".join(known)
    keys = [key for entry in found for key in entry.arrays]
    if not keys:
        return "no tensors"
    more = ", ..." if len(keys) > _LISTED else ""
    return f"{len(keys)} tensors of no known network ({', '.join(keys[:_LISTED])}{more})"
