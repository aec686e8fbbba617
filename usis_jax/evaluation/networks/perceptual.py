"""Trunks and heads of the learned perceptual distances: LPIPS and shift-tolerant LPIPS.

Both compare photos by what VGG16 or AlexNet makes of them at five levels: features of unit length
at every place, their squared difference weighted by channel. The shift-tolerant one was trained
again with blurred pools in place of strided ones, so its values are of another scale.

Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018; Ghildyal, Liu, "Shift-Tolerant Perceptual Similarity Metric",
ECCV 2022; Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019 (the blur).
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""Photos in [-1, 1] are brought to the range of the trunks' training by (x - SHIFT) / SCALE."""
_TINY = 1e-10
_BLUR = (0.25, 0.5, 0.25)


class Conv(NamedTuple):
    """One convolution with a ReLU behind it: width, square size, margin and stride."""

    width: int
    size: int
    margin: int
    stride: int = 1


class Trunk(NamedTuple):
    """A trunk: its levels' convolutions, before which levels it pools, and the pool's window."""

    levels: tuple[tuple[Conv, ...], ...]
    pooled: tuple[int, ...]
    window: int


TRUNKS = {
    "vgg16": Trunk(
        tuple((Conv(width, 3, 1),) * times
              for width, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))),
        (1, 2, 3, 4), 2),
    "alexnet": Trunk(
        ((Conv(64, 11, 2, 4),), (Conv(192, 5, 2),), (Conv(384, 3, 1),), (Conv(256, 3, 1),),
         (Conv(256, 3, 1),)),
        (1, 2), 3),
}  # fmt: skip


class Perceptual(nn.Module):
    """A learned perceptual distance.

    Attributes:
      trunk: "vgg16" or "alexnet".
      tolerant: whether pools and strides are those of the shift-tolerant one.

    Source: as of this module.
    """

    trunk: str
    tolerant: bool = False

    @nn.compact
    def __call__(self, photos: Array) -> list[Array]:
        """Describes photos.

        Args:
          photos: float [B, H, W, 3] in [-1, 1], no side below `smallest`.

        Returns:
          Features of each level, float32 [B, h, w, C], of length 1 at every place.
        """
        trunk, x, found = TRUNKS[self.trunk], (photos - np.float32(SHIFT)) / np.float32(SCALE), []
        for level, convs in enumerate(trunk.levels):
            if level in trunk.pooled:
                window = (trunk.window,) * 2
                x = nn.max_pool(x, window, (1, 1) if self.tolerant else (2, 2))
                x = _blurred_half(x) if self.tolerant else x
            for place, conv in enumerate(convs):
                layer = nn.Conv(
                    conv.width, (conv.size,) * 2, 1 if self.tolerant else conv.stride,
                    ((conv.margin,) * 2,) * 2, precision=jax.lax.Precision.HIGHEST,
                    name=f"conv_{level}_{place}",
                )  # fmt: skip
                x = layer(x)
                # In place of a stride of 4: halved here, and once more at the next pool.
                x = _blurred_half(x) if self.tolerant and conv.stride > 1 else x
                x = nn.relu(x)
            found.append(x / (jnp.sqrt(jnp.square(x).sum(-1, keepdims=True)) + _TINY))
        return found


def distances(features: Sequence[Array], heads: Sequence[Array]) -> Array:
    """Compares all described photos with each other.

    Args:
      features: of each level, float32 [N, h, w, C], as `Perceptual` gives them.
      heads: of each level, float32 [C], how much a channel counts.

    Returns:
      float32 [N, N], symmetric, 0 on the diagonal.

    Source: as of this module; all pairs as one product of matrices is ours.
    """
    total = 0.0
    for x, head in zip(features, heads, strict=True):
        # What all photos have in common is taken away first: it would cost digits.
        x = x - x.mean(0)
        products = jnp.einsum("ihwc,jhwc->ij", x * head, x, precision=jax.lax.Precision.HIGHEST)
        squares = jnp.diagonal(products)
        total += (squares[:, None] + squares[None] - 2 * products) / (x.shape[1] * x.shape[2])
    return total


def smallest(trunk: str, tolerant: bool) -> int:
    """Smallest side of photos: below it a level has no place left, or too few to mirror."""
    return next(side for side in range(1, 1000) if _fits(TRUNKS[trunk], tolerant, side))


def _fits(trunk, tolerant, side):
    def halved(side):
        return (side + 4 - 3) // 2 + 1 if side > 2 else 0

    for level, convs in enumerate(trunk.levels):
        if level in trunk.pooled:
            side = side - trunk.window + 1 if tolerant else (side - trunk.window) // 2 + 1
            side = halved(side) if tolerant else side
        for conv in convs:
            step = 1 if tolerant else conv.stride
            side = (side + 2 * conv.margin - conv.size) // step + 1
            side = halved(side) if tolerant and conv.stride > 1 else side
        if side < 1:
            return False
    return True


def _blurred_half(x: Array) -> Array:
    """Every second place after a 3x3 binomial filter; two more places on every side, mirrored."""
    x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    for axis in (1, 2):
        size = (x.shape[axis] - 3) // 2 + 1
        x = sum(
            weight * jax.lax.slice_in_dim(x, i, i + 2 * size - 1, 2, axis=axis)
            for i, weight in enumerate(_BLUR)
        )
    return x
