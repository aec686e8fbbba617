"""3x3 convolution of a nearest-upsampled image: same result, 16 multiplications for 36.

After nearest upsampling the nine taps of a pixel see only four different values, so each of the
four output pixels of an input pixel is a 2x2 convolution of the small image, with sums of the 3x3
kernel's taps as weights.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Rows of a 3-tap kernel summed into 2 taps, for the even and the odd output pixel.
_UP = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)


def _valid_conv(x: Array, kernel: Array) -> Array:
    """Convolution without padding: [B, H+1, W+1, C] and [2, 2, C, F] -> [B, H, W, F]."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=_DIMENSIONS)


_conv2x2 = jax.custom_vjp(_valid_conv)


def _kernel_gradient(x: Array, gradient: Array) -> Array:
    """Four matrix products: XLA's own weight gradient of 2x2 kernels is up to 60 times slower."""
    height, width = gradient.shape[1:3]
    taps = [jnp.einsum("bhwc,bhwf->cf", x[:, i:i + height, j:j + width], gradient)
            for i in (0, 1) for j in (0, 1)]
    return jnp.stack(taps).reshape(2, 2, x.shape[-1], gradient.shape[-1])


def _conv2x2_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    (to_x,) = jax.vjp(lambda value: _valid_conv(value, kernel), x)[1](gradient)
    return to_x, _kernel_gradient(x, gradient)


_conv2x2.defvjp(lambda x, kernel: (_conv2x2(x, kernel), (x, kernel)), _conv2x2_backward)


def conv_of_nearest_up(x: Array, kernel: Array) -> Array:
    """3x3 convolution (zero padding) of the nearest-upsampled image.

    Args:
      x: float [B, H, W, C].
      kernel: float [3, 3, C, F].

    Returns:
      float [B, 2H, 2W, F], equal to convolving `resample.nearest_up(x)`.

    Source: ours; the UNet's up blocks (paper §5.1).
    """
    batch, height, width, channels = x.shape
    features = kernel.shape[-1]
    up = jnp.asarray(_UP, kernel.dtype)
    small = jnp.einsum("pai,qbj,ijcf->abcpqf", up, up, kernel).reshape(2, 2, channels, -1)
    windows = _conv2x2(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), small)
    windows = windows.reshape(batch, height + 1, width + 1, 2, 2, features)
    rows = [jnp.stack([windows[:, p:p + height, q:q + width, p, q] for q in (0, 1)], axis=3)
            for p in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, features)
