"""Published PyTorch weights as modules and variables of this package, and back; without PyTorch.

A state dict is read as published key -> NumPy array. `keys` names, for each of our arrays, the
published key and the change of layout; then every key must have been used and every array filled.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.errors import UserError
from usis_jax.interop import keys
from usis_jax.models.discriminator import WaveletDiscriminator
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.patch_discriminator import PatchDiscriminator
from usis_jax.models.segmenter import Segmenter
from usis_jax.models.wavelet_generator import WaveletGenerator
from usis_jax.models.whole_discriminator import WholeDiscriminator
from usis_jax.ops.kernels import for_platform

_LISTED = 5
_GENERATOR = {
    "semantic_nc": None,
    "channels_G": 64,
    "z_dim": 64,
    "crop_size": 512,
    "aspect_ratio": 1.0,
}
OPTIONS = {
    "spade_generator": _GENERATOR,
    "wavelet_generator": _GENERATOR,
    "segmenter": {"semantic_nc": None},
    "wavelet_discriminator": {"size": None, "channel_multiplier": 2},
    "whole_discriminator": {"size": None},
    "patch_discriminator": {"patch": None},
}
"""Options of each kind with their defaults; None: must be given."""


def load(kind: str, state_dict: Mapping[str, Any], **options) -> tuple[nn.Module, dict[str, Any]]:
    """Read a published network.

    Args:
      kind: "spade_generator", "wavelet_generator", "segmenter", "wavelet_discriminator",
        "whole_discriminator" or "patch_discriminator".
      state_dict: published key -> array, float32, any that NumPy reads (weights [O, I, kh, kw]).
      **options: generators: `semantic_nc` (K), `channels_G` (64), `z_dim` (64); `crop_size`
        and `aspect_ratio` are accepted, but the modules generate images of any size.
        segmenter: `semantic_nc` (K). wavelet_discriminator: `size` (the image's longer side),
        `channel_multiplier` (2). whole_discriminator: `size`. patch_discriminator: `patch` (a
        tile's side).

    Returns:
      (module, variables), module.apply(variables, ...) as for our own networks; discriminators
      group their minibatch standard deviation as published.

    Raises:
      UserError: unknown kind or option, an option that is missing or of a wrong value, or keys
        that are missing, left over, or of another shape than the module's.

    Source: the published networks' state dicts.
    """
    values = _checked(kind, options)
    kernels = for_platform(jax.default_backend())
    arrays = {key: np.asarray(value) for key, value in state_dict.items()}
    if kind.endswith("generator"):
        module, inputs, find = _generator(kind, values, kernels)
    elif kind == "segmenter":
        module = Segmenter(values["semantic_nc"], kernels=kernels)
        inputs, find = (jnp.zeros((1, module.stride, module.stride, 3)),), keys.segmenter
    else:
        module, inputs, find = _discriminator(kind, arrays, values, kernels)
    template = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs))
    return module, _fill(kind, arrays, template, find)


def state_dict(
    kind: str, variables: Mapping[str, Any], grid: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Write a network as published: the inverse of `load`, bit by bit.

    Args:
      kind: as for `load`.
      variables: the network's, of the published structure.
      grid: height and width of a discriminator's last feature; not needed for other kinds.

    Returns:
      published key -> array, with the buffers (counters, blur kernels, Haar filters) that a strict
      load_state_dict of the published module asks for.

    Raises:
      UserError: unknown kind, or a discriminator without `grid`.

    Source: the published networks' state dicts.
    """
    _known(kind)
    if kind.endswith("_discriminator") and grid is None:
        raise UserError(f"{kind}: grid is missing; give height and width of the last feature")
    find = _find(kind, grid)
    arrays = {}
    for path, value in flax.traverse_util.flatten_dict(variables, sep="/").items():
        key, layout = find(path)
        arrays[key] = np.ascontiguousarray(layout.write(np.asarray(value)))
    shapes = {key: array.shape for key, array in arrays.items()}
    return arrays | keys.buffers(kind, shapes)


def _known(kind):
    if kind not in OPTIONS:
        raise UserError(f"kind is {kind!r}; it must be one of {', '.join(OPTIONS)}")


def _checked(kind, options):
    """The options with defaults, all positive numbers."""
    _known(kind)
    allowed = OPTIONS[kind]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise UserError(f"{kind}: option {unknown[0]} is unknown; options are {', '.join(allowed)}")
    values = {name: options.get(name, default) for name, default in allowed.items()}
    for name, value in values.items():
        number = (int, float) if name == "aspect_ratio" else int
        if isinstance(value, bool) or not isinstance(value, number) or value <= 0:
            raise UserError(f"{kind}: option {name} is {value!r}; it must be a positive number")
    return values


def _find(kind, grid=None):
    """The function that names key and layout of each path of this kind."""
    if kind in ("whole_discriminator", "patch_discriminator"):
        return functools.partial(keys.whole_discriminator, grid=grid)
    find = getattr(keys, kind)
    return functools.partial(find, grid=grid) if kind.endswith("_discriminator") else find


def _generator(kind, options, kernels):
    network = SpadeGenerator if kind == "spade_generator" else WaveletGenerator
    module = network(
        options["semantic_nc"], options["channels_G"], z_dim=options["z_dim"], kernels=kernels
    )
    inputs = (jnp.zeros((1, module.stride, module.stride), jnp.int32), jnp.zeros((1, module.z_dim)))
    return module, inputs, _find(kind)


def _discriminator(kind, arrays, options, kernels):
    name = "patch" if kind == "patch_discriminator" else "size"
    size = options[name]
    if size < 16 or size & (size - 1):
        raise UserError(f"{kind}: option {name} is {size!r}; it must be a power of two, 16 or more")
    levels = size.bit_length() - 4  # the longer side ends with 4 pixels
    shared = {"levels": levels, "stddev_grouping": "published", "kernels": kernels}
    if kind == "wavelet_discriminator":
        module = WaveletDiscriminator(16384 * options["channel_multiplier"], **shared)
    elif kind == "whole_discriminator":
        module = WholeDiscriminator(**shared)
    else:
        module = PatchDiscriminator(patch=size, **shared)
    channels = module.widths(size, size)[-1]
    dense = arrays.get("final_linear.0.weight", np.zeros((1, 1)))
    rows = 4 if name == "patch" else max(1, dense.shape[-1] // (4 * channels))
    inputs = (jnp.zeros((1, rows * size // 4, size, 3)),)
    return module, inputs, _find(kind, (rows, 4))


def _fill(kind: str, arrays: dict[str, np.ndarray], template: Any, find: Callable) -> dict:
    """Arrays in the template's structure."""
    used, filled, missing, misshapen = {}, {}, [], []
    for path, wanted in flax.traverse_util.flatten_dict(template, sep="/").items():
        key, layout = find(path)
        if key not in arrays:
            missing.append(key)
            continue
        used[key] = arrays[key].shape
        value = layout.read(arrays[key], wanted.shape)
        if value is None:
            misshapen.append(f"{key} {arrays[key].shape} for {path} {wanted.shape}")
        else:
            filled[path] = jnp.asarray(value, wanted.dtype)
    known = keys.buffers(kind, used)
    left_over = [key for key in arrays if key not in used and key not in known]
    filters = [
        key for key in arrays if key in known and keys.is_other_filter(key, arrays[key], known[key])
    ]
    for names, what in (
        (missing, "missing"),
        (left_over, "left over"),
        (misshapen, "of another shape"),
        (filters, "with other filters"),
    ):
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            raise UserError(
                f"{kind}: keys {what}: {', '.join(names[:_LISTED])}{more}; the "
                "weights are another network's or the options do not fit"
            )
    return flax.traverse_util.unflatten_dict(filled, sep="/")
