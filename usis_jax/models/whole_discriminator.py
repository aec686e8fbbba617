"""Whole-image discriminator: one score a photo, from its pixels."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.layers.equalized import EqualConv, EqualDense, MinibatchStddev
from usis_jax.ops import resample
from usis_jax.ops.kernels import REFERENCE, Kernels


class DownBlock(nn.Module):
    """Residual block of two 3x3 convolutions that halves the size.

    The shortcut is a FIR downsampling and a 1x1 convolution without bias or activation; the sum is
    divided by sqrt 2, which keeps the variance.

    Source: paper, table 1 (whole-image discriminator); StyleGAN2's residual block.
    """

    features: int
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """float [B, h, w, C] -> float [B, h/2, w/2, features]."""

        def conv(name, features, size, down=False, linear=False):
            return EqualConv(features, size, down, self.dtype, linear, self.kernels, name=name)

        shortcut = conv("skip", self.features, 1, linear=True)(resample.fir_down(x))
        x = conv("conv_1", x.shape[-1], 3)(x)
        x = conv("conv_2", self.features, 3, down=True)(x)
        return (x + shortcut) * math.sqrt(0.5)


class WholeDiscriminator(nn.Module):
    """StyleGAN2's residual discriminator, one score a photo.

    `levels` + 1 residual blocks halve the photo; published are as many as leave 4 pixels on the
    longer side. The width at a size s (the longer side, rounded up to a power of two) is
    min(channel_max, channel_base // s).

    Source: paper, table 1; StyleGAN2. Widths other than channel_base 32768 and channel_max 512
    differ from the paper and are for small machines.
    """

    channel_base: int = 32768
    channel_max: int = 512
    levels: int = 6
    dense: int = 512
    stddev_group: int = 4
    stddev_grouping: str = "local"
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    kernels: Kernels = REFERENCE

    def widths(self, height: int, width: int) -> list[int]:
        """Widths at the photo's size and after each block, levels + 2. Source: StyleGAN2."""
        size = 1 << (max(height, width) - 1).bit_length()
        return [
            max(4, min(self.channel_max, self.channel_base // max(1, size >> block)))
            for block in range(self.levels + 2)
        ]

    @nn.compact
    def __call__(self, photo: Array, tiles: int = 1) -> tuple[Array, list[Array]]:
        """Score photos.

        Args:
          photo: float [B, H, W, 3] in [-1, 1]; H and W multiples of 2 ** (levels + 1).
          tiles: consecutive samples that belong to one photo.

        Returns:
          (score float32 [B, 1], features fine to coarse: levels + 1 tensors [B, h, w, C], the last
          of size H / 2 ** (levels + 1)).

        Raises:
          ValueError: a size is not a multiple of the stride.

        Source: paper, table 1.
        """
        height, width = photo.shape[1:3]
        stride = 2 ** (self.levels + 1)
        if height % stride or width % stride:
            raise ValueError(
                f"discriminator: photo is {height}x{width}, both sizes must be "
                f"multiples of {stride}"
            )
        widths = self.widths(height, width)
        x = EqualConv(widths[0], 1, dtype=self.dtype, kernels=self.kernels, name="first")(photo)
        features, block = [], remat.by_block(DownBlock, self.remat)
        for number, channels in enumerate(widths[1:]):
            x = block(channels, self.dtype, self.kernels, name=f"block_{number}")(x)
            features.append(x)
        x = MinibatchStddev(self.stddev_group, self.stddev_grouping, self.axis_name, tiles)(x)
        x = EqualConv(widths[-1], 3, dtype=self.dtype, kernels=self.kernels, name="last_conv")(x)
        x = EqualDense(self.dense, activate=True, name="dense")(x.reshape(x.shape[0], -1))
        return EqualDense(1, name="score")(x), features
