"""3x3 convolution of a nearest-upsampled image: same result, 16 multiplications for 36.

After nearest upsampling the nine taps of a pixel see only four different values, so each of the
four output pixels of an input pixel is a 2x2 convolution of the small image, with sums of the 3x3
kernel's taps as weights.
"""

import jax.numpy as jnp
from jax import Array

from usis_jax.ops.conv import conv


def _halves(taps: Array) -> list[list[Array]]:
    """For the even and the odd output pixel the two weights, from three along the first axis."""
    return [[taps[0], taps[1] + taps[2]], [taps[0] + taps[1], taps[2]]]


def conv_of_nearest_up(x: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of the nearest-upsampled image.

    Args:
      x: float [B, H, W, C].
      kernel: float [3, 3, C, F].

    Returns:
      float [B, 2H, 2W, F], equal to convolving `resample.nearest_up(x)`.

    Source: ours; the UNet's up blocks (paper §5.1).
    """
    batch, height, width = x.shape[:3]
    features = kernel.shape[-1]
    # Indexed by row and column of the output pixel's parity, then of the tap: [channels, features].
    small = jnp.stack([jnp.stack([jnp.concatenate(
        [_halves(_halves(kernel)[p][a])[q][b] for p in (0, 1) for q in (0, 1)], axis=-1)
        for b in (0, 1)]) for a in (0, 1)])
    windows = conv(x, small, padding=1).reshape(batch, height + 1, width + 1, 2, 2, features)
    rows = [jnp.stack([windows[:, p:p + height, q:q + width, p, q] for q in (0, 1)], axis=3)
            for p in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, features)
