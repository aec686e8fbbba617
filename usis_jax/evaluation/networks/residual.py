"""What the published residual networks share: convolutions, blocks and resizing as they do them.

Each batch norm is folded into the convolution before it, which only changes rounding.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

EXPANSION = 4
"""How much wider a block's output is than its inner convolutions."""


class Convolution(nn.Module):
    """A convolution with bias, at full precision on every device; ReLU behind it.

    Attributes:
      width: of the output.
      size: of the square kernel; padding keeps the places where the stride is 1.
      stride, dilation: of the kernel's places and of its taps.
      relu: whether negative values are cut.
    """

    width: int
    size: int = 1
    stride: int = 1
    dilation: int = 1
    relu: bool = True

    @nn.compact
    def __call__(self, x):
        """Args: x: float [B, H, W, C]. Returns: float [B, H / stride, W / stride, width]."""
        margin = self.dilation * (self.size // 2)
        conv = nn.Conv(
            self.width, (self.size,) * 2, self.stride, ((margin, margin),) * 2,
            kernel_dilation=self.dilation, precision=jax.lax.Precision.HIGHEST, name="conv",
        )  # fmt: skip
        x = conv(x)
        return nn.relu(x) if self.relu else x


class Bottleneck(nn.Module):
    """Narrow, look around, widen; added to the input.

    Attributes:
      width: inside; the output has EXPANSION times as much.
      stride, dilation: of the block; the dilation is that of its middle.
      strided_first: the stride is that of the narrowing (as in Caffe), else of the middle.
      projected: the input is convolved before it is added.
    """

    width: int
    stride: int = 1
    dilation: int = 1
    strided_first: bool = False
    projected: bool = False

    @nn.compact
    def __call__(self, x):
        """Args: x: float [B, H, W, C]. Returns: [B, H / stride, W / stride, 4 width]."""
        first, middle = (self.stride, 1) if self.strided_first else (1, self.stride)
        wide = EXPANSION * self.width
        y = Convolution(self.width, 1, first, name="narrow")(x)
        y = Convolution(self.width, 3, middle, self.dilation, name="middle")(y)
        y = Convolution(wide, relu=False, name="widen")(y)
        if self.projected:
            x = Convolution(wide, 1, self.stride, relu=False, name="project")(x)
        return nn.relu(x + y)


def resize(x, height: int, width: int, scale=None):
    """Resizes by interpolating between the two nearest rows and columns, without antialiasing.

    Args:
      x: float [B, H, W, C].
      height, width: of the result.
      scale: places are mapped by it; None = by the ratio of the sizes.

    Returns:
      float [B, height, width, C].

    Source: torch.nn.functional.interpolate(mode="bilinear", align_corners=False).
    """
    old = x.shape[1:3]
    scales = [scale] * 2 if scale else [height / old[0], width / old[1]]
    return jax.image.scale_and_translate(
        x,
        (x.shape[0], height, width, x.shape[3]),
        (1, 2),
        jnp.asarray(scales, jnp.float32),
        jnp.zeros(2, jnp.float32),
        "linear",
        antialias=False,
    )
