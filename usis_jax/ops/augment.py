"""Differentiable augmentation of the discriminator's inputs, for small sets of photos.

With a few hundred photos the discriminator learns them by heart. Showing it randomly changed
photos, and generated ones changed in the same way, delays that (Zhao et al., "Differentiable
Augmentation for Data-Efficient GAN Training", 2020). Differs from the paper, which trains on
thousands of photos.
"""

import jax
import jax.numpy as jnp
from jax import Array


def augment(photo: Array, keys: Array, names: tuple[str, ...]) -> Array:
    """Apply a random change of each named kind to each photo.

    Args:
      photo: float [B, H, W, 3] in [-1, 1].
      keys: B random keys, so that a photo's change does not depend on the batch around it.
      names: any of "color", "translation", "cutout", in the order of application.

    Returns:
      float [B, H, W, 3], differentiable in `photo`.

    Raises:
      ValueError: a name is unknown.

    Source: differs from the paper, see the module.
    """
    changes = {"color": _color, "translation": _translation, "cutout": _cutout}
    for number, name in enumerate(names):
        if name not in changes:
            raise ValueError(f"augment: {name!r} is not one of {', '.join(changes)}")
        name_keys = jax.vmap(lambda key, n=number: jax.random.fold_in(key, n))(keys)
        photo = jax.vmap(changes[name])(photo, name_keys)
    return photo


def _color(x: Array, key: Array) -> Array:
    """Brightness +-0.5, saturation 0..2, contrast 0.5..1.5, the ranges of Zhao et al. 2020."""
    brightness, saturation, contrast = jax.random.uniform(key, (3,), x.dtype)
    x = x + (brightness - 0.5)
    grey = x.mean(axis=-1, keepdims=True)
    x = grey + (x - grey) * (2.0 * saturation)
    return x.mean() + (x - x.mean()) * (contrast + 0.5)


def _translation(x: Array, key: Array) -> Array:
    """Shift by up to an eighth of the size, zeros outside."""
    height, width, _ = x.shape
    reach = jnp.array([height // 8, width // 8])
    shift = jax.random.randint(key, (2,), -reach, reach + 1)
    padded = jnp.pad(x, ((height // 8,) * 2, (width // 8,) * 2, (0, 0)))
    start = reach + shift
    return jax.lax.dynamic_slice(padded, (start[0], start[1], 0), x.shape)


def _cutout(x: Array, key: Array) -> Array:
    """Zero a rectangle of half the height and half the width at a random place."""
    height, width, _ = x.shape
    row_key, column_key = jax.random.split(key)
    top = jax.random.randint(row_key, (), 0, height + 1) - height // 4
    left = jax.random.randint(column_key, (), 0, width + 1) - width // 4
    rows, columns = jnp.arange(height), jnp.arange(width)
    row_inside = (rows >= top) & (rows < top + height // 2)
    column_inside = (columns >= left) & (columns < left + width // 2)
    return x * (1.0 - (row_inside[:, None] & column_inside[None])[..., None].astype(x.dtype))
