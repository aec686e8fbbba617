"""EfficientNet-Lite0 without its head: frozen features of images at four scales.

Batch norms are folded into the convolutions before them, padding is TensorFlow's "SAME".

Source: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019; the "lite" variants (no squeeze and excitation, ReLU6) of TensorFlow's TPU models.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from usis_jax.ops.kernels import REFERENCE, Kernels

STEM = 32


class Block(NamedTuple):
    """One inverted residual block: depthwise kernel size, expansion, width and stride."""

    size: int
    expansion: int
    width: int
    stride: int


BLOCKS = (
    Block(3, 1, 16, 1),
    Block(3, 6, 24, 2), Block(3, 6, 24, 1),
    Block(5, 6, 40, 2), Block(5, 6, 40, 1),
    Block(3, 6, 80, 2), Block(3, 6, 80, 1), Block(3, 6, 80, 1),
    Block(5, 6, 112, 1), Block(5, 6, 112, 1), Block(5, 6, 112, 1),
    Block(5, 6, 192, 2), Block(5, 6, 192, 1), Block(5, 6, 192, 1), Block(5, 6, 192, 1),
    Block(3, 6, 320, 1),
)  # fmt: skip
SCALES = (2, 4, 10, 15)
"""The blocks after which the size halves next, or the network ends: strides 4, 8, 16 and 32."""


class EfficientNetLite0(nn.Module):
    """The network up to its last block.

    Attributes:
      taken: blocks whose results are returned.
      dtype: of the arithmetic.
      kernels: what it computes with.
    """

    taken: tuple[int, ...] = SCALES
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, image: Array) -> list[Array]:
        """Features of images.

        Args:
          image: float [B, H, W, 3] in [-1, 1].

        Returns:
          Of each block of `taken`, float [B, h, w, C] of `dtype`, h = ceil(H / stride).
        """
        # The network was trained on (x - 127) / 128 of pixels in 0..255.
        x = ((image.astype(jnp.float32) * 127.5 + 0.5) / 128.0).astype(self.dtype)
        x = _relu6(nn.Conv(STEM, (3, 3), (2, 2), dtype=self.dtype, name="stem")(x))
        found = {}
        for number, block in enumerate(BLOCKS[: max(self.taken) + 1]):
            x = self._block(x, block, f"block_{number}")
            found[number] = x
        return [found[number] for number in self.taken]

    def _block(self, x: Array, block: Block, name: str) -> Array:
        inputs, start = x.shape[-1], x
        if block.expansion > 1:
            expand = nn.Conv(
                inputs * block.expansion, (1, 1), dtype=self.dtype, name=f"{name}_expand"
            )
            x = _relu6(expand(x))
        kernel = self.param(
            f"{name}_depthwise_kernel",
            nn.initializers.lecun_normal(),
            (block.size, block.size, x.shape[-1]),
            jnp.float32,
        )
        bias = self.param(
            f"{name}_depthwise_bias", nn.initializers.zeros, x.shape[-1:], jnp.float32
        )
        x = self.kernels.depthwise_conv(x, kernel.astype(self.dtype), block.stride)
        x = _relu6(x + bias.astype(self.dtype))
        x = nn.Conv(block.width, (1, 1), dtype=self.dtype, name=f"{name}_project")(x)
        return x + start if block.stride == 1 and inputs == block.width else x


def _relu6(x: Array) -> Array:
    return jnp.clip(x, 0.0, 6.0)
