"""A pytree as a flat dict of named NumPy arrays, and back."""

import jax
import numpy as np

from usis_jax.errors import UserError


def flatten(tree):
    """Turns any pytree of arrays into {"a/b/c": NumPy array}."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(template, flat, source="checkpoint"):
    """Fills a template's structure with the arrays of `flatten`.

    Raises:
        UserError: naming the first array that is missing, left over, or of another shape.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [_name(path) for path, _ in leaves]
    missing = [n for n in names if n not in flat]
    extra = sorted(set(flat) - set(names))
    if missing or extra:
        raise UserError(
            f"{source} does not fit this config: {len(missing)} arrays missing "
            f"{missing[:3]}, {len(extra)} left over {extra[:3]}"
        )
    values = []
    for name, (_, leaf) in zip(names, leaves, strict=True):
        value, shape = flat[name], tuple(leaf.shape)
        if tuple(value.shape) != shape:
            raise UserError(
                f"{source} does not fit this config: {name} has shape {tuple(value.shape)}, "
                f"this config needs {shape}"
            )
        values.append(value)
    return jax.tree_util.tree_unflatten(structure, values)


def first_not_finite(tree):
    """Name of the first array with a value that is not finite, or None."""
    for name, value in flatten(tree).items():
        if value.dtype.kind not in "iub" and not np.isfinite(value).all():
            return name
    return None


def nest(flat):
    """Turns {"a/b/c": array} into nested dicts."""
    tree = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _name(path):
    return jax.tree_util.keystr(path, simple=True, separator="/")
