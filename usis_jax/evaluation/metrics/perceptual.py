"""Learned perceptual distance between samples of one label map: higher is more diverse.

Four measures, none comparable with another: LPIPS and shift-tolerant LPIPS (ST-LPIPS), each with
VGG16 and with AlexNet.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018; as diversity over pairs of samples: Zhu et al., "Toward Multimodal Image-to-Image
Translation", NeurIPS 2017; Ghildyal, Liu, "Shift-Tolerant Perceptual Similarity Metric", ECCV 2022.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.distributed import padding
from usis_jax.errors import UserError
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.evaluation.networks import perceptual as networks
from usis_jax.evaluation.networks import perceptual_keys
from usis_jax.ops import pixel_range

BATCH = 4


class Kind(NamedTuple):
    """One measure: its name in results, trunk, whether shift-tolerant, and its known files."""

    title: str
    trunk: str
    tolerant: bool
    files: tuple[str, ...]


KNOWN = {
    "st-lpips-vgg16": Kind("ST-LPIPS VGG16", "vgg16", True, ("st-lpips-vgg16",)),
    "st-lpips-alexnet": Kind("ST-LPIPS AlexNet", "alexnet", True, ("st-lpips-alexnet",)),
    "lpips-vgg16": Kind("LPIPS VGG16", "vgg16", False, ("vgg16", "lpips-vgg16")),
    "lpips-alexnet": Kind("LPIPS AlexNet", "alexnet", False, ("alexnet", "lpips-alexnet")),
}
"""Name of --perceptual -> Kind."""


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """A learned perceptual distance with its weights.

    Attributes:
      title: its name in results.
      trunk: "vgg16" or "alexnet".
      tolerant: whether it is the shift-tolerant one.
      variables: weights of the trunk.
      heads: of each level float32 [C], how much a channel counts.
      sha256: checksums of its files.
    """

    title: str
    trunk: str
    tolerant: bool
    variables: Any
    heads: Sequence[np.ndarray]
    sha256: tuple[str, ...]

    @property
    def id(self) -> str:
        """By which results are stored, such as "st_lpips_vgg16"."""
        return f"{'st_' if self.tolerant else ''}lpips_{self.trunk}"

    @property
    def name(self) -> str:
        """What to print beside a result: measure and weights."""
        return f"{self.title} ({', '.join(digest[:8] for digest in self.sha256)})"

    def pairs(self, photos) -> np.ndarray:
        """Compares all pairs of photos; each goes through the trunk once.

        Args:
          photos: uint8 [N, H, W, 3], N at least 2. Their features take about 500 bytes (VGG16) or
            150 (AlexNet) a pixel of each.

        Returns:
          float32 [N (N - 1) / 2]: distances of (0, 1), (0, 2), ..., (1, 2), ..., at least 0.

        Raises:
          UserError: not such an array, fewer than 2 photos, or photos too small.
        """
        photos, least = np.asarray(photos), networks.smallest(self.trunk, self.tolerant)
        if photos.ndim != 4 or photos.shape[-1] != 3 or photos.dtype != np.uint8:
            raise UserError(f"photos must be uint8 [N, H, W, 3], got {photos.dtype} {photos.shape}")
        if len(photos) < 2:
            raise UserError(f"photos must be 2 or more to compare, got {len(photos)}")
        if min(photos.shape[1:3]) < least:
            raise UserError(
                f"{self.title} needs photos of at least {least} pixels a side, got "
                f"{photos.shape[1]}x{photos.shape[2]}"
            )
        describe = _describe(self.trunk, self.tolerant)
        parts = [
            [level[:count] for level in describe(self.variables, batch)]
            for _, batch, count in padding.batches(photos, BATCH)
        ]
        levels = [jnp.concatenate(level) for level in zip(*parts, strict=True)]
        table = np.asarray(_distances(levels, tuple(self.heads)))
        return np.maximum(table[np.triu_indices(len(photos), 1)], 0)


def load(name: str, path=None) -> Perceptual:
    """Loads a measure from its known files.

    Args:
      name: one of KNOWN.
      path: folder with the files; None = the cache of `usis get-weights`.

    Raises:
      UserError: unknown name; or a file is not there, and how to get it, or is another one.
    """
    if name not in KNOWN:
        raise UserError(f"--perceptual is {name!r}; it must be one of {', '.join(KNOWN)}")
    kind = KNOWN[name]
    found = [pretrained_weights.find(file, path) for file in kind.files]
    dicts = [pretrained_weights.read(*pair) for pair in found]
    names = [str(file) for file, _ in found]
    if kind.tolerant:
        variables, heads = perceptual_keys.tolerant(*dicts, kind.trunk, *names)
    else:
        variables, heads = perceptual_keys.original(*dicts, kind.trunk, names)
    variables = jax.tree.map(jnp.asarray, variables)
    return Perceptual(
        kind.title,
        kind.trunk,
        kind.tolerant,
        variables,
        heads,
        tuple(known.sha256 for _, known in found),
    )


def in_cache() -> list[str]:
    """Names of the measures whose files the cache of `usis get-weights` holds."""
    return [
        name for name, kind in KNOWN.items() if all(map(pretrained_weights.are_there, kind.files))
    ]


@functools.cache
def _describe(trunk, tolerant):
    network = networks.Perceptual(trunk, tolerant)
    return jax.jit(lambda variables, photos: network.apply(variables, pixel_range.to_float(photos)))


_distances = jax.jit(networks.distances)
