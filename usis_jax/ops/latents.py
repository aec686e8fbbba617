"""The generator's noise."""

import jax
import jax.numpy as jnp
from jax import Array


def draw(keys: Array, height: int, width: int, channels: int, kind: str) -> Array:
    """Standard normal noise, one sample a key.

    Args:
      keys: [B] random keys; a sample's noise depends on its own key only.
      height, width: size of the label maps.
      channels: Z.
      kind: "image" (one vector an image), "pixel" (one a pixel), or "mixed" (the first Z/2 channels
        one value an image, the others one a pixel: the first choose colours and light, the others
        give textures something to grow from).

    Returns:
      float32 [B, Z] for "image", else [B, H, W, Z].

    Raises:
      ValueError: unknown kind.

    Source: paper §5.1 (3-D noise); "mixed" differs from the paper.
    """
    if kind not in ("image", "pixel", "mixed"):
        raise ValueError(f"generator.noise is {kind!r}; it must be image, pixel or mixed")

    def one(key: Array) -> Array:
        if kind == "image":
            return jax.random.normal(key, (channels,))
        noise = jax.random.normal(key, (height, width, channels))
        if kind == "pixel":
            return noise
        whole = channels // 2
        spread = jnp.broadcast_to(noise[:1, :1, :whole], (height, width, whole))
        return jnp.concatenate([spread, noise[:, :, whole:]], axis=-1)

    return jax.vmap(one)(keys)
