"""Images as they are stored, uint8 in 0..255, and as networks see them, float32 in [-1, 1]."""

import jax.numpy as jnp
from jax import Array


def to_float(image: Array) -> Array:
    """uint8 in 0..255 -> float32 in [-1, 1]; floats pass. Source: the published preprocessing."""
    if image.dtype == jnp.uint8:
        return image.astype(jnp.float32) / 127.5 - 1.0
    return image


def to_uint8(image: Array) -> Array:
    """float in [-1, 1] -> uint8 in 0..255, rounded; what lies outside is clipped."""
    return jnp.clip(jnp.round((image.astype(jnp.float32) + 1) * 127.5), 0, 255).astype(jnp.uint8)
