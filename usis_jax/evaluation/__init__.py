"""Measures of how close generated images are to real ones."""

import importlib

# Name -> module, and what of it has the name; None for the module itself.
_PUBLIC = {
    "frechet": ("usis_jax.evaluation.metrics.fid", None),
    "kernel_distance": ("usis_jax.evaluation.metrics.kid", "kernel_distance"),
    "ms_ssim": ("usis_jax.evaluation.metrics.diversity", "ms_ssim"),
    "confusion": ("usis_jax.evaluation.metrics.segmentation", "confusion"),
}
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    """Imports a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'usis_jax.evaluation' has no attribute {name!r}")
    path, part = _PUBLIC[name]
    module = importlib.import_module(path)
    return getattr(module, part) if part else module


def __dir__():
    return sorted([*globals(), *__all__])
