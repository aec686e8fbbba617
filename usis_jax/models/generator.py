"""SPADE generator: an image from a label map and noise."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.layers.spade import ConvParams, Spade
from usis_jax.layers.spectral import SpectralConv, xavier_small
from usis_jax.ops import conv as conv_ops
from usis_jax.ops import resample
from usis_jax.ops.kernels import REFERENCE, Kernels


class SpadeBlock(nn.Module):
    """Residual block of two SPADE layers and spectrally normalised convolutions.

    `normalised` says that only batch normalisation reads the result (see SpectralConv's
    `fixed_biases`).

    Source: paper §5.1; SPADE's residual block with mid = min(in, out).
    """

    features: int
    num_classes: int
    hidden: int = 128
    kernel_size: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    normalised: bool = False
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array, label: Array, z: Array, train: bool) -> Array:
        """float [B, h, w, C] -> float [B, h, w, features]; label int [B, H, W], z as in Spade."""
        middle = min(x.shape[-1], self.features)

        def spade(name, value):
            return Spade(
                self.num_classes,
                self.hidden,
                self.kernel_size,
                self.axis_name,
                self.dtype,
                self.kernels,
                name=name,
            )(value, label, z, train)

        def conv(name, features, size, use_bias=True, normalised=False):
            return SpectralConv(
                features,
                (size, size),
                use_bias=use_bias,
                iterate=train,
                fixed_biases=features if train and normalised else 0,
                dtype=self.dtype,
                kernel_init=xavier_small,
                name=name,
                conv_general_dilated=conv_ops.same(self.kernels.conv),
            )

        shortcut = x
        if x.shape[-1] != self.features:
            shortcut = conv("conv_s", self.features, 1, use_bias=False)(spade("spade_s", x))
        x = conv("conv_0", middle, 3, normalised=True)(nn.leaky_relu(spade("spade_0", x), 0.2))
        x = conv("conv_1", self.features, 3, normalised=self.normalised)(
            nn.leaky_relu(spade("spade_1", x), 0.2)
        )
        return shortcut + x


def check_inputs(label: Array, z: Array, stride: int, z_dim: int) -> None:
    """Check the inputs of a generator.

    Args:
      label: int [B, H, W].
      z: float [B, Z] or [B, H, W, Z].
      stride: H and W must be multiples of it.
      z_dim: Z.

    Raises:
      ValueError: a size is not a multiple of the stride, or z has another size than z_dim.
    """
    batch, height, width = label.shape
    if height % stride or width % stride:
        raise ValueError(
            f"generator: label map is {height}x{width}, both sizes must be multiples of {stride}"
        )
    if z.shape not in ((batch, z_dim), (batch, height, width, z_dim)):
        raise ValueError(
            f"generator: z has shape {z.shape}, must be {(batch, z_dim)} or "
            f"{(batch, height, width, z_dim)}"
        )


class SpadeGenerator(nn.Module):
    """SPADE generator with 3-D noise, OASIS's, the paper's choice.

    Widths are `multipliers` times `width`: the first is the start's, then one a block, with nearest
    x2 between blocks, so the stride is 2 ** (len(multipliers) - 2): 32 in the paper.

    Source: paper §5.1. `hidden` (128) and `kernel_size` (3) of the modulation are the paper's;
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
        return 2 ** (len(self.multipliers) - 2)

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

        Source: paper §5.1.
        """
        check_inputs(label, z, self.stride, self.z_dim)
        widths = [multiplier * self.width for multiplier in self.multipliers]
        # A block that changes the width reads its input through batch normalisation only.
        normalised = [len(set(widths[number:])) > 1 for number in range(len(widths))]
        kernel, bias = ConvParams(widths[0], 3, self.z_dim + self.num_classes, name="start")()
        bias = jax.lax.stop_gradient(bias) if train and normalised[0] else bias
        x = self.kernels.label_conv(
            label,
            z,
            kernel.astype(self.dtype),
            bias.astype(self.dtype),
            label.shape[1] // self.stride,
            label.shape[2] // self.stride,
        )
        block = remat.by_block(SpadeBlock, self.remat, static=(4,))
        for number, features in enumerate(widths[1:]):
            if number:
                x = resample.nearest_up(x)
            x = block(
                features,
                self.num_classes,
                self.hidden,
                self.kernel_size,
                self.axis_name,
                self.dtype,
                normalised[number + 1],
                self.kernels,
                name=f"block_{number}",
            )(x, label, z, train)
        x = nn.Conv(
            3,
            (3, 3),
            dtype=self.dtype,
            kernel_init=xavier_small,
            name="to_rgb",
            conv_general_dilated=conv_ops.same(self.kernels.conv),
        )(nn.leaky_relu(x, 0.2))
        return jnp.tanh(x.astype(jnp.float32))
