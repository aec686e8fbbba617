"""3x3 convolutions beside a change of size, with fewer multiplications and the same result.

Where an image is upsampled first, or the result is averaged, taps see the same pixels, so that
sums of taps are a kernel that does both.

- Of a nearest-upsampled image the nine taps of a pixel see only four different values: each of the
  four output pixels of an input pixel is a 2x2 convolution of the small image, 16 multiplications
  for 36.
- The mean of 2x2 results is one 4x4 convolution of stride 2: a 2x2 convolution of the image's four
  phases, 16 multiplications for 36.
- Haar coefficients upsampled in the Haar domain are sums of three rows and columns of the image
  that they stand for: a 5x5 convolution of that image, 25 multiplications for 36, and a sixth of
  these by `winograd`. Only at the border, where the upsampled coefficients end in zeros, a part is
  taken off again.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.ops import haar, resample
from usis_jax.ops.cpu.conv import conv, is_tiled

_FEW_RESULTS = 128
"""Of so few pixels in all images summing the taps takes longer than it saves (measured)."""

_SEEN = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
"""Which of three taps in a row see the same pixel: [even or odd output pixel, pixel, tap]."""

_SEEN_OF_BOTH = np.einsum("pai,qbj->abpqij", _SEEN, _SEEN).reshape(16, 9)
"""The same along both axes: [pixel's row and column, output pixel's row and column; tap]."""

_AVERAGED = 0.5 * np.array([np.eye(4, 3), np.eye(4, 3, -1)], np.float32).sum(axis=0)
"""What the mean of two neighbouring results makes of three taps: [pixel, tap]."""

_AVERAGED_OF_BOTH = np.einsum("ai,bj->abij", _AVERAGED, _AVERAGED).reshape(16, 9)

_DOUBLED = np.array(
    [
        [np.convolve(weights, tap) for tap in np.eye(3)]
        for weights in ((0.25, 1.5, 0.25), (0.25, 0, -0.25))
    ],
    np.float32,
).T
"""What the sum and the difference of the two pixels that a pixel becomes make of three taps:
[pixel, tap, sum or difference]."""

_DOUBLED_OF_BOTH = 0.5 * np.einsum("aiv,bjh->abijhv", _DOUBLED, _DOUBLED).reshape(25, 36)
"""The same along both axes: [pixel's row and column; tap, sub-band]."""

_BEYOND = np.einsum("si,bjh,v->sbijhv", np.eye(3)[::2], _DOUBLED, (1, 0)).reshape(10, 36)
"""What the row above the first one makes of the taps, and that below the last one, where the border
is repeated: sums, which are twice the border, and no differences. [side, pixel; tap, sub-band]."""


def nearest_up_conv(x: Array, kernel: Array) -> Array:
    """As `ops.conv.nearest_up_conv`."""
    if 4 * x.size // x.shape[-1] <= _FEW_RESULTS:
        return conv(resample.nearest_up(x), kernel, padding=1)
    return _by_pixels(x, kernel)


def _by_pixels(x: Array, kernel: Array) -> Array:
    """A 2x2 convolution for each of the four results of a pixel."""
    batch, height, width = x.shape[:3]
    channels, features = kernel.shape[2:]
    small = jnp.moveaxis(_sums(_SEEN_OF_BOTH, kernel).reshape(2, 2, 4, channels, features), 2, 3)
    small = small.reshape(2, 2, channels, 4 * features)
    windows = conv(x, small, padding=1).reshape(batch, height + 1, width + 1, 2, 2, features)
    rows = [
        jnp.stack([windows[:, p : p + height, q : q + width, p, q] for q in (0, 1)], axis=3)
        for p in (0, 1)
    ]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, features)


def conv_average_down(x: Array, kernel: Array) -> Array:
    """As `ops.conv.conv_average_down`."""
    if x.size // x.shape[-1] <= _FEW_RESULTS:
        return resample.average_down(conv(x, kernel, padding=1))
    return _by_phases(x, kernel)


def _by_phases(x: Array, kernel: Array) -> Array:
    """A 2x2 convolution of the image's four phases."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x.reshape(batch, height // 2 + 1, 2, width // 2 + 1, 2, channels).swapaxes(2, 3)
    large = _sums(_AVERAGED_OF_BOTH, kernel).reshape(2, 2, 2, 2, *kernel.shape[2:]).swapaxes(1, 2)
    return conv(x.reshape(*x.shape[:3], -1), large.reshape(2, 2, -1, kernel.shape[-1]))


def wavelet_up_conv(y: Array, kernel: Array) -> Array:
    """As `ops.conv.wavelet_up_conv`."""
    batch, height, width, channels = y.shape
    as_image = (5, 5, channels // 4, kernel.shape[-1])
    if is_tiled((batch, 2 * height, 2 * width), y.dtype, as_image):
        return _by_image(y, kernel)
    return conv(resample.wavelet_up(y), kernel, padding=1)


def _by_image(y: Array, kernel: Array) -> Array:
    """A 5x5 convolution of the image, continued by its border, less what is beyond the border."""
    image = haar.inverse(y)
    _, height, width, channels = image.shape
    features = kernel.shape[-1]
    taps = _sums(np.concatenate([_DOUBLED_OF_BOTH, _BEYOND]), kernel)
    x = conv(_continued(image, (1, 2)), taps[:25].reshape(5, 5, channels, features))

    beyond = taps[25:].reshape(2, -1, features)
    rows = _continued(image[:, :: height - 1], (2,))
    rows = jnp.concatenate([rows[:, :, tap : tap + width] for tap in range(5)], axis=-1)
    columns = jnp.concatenate(resample.sum_and_difference(image[:, :, :: width - 1], 1), axis=-1)
    columns = jnp.pad(columns, ((0, 0), (1, 1), (0, 0), (0, 0)))
    columns = jnp.concatenate([columns[:, tap : tap + height] for tap in range(3)], axis=-1)
    # Of the sub-bands LL, LH, HL and HH those that are sums of columns.
    sums = kernel[..., : 2 * channels, :]
    for side in (0, -1):
        x = x.at[:, side].add(-rows[:, side] @ beyond[side])
        x = x.at[:, :, side].add(-columns[:, :, side] @ sums[:, side].reshape(-1, features))
    return x


def _continued(x: Array, axes: tuple[int, ...]) -> Array:
    """Images with their border repeated twice."""
    return jnp.pad(x, [(2, 2) if axis in axes else (0, 0) for axis in range(4)], mode="edge")


def _sums(weights: np.ndarray, kernel: Array) -> Array:
    """Weighted sums of a kernel's taps [sums, C * F].

    As one product, since each operation of sixteen sums takes its time to compile.
    """
    return jnp.matmul(
        weights.astype(kernel.dtype),
        kernel.reshape(weights.shape[1], -1),
        precision=jax.lax.Precision.HIGHEST,
    )
