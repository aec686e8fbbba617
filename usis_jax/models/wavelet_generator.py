"""Wavelet generator: an image's Haar coefficients from a label map and noise."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.layers.spade import ConvParams
from usis_jax.layers.spectral import SpectralConv, xavier_small
from usis_jax.layers.wavelet_spade import WaveletSpade
from usis_jax.models.generator import check_inputs
from usis_jax.ops import conv as conv_ops
from usis_jax.ops import haar, resample
from usis_jax.ops.kernels import REFERENCE, Kernels


class WaveletBlock(nn.Module):
    """Residual block of two wavelet SPADE layers that returns shortcut and main path apart.

    The shortcut is not normalised: it carries a start and the sums of main paths to the end, so
    that their biases count. Only the first convolution of the main path is read by nothing but
    normalisation, which takes the biases of its LL band away.

    Source: ICASSP version (wavelet generator).
    """

    features: int
    num_classes: int
    hidden: int = 128
    kernel_size: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array, label: Array, z: Array, train: bool) -> tuple[Array, Array]:
        """float [B, h, w, C] -> (shortcut, main), each float [B, h, w, features]."""
        middle = min(x.shape[-1], self.features)

        def activated(name, value):
            spade = WaveletSpade(
                self.num_classes,
                self.hidden,
                self.kernel_size,
                self.axis_name,
                self.dtype,
                self.kernels,
                name=name,
            )
            return nn.leaky_relu(spade(value, label, z, train), 0.2)

        def conv(name, features, size, **options):
            return SpectralConv(
                features,
                (size, size),
                iterate=train,
                dtype=self.dtype,
                kernel_init=xavier_small,
                name=name,
                conv_general_dilated=conv_ops.same(self.kernels.conv),
                **options,
            )

        shortcut = x
        if x.shape[-1] != self.features:
            shortcut = conv("conv_s", self.features, 1, use_bias=False)(x)
        x = conv("conv_0", middle, 3, fixed_biases=middle // 4 if train else 0)(
            activated("spade_0", x)
        )
        return shortcut, conv("conv_1", self.features, 3)(activated("spade_1", x))


class WaveletGenerator(nn.Module):
    """SPADE generator whose features are Haar coefficients, of the method's short version.

    Widths are four times `multipliers` times `width`: the first is the start's, then one a block.
    Between blocks the main path is upsampled nearest and the shortcut as an image, bilinear; the
    end is an inverse Haar, so the stride is 2 ** (len(multipliers) - 1): 64 as published.

    Source: ICASSP version. `hidden` (128) and `kernel_size` (3) of the modulation are the paper's;
    smaller ones differ from the paper and are for small machines.
    """

    num_classes: int
    width: int = 64
    multipliers: tuple[int, ...] = (16, 16, 16, 8, 4, 2, 1)
    z_dim: int = 64
    hidden: int = 128
    kernel_size: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    kernels: Kernels = REFERENCE

    @property
    def stride(self) -> int:
        """Height and width of label maps must be multiples of this."""
        return 2 ** (len(self.multipliers) - 1)

    @nn.compact
    def __call__(self, label: Array, z: Array, train: bool = False) -> Array:
        """Generates images.

        Args:
          label: int [B, H, W], ids in [0, K); H and W multiples of `stride`.
          z: float [B, Z] (one noise an image) or [B, H, W, Z] (one a pixel), standard normal.
          train: batch statistics and one power iteration, instead of the stored ones.

        Returns:
          float32 [B, H, W, 3] in (-1, 1).

        Raises:
          ValueError: a size is not a multiple of the stride, or z has another size than z_dim.

        Source: ICASSP version.
        """
        check_inputs(label, z, self.stride, self.z_dim)
        widths = [4 * multiplier * self.width for multiplier in self.multipliers]
        kernel, bias = ConvParams(widths[0], 3, self.z_dim + self.num_classes, name="start")()
        x = self.kernels.label_conv(
            label,
            z,
            kernel.astype(self.dtype),
            bias.astype(self.dtype),
            label.shape[1] // self.stride,
            label.shape[2] // self.stride,
        )
        block = remat.by_block(WaveletBlock, self.remat, static=(4,))
        for number, features in enumerate(widths[1:]):
            shortcut, main = block(
                features,
                self.num_classes,
                self.hidden,
                self.kernel_size,
                self.axis_name,
                self.dtype,
                self.kernels,
                name=f"block_{number}",
            )(x, label, z, train)
            if number + 2 < len(widths):
                shortcut, main = resample.wavelet_up(shortcut), resample.nearest_up(main)
            x = shortcut + main
        x = nn.Conv(
            12,
            (1, 1),
            dtype=self.dtype,
            kernel_init=xavier_small,
            name="to_wavelet",
            conv_general_dilated=conv_ops.same(self.kernels.conv),
        )(x)
        return jnp.tanh(haar.inverse(x.astype(jnp.float32)))
