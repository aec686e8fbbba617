"""Wavelet discriminator: scores a whole photo, working on its Haar coefficients."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.layers.equalized import EqualConv, EqualDense, MinibatchStddev
from usis_jax.ops import haar, resample
from usis_jax.ops.kernels import REFERENCE, Kernels


class WaveletDiscriminator(nn.Module):
    """SWAGAN's discriminator, one score a photo, and its features for the decoder.

    `levels` halvings follow the Haar transform; published are as many as leave 4 pixels on the
    longer side. The width at level 0 is min(channel_max, channel_base // s), s the longer side
    rounded up to a power of two, and at level l > 0 that of s / 2 ** (l + 1), as SWAGAN has it.

    Source: paper §5.2, fig. 4. Widths other than channel_base 32768 and channel_max 512 differ from
    the paper and are for small machines.
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
        """Widths of the features, fine to coarse, levels + 1 of them. Source: SWAGAN."""
        size = 1 << (max(height, width) - 1).bit_length()
        scales = [size] + [size >> level + 1 for level in range(1, self.levels + 1)]
        return [
            max(4, min(self.channel_max, self.channel_base // max(1, scale)) // 4 * 4)
            for scale in scales
        ]

    @nn.compact
    def __call__(self, photo: Array) -> tuple[Array, list[Array]]:
        """Score photos.

        Args:
          photo: float [B, H, W, 3] in [-1, 1]; H and W multiples of 2 ** (levels + 1).

        Returns:
          (score float32 [B, 1], features fine to coarse: levels tensors [B, h, w, C], the last of
          size H / 2 ** (levels + 1)).

        Raises:
          ValueError: a size is not a multiple of the stride.

        Source: paper §5.2, fig. 4.
        """
        height, width = photo.shape[1:3]
        widths = self.widths(height, width)
        stride = 2 ** len(widths)
        if height % stride or width % stride:
            raise ValueError(
                f"discriminator: photo is {height}x{width}, both sizes must be "
                f"multiples of {stride}"
            )
        # Float32 until a convolution reads them: details are small differences of pixels.
        wavelets = haar.forward(photo.astype(jnp.float32))
        x = _conv(self, "from_wavelet_0", widths[0], 1)(wavelets)
        features, one_level = [], remat.by_block(_one_level, self.remat, static=(3, 4))
        for level in range(1, len(widths)):
            wavelets = haar.forward(resample.fir_down(haar.inverse(wavelets)))
            x = one_level(self, x, wavelets, level, tuple(widths))
            features.append(x)
        x = MinibatchStddev(self.stddev_group, self.stddev_grouping, self.axis_name)(x)
        x = _conv(self, "last_conv", widths[-1], 3)(x)
        x = x.reshape(x.shape[0], -1)
        x = EqualDense(self.dense, activate=True, name="dense")(x)
        return EqualDense(1, name="score")(x), features


def _conv(
    network: WaveletDiscriminator, name: str, features: int, size: int, down: bool = False
) -> EqualConv:
    return EqualConv(features, size, down, network.dtype, kernels=network.kernels, name=name)


def _one_level(
    network: WaveletDiscriminator, x: Array, wavelets: Array, level: int, widths: tuple[int, ...]
) -> Array:
    """Features of the level before and Haar coefficients of this one -> features of this one."""
    x = _conv(network, f"conv_{level}_1", widths[level - 1], 3)(x)
    x = _conv(network, f"conv_{level}_2", widths[level], 3, down=True)(x)
    return x + _conv(network, f"from_wavelet_{level}", widths[level], 1)(wavelets)
