"""Decoders of the discriminator's features: reconstruct the photo that the discriminator saw.

They run in training on real photos only, so batch normalisation needs no running statistics.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.ops import conv as conv_ops
from usis_jax.ops import haar
from usis_jax.ops.kernels import REFERENCE, Kernels

_EPSILON = 1e-5


def instance_norm(x: Array, epsilon: float = _EPSILON) -> Array:
    """Zero mean and unit variance of each channel of each sample, no parameters.

    Args:
      x: float [B, H, W, C].
      epsilon: added to the variance.

    Returns:
      float [B, H, W, C], the dtype of x; statistics are float32.

    Source: paper §5.2 (Ulyanov et al. 2016).
    """
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(axis=(1, 2), keepdims=True)
    variance = jnp.square(centred).mean(axis=(1, 2), keepdims=True)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


class BatchNorm(nn.Module):
    """Zero mean and unit variance of each channel, then a learned scale and shift.

    Statistics are taken over the whole batch on all devices of `axis_name`, always.

    Source: paper, table 4 (Ioffe and Szegedy 2015).
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """float [B, H, W, C] -> float [B, H, W, C], the dtype of x."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        wide = x.astype(jnp.float32)
        centred = wide - self._mean(wide)
        variance = self._mean(jnp.square(centred))
        return (centred * (scale * jax.lax.rsqrt(variance + _EPSILON)) + bias).astype(x.dtype)

    def _mean(self, x: Array) -> Array:
        """Mean of each channel over the whole batch: [C]."""
        mean = x.mean(axis=(0, 1, 2))
        return jax.lax.pmean(mean, self.axis_name) if self.axis_name else mean


def block_widths(features: list[Array], width_max: int) -> list[int]:
    """Channels of a decoder's blocks, coarse to fine.

    Args:
      features: the discriminator's, fine to coarse.
      width_max: most channels of a block, a multiple of 4.

    Returns:
      As many as features: each block's are those of the feature that joins it, the last one's half
      of the finest feature's; all multiples of 4.

    Differs from the paper, which leaves them open.
    """
    finest = max(4, features[0].shape[-1] // 2 // 4 * 4)
    widths = [feature.shape[-1] for feature in features[-2::-1]] + [finest]
    return [min(width, width_max) for width in widths]


class WaveletDecoder(nn.Module):
    """WaveletUpsample blocks, from coarse features to a photo.

    A block is: Haar-domain x2, 3x3 convolution, instance norm (or, with `batch_norm`, batch norm
    with learned scale and shift), leaky ReLU. Each level's discriminator feature is concatenated
    before the next block; the finest resolution has none, so the photo cannot be copied through.

    Source: paper §5.2, fig. 4, table 4 (WaveletUpsample + IN, + BN). Differs from the published
    code, whose decoder is another one and in no optimiser.
    """

    width_max: int = 512
    dtype: jnp.dtype = jnp.float32
    batch_norm: bool = False
    axis_name: str | None = None
    remat: str = "none"
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, features: list[Array]) -> Array:
        """Reconstruct photos.

        Args:
          features: the discriminator's, fine to coarse, each float [B, h, w, C], C a multiple of 4.

        Returns:
          float32 [B, H, W, 3] in (-1, 1), four times the size of the finest feature.

        Source: paper §5.2, fig. 4.
        """
        x = features[-1].astype(self.dtype)
        block = remat.by_block(_wavelet_block, self.remat, static=(2, 3))
        for number, width in enumerate(block_widths(features, self.width_max)):
            if number:
                x = jnp.concatenate([x, features[-1 - number].astype(self.dtype)], axis=-1)
            x = block(self, x, width, number)
        x = nn.Conv(
            12,
            (1, 1),
            dtype=self.dtype,
            name="to_wavelet",
            conv_general_dilated=conv_ops.same(self.kernels.conv),
        )(x)
        return jnp.tanh(haar.inverse(x.astype(jnp.float32)))


def _wavelet_block(decoder: WaveletDecoder, x: Array, width: int, number: int) -> Array:
    """float [B, h, w, C] -> float [B, 2h, 2w, width]."""
    x = nn.Conv(
        width,
        (3, 3),
        use_bias=False,
        dtype=decoder.dtype,
        name=f"conv_{number}",
        conv_general_dilated=conv_ops.resized(decoder.kernels.wavelet_up_conv),
    )(x)
    if decoder.batch_norm:
        x = BatchNorm(decoder.axis_name, name=f"norm_{number}")(x)
    else:
        x = instance_norm(x)
    return nn.leaky_relu(x, 0.2)


class TransposedDecoder(nn.Module):
    """Transposed convolutions with batch norm, from coarse features to a photo.

    A block is: 4x4 transposed convolution of stride 2, batch norm with learned scale and shift,
    leaky ReLU; features join as in `WaveletDecoder`. The last transposed convolution makes the
    photo.

    Source: paper, table 4 (transposed convolutions + BN); kernel size and widths are ours.
    """

    width_max: int = 512
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, features: list[Array]) -> Array:
        """Reconstruct photos.

        Args:
          features: the discriminator's, fine to coarse, each float [B, h, w, C].

        Returns:
          float32 [B, H, W, 3] in (-1, 1), four times the size of the finest feature.

        Source: paper, table 4.
        """
        x = features[-1].astype(self.dtype)
        block = remat.by_block(_transposed_block, self.remat, static=(2, 3))
        for number, width in enumerate(block_widths(features, self.width_max)):
            if number:
                x = jnp.concatenate([x, features[-1 - number].astype(self.dtype)], axis=-1)
            x = block(self, x, width, number)
        x = _double(self, x, 3, "to_rgb", use_bias=True)
        return jnp.tanh(x.astype(jnp.float32))


def _double(decoder: TransposedDecoder, x: Array, width: int, name: str, use_bias: bool) -> Array:
    """float [B, h, w, C] -> float [B, 2h, 2w, width]."""
    return nn.ConvTranspose(
        width, (4, 4), (2, 2), use_bias=use_bias, dtype=decoder.dtype, name=name
    )(x)


def _transposed_block(decoder: TransposedDecoder, x: Array, width: int, number: int) -> Array:
    """float [B, h, w, C] -> float [B, 2h, 2w, width]."""
    x = _double(decoder, x, width, f"up_{number}", use_bias=False)
    return nn.leaky_relu(BatchNorm(decoder.axis_name, name=f"norm_{number}")(x), 0.2)
