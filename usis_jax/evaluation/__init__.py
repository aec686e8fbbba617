"""Measures of how close generated images are to real ones."""

import importlib

_PUBLIC = {
    "frechet": "usis_jax.evaluation.metrics.fid",
    "kernel_distance": "usis_jax.evaluation.metrics.kid",
    "ms_ssim": "usis_jax.evaluation.metrics.diversity",
    "confusion": "usis_jax.evaluation.metrics.segmentation",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    """Imports a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'usis_jax.evaluation' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if _PUBLIC[name].endswith(f".{name}") else getattr(module, name)


def __dir__():
    return sorted([*globals(), *__all__])
