"""Published key and layout of each of our arrays, and what else a published state dict holds.

One function a kind of network names, for the path of an array ("params/block_0/conv_0/kernel"), the
published key and the layout; reading and writing both use it. Published modules also register
buffers that hold no weights: `buffers` lists them, with their values, for the keys of a network.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from usis_jax.interop.layouts import CHANNELS, KERNEL, VECTOR, Layout, dense, spectral_vector

_SPADE = {"shared": "mlp_shared.0", "gamma": "mlp_gamma", "beta": "mlp_beta"}
_STATISTICS = {"mean": "running_mean", "var": "running_var"}
_HEADS = {"last_conv": "final_conv", "dense": "final_linear.0", "score": "final_linear.1"}


def spade_generator(path: str) -> tuple[str, Layout]:
    """Key and layout of an array of SpadeGenerator. Source: the published state dict."""
    return _generator(path, {"start": "fc", "to_rgb": "conv_img"})


def wavelet_generator(path: str) -> tuple[str, Layout]:
    """Key and layout of an array of WaveletGenerator. Source: the published state dict."""
    return _generator(path, {"start": "fc", "to_wavelet": "conv_img.conv"})


def segmenter(path: str) -> tuple[str, Layout]:
    """Key and layout of an array of Segmenter. Source: the published state dict."""
    _, block, *rest, leaf = path.split("/")
    if block == "to_logits":
        return _plain(leaf, "layer_up_last")
    direction, number = block.split("_")
    place = 2 if direction == "up" else min(int(number), 1)  # after leaky ReLU and upsampling
    names = {"conv_1": f"conv1.{place}", "conv_2": "conv2.1", "conv_s": "conv_s"}
    published = f"body_{direction}.{number}.{names[rest[0]]}"
    return _spectral(leaf, published, 1 if rest[0] == "conv_s" else 3)


def wavelet_discriminator(path: str, grid: tuple[int, int]) -> tuple[str, Layout]:
    """Key and layout of an array of WaveletDiscriminator, whose last feature has the size `grid`.

    Source: the published state dict.
    """
    _, name, leaf = path.split("/")
    if name in _HEADS:
        return _head(name, leaf, grid)
    if name.startswith("from_wavelet"):
        return _activated(leaf, f"from_rgbs.{name.rsplit('_', 1)[1]}.conv", 0)
    _, level, which = name.split("_")
    return _activated(leaf, f"convs.{int(level) - 1}.conv{which}", int(which) - 1)


def whole_discriminator(path: str, grid: tuple[int, int]) -> tuple[str, Layout]:
    """Key and layout of an array of WholeDiscriminator or PatchDiscriminator.

    Source: the published state dict.
    """
    _, name, *rest, leaf = path.split("/")
    if name in _HEADS:
        return _head(name, leaf, grid)
    if name == "first":
        return _activated(leaf, "convs.0", 0)
    published = f"convs.{int(name.removeprefix('block_')) + 1}"
    if rest[0] == "skip":
        return f"{published}.skip.1.weight", KERNEL
    which = int(rest[0].removeprefix("conv_"))
    return _activated(leaf, f"{published}.conv{which}", which - 1)


def _generator(path, ends):
    _, *names, leaf = path.split("/")
    if names[0] in ends:
        return _plain(leaf, ends[names[0]])
    part = names[1]
    published = f"body.{names[0].removeprefix('block_')}.{part.replace('spade', 'norm')}"
    if part.startswith("conv"):
        return _spectral(leaf, published, 1 if part == "conv_s" else 3)
    if leaf in _STATISTICS:
        return f"{published}.first_norm.{_STATISTICS[leaf]}", VECTOR
    return _plain(leaf, f"{published}.{_SPADE[names[-1]]}")


def _spectral(leaf, published, size):
    """A spectrally normalised convolution."""
    return {
        "kernel": (f"{published}.weight_orig", KERNEL),
        "bias": (f"{published}.bias", VECTOR),
        "u": (f"{published}.weight_u", VECTOR),
        "v": (f"{published}.weight_v", spectral_vector(size)),
    }[leaf]


def _plain(leaf, published):
    """A convolution without spectral norm."""
    return {"kernel": (f"{published}.weight", KERNEL), "bias": (f"{published}.bias", VECTOR)}[leaf]


def _activated(leaf, published, place):
    """An equalised convolution at a place of a sequence, its bias with the activation behind it."""
    return {
        "kernel": (f"{published}.{place}.weight", KERNEL),
        "bias": (f"{published}.{place + 1}.bias", CHANNELS),
    }[leaf]


def _head(name, leaf, grid):
    """What follows the last feature of a discriminator."""
    if name == "last_conv":
        return _activated(leaf, _HEADS[name], 0)
    if leaf == "bias":
        return f"{_HEADS[name]}.bias", VECTOR
    return f"{_HEADS[name]}.weight", dense(*grid) if name == "dense" else dense(1, 1)


_LOW, _HIGH = np.float32(0.5**0.5) * np.float32([[1, 1], [-1, 1]])
_BLUR = np.float32(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64)


def _haar(prefix, inverse=False):
    """The four 2x2 filters of a Haar transform; the inverse has the other sign in LH and HL."""
    sign = np.float32(-1 if inverse else 1)
    filters = {
        "ll": np.outer(_LOW, _LOW),
        "lh": sign * np.outer(_HIGH, _LOW),
        "hl": sign * np.outer(_LOW, _HIGH),
        "hh": np.outer(_HIGH, _HIGH),
    }
    return {f"{prefix}.{name}": value for name, value in filters.items()}


def buffers(kind: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """What a published state dict holds besides the arrays that a network computes with.

    Counters of batch norms (int64, 0), blur kernels and Haar filters; and the SPADE layers
    that the wavelet generator's blocks hold for their shortcuts and never use, which are filled so
    that they would do nothing.

    Args:
      kind: kind of network.
      shapes: published key -> shape of the network's arrays.

    Returns:
      published key -> array.

    Source: what the published modules register.
    """
    found = {}
    if kind == "wavelet_generator":
        found |= _haar("iwt", inverse=True)
        found |= _haar("up_residual.iwt", inverse=True) | _haar("up_residual.hwt")
        found |= _unused_norms(shapes)
        for norm in _parts(r"body\.\d+\.norm_.", [*shapes, *found]):
            found |= _haar(f"{norm}.iwt", inverse=True) | _haar(f"{norm}.hwt")
    if kind == "wavelet_discriminator":
        found |= _haar("dwt")
        for part in _parts(r"from_rgbs\.[1-9]\d*", shapes):
            found |= _haar(f"{part}.iwt", inverse=True) | _haar(f"{part}.dwt")
            found[f"{part}.downsample.kernel"] = _BLUR
    if kind.endswith("_discriminator"):
        for part in _parts(r"convs\.\d+\.(?:conv2|skip)", shapes):
            found[f"{part}.0.kernel"] = _BLUR
    for norm in _parts(r".+\.first_norm", [*shapes, *found]):
        found[f"{norm}.num_batches_tracked"] = np.int64(0)
    return found


def is_other_filter(key: str, value: np.ndarray, published: np.ndarray) -> bool:
    """Whether a blur kernel or Haar filter differs from the published one.

    An average of weights averages the filters too, so that they come out only about the same.
    """
    if key.rsplit(".", 1)[-1] not in ("kernel", "ll", "lh", "hl", "hh"):
        return False
    return value.shape != published.shape or not np.allclose(value, published, atol=1e-2)


def _unused_norms(shapes):
    """The wavelet generator's SPADE layers of shortcuts: of norm_0's shapes, without effect."""
    found = {}
    for key, shape in shapes.items():
        block = re.match(r"(body\.\d+)\.norm_0\.(.+)", key)
        if block and f"{block[1]}.conv_s.weight_orig" in shapes:
            fill = 1 if key.endswith("running_var") else 0
            found[f"{block[1]}.norm_s.{block[2]}"] = np.full(shape, fill, np.float32)
    return found


def _parts(pattern: str, keys: Iterable[str]) -> list[str]:
    """Names of the modules that match a pattern, each once, in the order of the keys."""
    matches = (re.match(f"({pattern})\\.", key) for key in keys)
    return list(dict.fromkeys(match[1] for match in matches if match))
