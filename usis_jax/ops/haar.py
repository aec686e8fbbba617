"""Orthonormal 2-D Haar transform of images, the domain of the wavelet networks."""

import jax
import jax.numpy as jnp
from jax import Array


@jax.custom_vjp
def forward(x: Array) -> Array:
    """Haar transform: each 2x2 block [[a, b], [c, d]] becomes LL, LH, HL, HH.

    LL = (a+b+c+d)/2, LH = (a+b-c-d)/2, HL = (a-b+c-d)/2, HH = (a-b-c+d)/2. Energy is preserved.

    Args:
      x: float [B, H, W, C], H and W even.

    Returns:
      float [B, H/2, W/2, 4C]: four groups of C channels, in the order LL, LH, HL, HH.

    Raises:
      ValueError: H or W is odd.

    Source: paper §5.2 (wavelet discriminator); order and signs of the sub-bands as in the published
    networks, so that their weights fit.
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"haar.forward: height and width must be even, got {x.shape[1:3]}")
    a, b = x[:, 0::2, 0::2], x[:, 0::2, 1::2]
    c, d = x[:, 1::2, 0::2], x[:, 1::2, 1::2]
    bands = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]
    return 0.5 * jnp.concatenate(bands, axis=-1)


@jax.custom_vjp
def inverse(y: Array) -> Array:
    """Inverse Haar transform, exact inverse of `forward`.

    Args:
      y: float [B, H, W, 4C], channels in the order LL, LH, HL, HH.

    Returns:
      float [B, 2H, 2W, C].

    Raises:
      ValueError: the number of channels is not a multiple of 4.

    Source: paper §5.2.
    """
    batch, height, width, channels = y.shape
    if channels % 4:
        raise ValueError(f"haar.inverse: channels must be a multiple of 4, got {channels}")
    ll, lh, hl, hh = jnp.split(y, 4, axis=-1)
    low, high = ll + lh, hl + hh  # top row of each block: sums and differences
    a, b = low + high, low - high
    low, high = ll - lh, hl - hh
    c, d = low + high, low - high
    rows = jnp.stack([jnp.stack([a, b], axis=3), jnp.stack([c, d], axis=3)], axis=2)
    return 0.5 * rows.reshape(batch, 2 * height, 2 * width, channels // 4)


# The transform is orthonormal, so each direction's transpose is the other direction. XLA's own
# transpose of strided slices is a sum of four padded images, ten times slower on CPUs.
forward.defvjp(lambda x: (forward(x), None), lambda _, gradient: (inverse(gradient),))
inverse.defvjp(lambda y: (inverse(y), None), lambda _, gradient: (forward(gradient),))
