"""Published PyTorch weights as modules and variables of this package; PyTorch is not needed.

A state dict is read as published key -> NumPy array. Each kind of network names, for every one of
its own arrays, the published key and the change of layout; then every key must have been used and
every array filled.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.models.discriminator import WaveletDiscriminator
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.segmenter import Segmenter

_CONSTANTS = re.compile(r"(^|\.)(num_batches_tracked|kernel|ll|lh|hl|hh)$")
"""Buffers of published modules that hold no weights: counters, blur kernels, Haar filters."""
_LISTED = 5


def load(kind: str, state_dict: Mapping[str, Any], **options) -> tuple[nn.Module, dict[str, Any]]:
    """Read a published network.

    Args:
      kind: "spade_generator", "segmenter" or "wavelet_discriminator".
      state_dict: published key -> array, float32, any that NumPy reads (weights [O, I, kh, kw]).
      **options: spade_generator: `semantic_nc` (K), `channels_G` (64), `z_dim` (64); `crop_size`
        and `aspect_ratio` are accepted, but the module paints any size. segmenter: `semantic_nc`
        (K). wavelet_discriminator: `size` (the photo's longer side), `channel_multiplier` (2).

    Returns:
      (module, variables), module.apply(variables, ...) as for our own networks; the discriminator
      groups its minibatch standard deviation as published.

    Raises:
      ValueError: unknown kind or option, an option that is missing or of a wrong value, or keys
        that are missing, left over, or of another shape than the module's.

    Source: the published networks' state dicts.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(_KINDS)}")
    allowed, build = _KINDS[kind]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"{kind}: option {unknown[0]} is unknown; options are "
                         f"{', '.join(allowed)}")
    values = {name: options.get(name, default) for name, default in allowed.items()}
    for name, value in values.items():
        number = (int, float) if name == "aspect_ratio" else int
        if isinstance(value, bool) or not isinstance(value, number) or value <= 0:
            raise ValueError(f"{kind}: option {name} is {value!r}; it must be a positive number")
    arrays = {key: np.asarray(value) for key, value in state_dict.items()}
    module, inputs, find = build(arrays, values)
    template = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs))
    return module, _fill(kind, arrays, template, find)


def _fill(kind: str, arrays: dict[str, np.ndarray], template: Any, find: Callable) -> dict:
    """Arrays in the template's structure; `find(path)` -> (published key, change of layout)."""
    used, filled, missing, misshapen = set(), {}, [], []
    for path, wanted in flax.traverse_util.flatten_dict(template, sep="/").items():
        key, change = find(path)
        used.add(key)
        if key not in arrays:
            missing.append(key)
            continue
        value = change(arrays[key], wanted.shape)
        if value is None:
            misshapen.append(f"{key} {arrays[key].shape} for {path} {wanted.shape}")
        else:
            filled[path] = jnp.asarray(value, wanted.dtype)
    left_over = [key for key in arrays if key not in used and not _CONSTANTS.search(key)]
    for keys, what in ((missing, "missing"), (left_over, "left over"),
                       (misshapen, "of another shape")):
        if keys:
            more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            raise ValueError(f"{kind}: keys {what}: {', '.join(keys[:_LISTED])}{more}; the weights "
                             "are another network's or the options do not fit")
    return flax.traverse_util.unflatten_dict(filled, sep="/")


