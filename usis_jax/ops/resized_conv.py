"""3x3 convolution of a nearest-upsampled image: same result, 16 multiplications for 36.

After nearest upsampling the nine taps of a pixel see only four different values, so each of the
four output pixels of an input pixel is a 2x2 convolution of the small image, with sums of the 3x3
kernel's taps as weights.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops.conv import conv

_SEEN = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
"""Which of three taps in a row see the same pixel: [even or odd output pixel, pixel, tap]."""

_SEEN_OF_BOTH = np.einsum("pai,qbj->abpqij", _SEEN, _SEEN).reshape(16, 9)
"""The same along both axes: [pixel's row and column, output pixel's row and column; tap]."""


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
    channels, features = kernel.shape[2:]
    # As one product, since each operation of sixteen sums takes its time to compile.
    small = jnp.matmul(_SEEN_OF_BOTH.astype(kernel.dtype), kernel.reshape(9, -1),
                       precision=jax.lax.Precision.HIGHEST)
    small = jnp.moveaxis(small.reshape(2, 2, 4, channels, features), 2, 3)
    small = small.reshape(2, 2, channels, 4 * features)
    windows = conv(x, small, padding=1).reshape(batch, height + 1, width + 1, 2, 2, features)
    rows = [jnp.stack([windows[:, p:p + height, q:q + width, p, q] for q in (0, 1)], axis=3)
            for p in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, features)
