"""Inception-v3 as the Fréchet inception distance uses it: photos to features of four depths.

It is the network of 2015-12-05, whose average pools leave padding out of the mean and whose last
block pools by the maximum. Each batch norm is folded into the convolution before it, which only
changes rounding.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016;
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule...", NeurIPS 2017.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from usis_jax.errors import UserError

FEATURES = (64, 192, 768, 2048)
"""Widths of the features that can be had: behind both pools of the stem, block 7 and block 10."""
SMALLEST = 75
"""Photos must have this side, or the last block has nothing to look at."""


class Conv(NamedTuple):
    """One convolution: width, size of the kernel (rows, columns), stride, and whether padded."""

    width: int
    size: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


class Block(NamedTuple):
    """Branches side by side, their results concatenated.

    A branch is a sequence of convolutions; a tuple at its end is several that share an input.

    Attributes:
      kind: letter of the block's kind in the paper's figures as implementations call them, A to E.
      branches: without `pool` all read the input; with `pool` the last one reads the pooled input.
      pool: "average", "max", or "stride" (a maximum with stride 2 that no convolution follows).
    """

    kind: str
    branches: tuple
    pool: str


STEM = (
    Conv(32, (3, 3), 2, False), Conv(32, (3, 3), 1, False), Conv(64, (3, 3)),
    Conv(80), Conv(192, (3, 3), 1, False),
)  # fmt: skip
"""Convolutions before the blocks; a maximum pool follows the third and the fifth."""


def _block_a(pooled):
    return Block("A", (
        (Conv(64),),
        (Conv(48), Conv(64, (5, 5))),
        (Conv(64), Conv(96, (3, 3)), Conv(96, (3, 3))),
        (Conv(pooled),),
    ), "average")  # fmt: skip


def _block_c(width):
    row, column = (1, 7), (7, 1)
    return Block("C", (
        (Conv(192),),
        (Conv(width), Conv(width, row), Conv(192, column)),
        (Conv(width), Conv(width, column), Conv(width, row), Conv(width, column), Conv(192, row)),
        (Conv(192),),
    ), "average")  # fmt: skip


def _block_e(pool):
    split = (Conv(384, (1, 3)), Conv(384, (3, 1)))
    return Block("E", (
        (Conv(320),), (Conv(384), split), (Conv(448), Conv(384, (3, 3)), split), (Conv(192),),
    ), pool)  # fmt: skip


_BLOCK_B = Block("B", (
    (Conv(384, (3, 3), 2, False),),
    (Conv(64), Conv(96, (3, 3)), Conv(96, (3, 3), 2, False)),
), "stride")  # fmt: skip
_BLOCK_D = Block("D", (
    (Conv(192), Conv(320, (3, 3), 2, False)),
    (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, (3, 3), 2, False)),
), "stride")  # fmt: skip

BLOCKS = (
    _block_a(32), _block_a(64), _block_a(64), _BLOCK_B, _block_c(128), _block_c(160),
    _block_c(160), _block_c(192), _BLOCK_D, _block_e("average"), _block_e("max"),
)  # fmt: skip
_TAPS = {7: 768, 10: 2048}


class Convolution(nn.Module):
    """A convolution with bias and ReLU, at full precision on every device."""

    conv: Conv
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        """Args: x: float [B, H, W, C]. Returns: float [B, H', W', conv.width]."""
        rows, columns = self.conv.size
        margin = ((rows // 2,) * 2, (columns // 2,) * 2) if self.conv.padded else "VALID"
        conv = nn.Conv(
            self.conv.width, self.conv.size, self.conv.stride, margin, dtype=self.dtype,
            precision=jax.lax.Precision.HIGHEST, name="conv")  # fmt: skip
        return nn.relu(conv(x))


class Inception(nn.Module):
    """Photos to the mean over all places of one layer's activations.

    Attributes:
      feature: width of the layer, one of FEATURES; what lies behind it is not computed.
      dtype: of the computation.

    Source: Szegedy et al. 2016, with the pools of the FID's network.
    """

    feature: int = 2048
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, photos):
        """Describes photos.

        Args:
          photos: float [B, H, W, 3] in about [-1, 1]; 299 x 299 for a published distance.

        Returns:
          float32 [B, feature].

        Raises:
          UserError: `feature` is not one of FEATURES, or photos are too small.
        """
        if self.feature not in FEATURES:
            raise UserError(f"feature is {self.feature}; it must be one of {FEATURES}")
        if photos.ndim != 4 or photos.shape[3] != 3 or min(photos.shape[1:3]) < SMALLEST:
            raise UserError(
                f"photos must be [B, H, W, 3] with sides of {SMALLEST} or more, got {photos.shape}"
            )
        x = photos
        for index, conv in enumerate(STEM):
            x = Convolution(conv, self.dtype, name=f"stem_{index}")(x)
            if index in (2, 4):
                x = _max_pool(x, 2, "VALID")
                if self.feature == x.shape[3]:
                    return _mean(x)
        for index, block in enumerate(BLOCKS):
            x = self._block(block, x, f"block_{index}")
            if self.feature == _TAPS.get(index):
                return _mean(x)
        raise AssertionError("every feature has a layer")

    def _block(self, block, x, name):
        results = []
        for number, branch in enumerate(block.branches):
            y, is_last = x, number == len(block.branches) - 1
            if is_last and block.pool != "stride":
                y = _average_pool(x) if block.pool == "average" else _max_pool(x, 1, "SAME")
            for place, conv in enumerate(branch):
                y = self._convolve(conv, y, f"{name}_{number}_{place}")
            results.append(y)
        if block.pool == "stride":
            results.append(_max_pool(x, 2, "VALID"))
        return jnp.concatenate(results, axis=3)

    def _convolve(self, conv, x, name):
        if isinstance(conv, Conv):
            return Convolution(conv, self.dtype, name=name)(x)
        parts = [self._convolve(part, x, f"{name}_{i}") for i, part in enumerate(conv)]
        return jnp.concatenate(parts, axis=3)


def convolutions():
    """Every convolution's module name and Conv, in the order of computation."""
    found = {f"stem_{index}": conv for index, conv in enumerate(STEM)}
    for index, block in enumerate(BLOCKS):
        for number, branch in enumerate(block.branches):
            for place, conv in enumerate(branch):
                name = f"block_{index}_{number}_{place}"
                split = (
                    {name: conv}
                    if isinstance(conv, Conv)
                    else {f"{name}_{i}": part for i, part in enumerate(conv)}
                )
                found |= split
    return found


def _max_pool(x, stride, padding):
    return nn.max_pool(x, (3, 3), (stride, stride), padding)


def _average_pool(x):
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _mean(x):
    return x.astype(jnp.float32).mean(axis=(1, 2))