def _same(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """A vector, also one stored as [1, C, 1, 1]."""
    is_vector = value.size == max(value.shape, default=1) == np.prod(shape)
    return value.reshape(shape) if is_vector else None


def _kernel(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Weights [O, I, kh, kw] -> kernel [kh, kw, I, O]."""
    if value.ndim != 4 or value.transpose(2, 3, 1, 0).shape != shape:
        return None
    return value.transpose(2, 3, 1, 0)


def _right_vector(kernel_size: int) -> Callable:
    """Spectral vector over (I, kh, kw) -> over (kh, kw, I)."""
    def change(value, shape):
        if value.shape != shape or value.size % kernel_size**2:
            return None
        return value.reshape(-1, kernel_size, kernel_size).transpose(1, 2, 0).reshape(-1)
    return change


def _dense(height: int, width: int) -> Callable:
    """Weights [O, (c, h, w)] -> kernel [(h, w, c), O]."""
    def change(value, shape):
        if value.shape != shape[::-1]:
            return None
        return value.reshape(len(value), -1, height, width).transpose(2, 3, 1, 0).reshape(shape)
    return change


def _spectral(leaf: str, published: str, kernel_size: int) -> tuple[str, Callable]:
    """Key and change of one array of a spectrally normalised convolution."""
    return {"kernel": (f"{published}.weight_orig", _kernel), "bias": (f"{published}.bias", _same),
            "u": (f"{published}.weight_u", _same),
            "v": (f"{published}.weight_v", _right_vector(kernel_size))}[leaf]


def _plain(leaf: str, published: str) -> tuple[str, Callable]:
    """Key and change of one array of a convolution without spectral norm."""
    return {"kernel": (f"{published}.weight", _kernel), "bias": (f"{published}.bias", _same)}[leaf]


def _spade_generator(arrays: dict, options: dict):
    module = SpadeGenerator(options["semantic_nc"], options["channels_G"], z_dim=options["z_dim"])
    inputs = (jnp.zeros((1, module.stride, module.stride), jnp.int32),
              jnp.zeros((1, module.z_dim)))
    ends = {"start": "fc", "to_rgb": "conv_img"}
    spade = {"shared": "mlp_shared.0", "gamma": "mlp_gamma", "beta": "mlp_beta"}
    statistics = {"mean": "running_mean", "var": "running_var"}

    def find(path):
        _, *names, leaf = path.split("/")
        if names[0] in ends:
            return _plain(leaf, ends[names[0]])
        part = names[1]
        published = f"body.{names[0].removeprefix('block_')}.{part.replace('spade', 'norm')}"
        if part.startswith("conv"):
            return _spectral(leaf, published, 1 if part == "conv_s" else 3)
        if leaf in statistics:
            return f"{published}.first_norm.{statistics[leaf]}", _same
        return _plain(leaf, f"{published}.{spade[names[-1]]}")

    return module, inputs, find


def _segmenter(arrays: dict, options: dict):
    module = Segmenter(options["semantic_nc"])
    inputs = (jnp.zeros((1, module.stride, module.stride, 3)),)

    def find(path):
        _, block, *rest, leaf = path.split("/")
        if block == "to_logits":
            return _plain(leaf, "layer_up_last")
        direction, number = block.split("_")
        place = 2 if direction == "up" else min(int(number), 1)  # after leaky ReLU and upsampling
        names = {"conv_1": f"conv1.{place}", "conv_2": "conv2.1", "conv_s": "conv_s"}
        published = f"body_{direction}.{number}.{names[rest[0]]}"
        return _spectral(leaf, published, 1 if rest[0] == "conv_s" else 3)

    return module, inputs, find


def _wavelet_discriminator(arrays: dict, options: dict):
    size = options["size"]
    if size < 16 or size & (size - 1):
        raise ValueError(f"wavelet_discriminator: option size is {size!r}; it must be a power of "
                         "two, 16 or more")
    levels = size.bit_length() - 4  # the longer side ends with 4 pixels
    module = WaveletDiscriminator(16384 * options["channel_multiplier"], levels=levels,
                                  stddev_grouping="published")
    dense = arrays.get("final_linear.0.weight", np.zeros((1, 1)))
    channels = module.widths(size, size)[-1]
    rows = max(1, dense.shape[-1] // (4 * channels))
    inputs = (jnp.zeros((1, rows * size // 4, size, 3)),)
    heads = {"last_conv": "final_conv", "dense": "final_linear.0", "score": "final_linear.1"}

    def find(path):
        _, name, leaf = path.split("/")
        if name in ("dense", "score"):
            if leaf == "bias":
                return f"{heads[name]}.bias", _same
            return f"{heads[name]}.weight", _dense(rows, 4) if name == "dense" else _dense(1, 1)
        if name in heads:
            published, place = heads[name], 0
        elif name.startswith("from_wavelet"):
            published, place = f"from_rgbs.{name.rsplit('_', 1)[1]}.conv", 0
        else:
            _, level, which = name.split("_")
            published, place = f"convs.{int(level) - 1}.conv{which}", int(which) - 1
        return ((f"{published}.{place}.weight", _kernel) if leaf == "kernel"
                else (f"{published}.{place + 1}.bias", _same))

    return module, inputs, find


_KINDS = {
    "spade_generator": ({"semantic_nc": None, "channels_G": 64, "z_dim": 64, "crop_size": 512,
                         "aspect_ratio": 1.0}, _spade_generator),
    "segmenter": ({"semantic_nc": None}, _segmenter),
    "wavelet_discriminator": ({"size": None, "channel_multiplier": 2}, _wavelet_discriminator),
}
