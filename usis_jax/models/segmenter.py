"""UNet segmenter: reads the label map back from a generated photo."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from usis_jax.layers import remat
from usis_jax.layers.spectral import SpectralConv, xavier_small
from usis_jax.ops import conv as conv_ops
from usis_jax.ops import resample
from usis_jax.ops.kernels import REFERENCE, Kernels


class ResidualBlock(nn.Module):
    """Residual block that halves ("down"), or doubles ("up") the size.

    `first` leaves out the leading leaky ReLU. A 1x1 convolution commutes with average pooling and
    with nearest upsampling, so the shortcut is always convolved at the smaller size.

    Source: paper §5.1 (OASIS's UNet discriminator).
    """

    features: int
    resize: str
    first: bool = False
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float [B, h, w, C] -> float [B, h/2, w/2, features] or [B, 2h, 2w, features]."""
        kernels = self.kernels
        same = conv_ops.same(kernels.conv)

        def conv(name, size, convolve=same):
            return SpectralConv(
                self.features,
                (size, size),
                iterate=train,
                dtype=self.dtype,
                kernel_init=xavier_small,
                name=name,
                conv_general_dilated=convolve,
            )

        down = self.resize == "down"
        shortcut = resample.average_down(x) if down else x
        if x.shape[-1] != self.features:
            shortcut = conv("conv_s", 1)(shortcut)
        if not down:
            shortcut = resample.nearest_up(shortcut)
        x = x if self.first else nn.leaky_relu(x, 0.2)
        first, second = same, conv_ops.resized(kernels.conv_average_down)
        if not down:
            first, second = conv_ops.resized(kernels.nearest_up_conv), same
        x = nn.leaky_relu(conv("conv_1", 3, first)(x), 0.2)
        return shortcut + conv("conv_2", 3, second)(x)


class Segmenter(nn.Module):
    """UNet of residual blocks with K + 1 logits a pixel; channel 0 is never a target.

    `down` and `up` are the widths after each block; each up block but the first takes the
    concatenation [encoder feature of that size, x]. Stride 2 ** len(down): 64 in the paper.

    Source: paper §5.1.
    """

    num_classes: int
    down: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    up: tuple[int, ...] = (512, 256, 256, 128, 128, 64)
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"
    kernels: Kernels = REFERENCE

    @property
    def stride(self) -> int:
        """Height and width of photos must be multiples of this."""
        return 2 ** len(self.down)

    @nn.compact
    def __call__(self, photo: Array, train: bool = False) -> Array:
        """Classify every pixel.

        Args:
          photo: float [B, H, W, 3] in [-1, 1]; H and W multiples of `stride`.
          train: one power iteration of the spectral norms.

        Returns:
          float32 [B, H, W, K+1]: logits; the class with id k is channel k + 1.

        Raises:
          ValueError: a size is not a multiple of the stride.

        Source: paper §5.1.
        """
        if photo.shape[1] % self.stride or photo.shape[2] % self.stride:
            raise ValueError(
                f"segmenter: photo is {photo.shape[1]}x{photo.shape[2]}, both sizes "
                f"must be multiples of {self.stride}"
            )
        block = remat.by_block(ResidualBlock, self.remat, static=(2,))
        x, features = photo.astype(self.dtype), []
        for number, width in enumerate(self.down):
            x = block(width, "down", number == 0, self.dtype, self.kernels, name=f"down_{number}")(
                x, train
            )
            features.append(x)
        for number, width in enumerate(self.up):
            if number:
                x = jnp.concatenate([features[-number - 1], x], axis=-1)
            x = block(width, "up", False, self.dtype, self.kernels, name=f"up_{number}")(x, train)
        logits = nn.Conv(
            self.num_classes + 1,
            (1, 1),
            dtype=self.dtype,
            kernel_init=xavier_small,
            name="to_logits",
            conv_general_dilated=conv_ops.same(self.kernels.conv),
        )(x)
        return logits.astype(jnp.float32)
