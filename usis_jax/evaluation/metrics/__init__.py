"""Measures of generated images, each with a module of its own.

`usis_jax.metrics` is this package. Its public functions are imported when they are first used:

- `frechet_distance(features_a, features_b)`: of features float [N, D] and [M, D];
- `kernel_distance(features_a, features_b)`: the same arguments, unbiased squared MMD;
- `ms_ssim(images_a, images_b)`: one by one, of uint8 or float [..., H, W, 3] in [0, 255];
- `confusion_matrix(labels, predictions, num_classes, void=None)`: int64 [K, K].
"""

import importlib
from typing import Any

_PUBLIC = {
    "frechet_distance": ("fid", "distance"),
    "kernel_distance": ("kid", "kernel_distance"),
    "ms_ssim": ("diversity", "ms_ssim"),
    "confusion_matrix": ("segmentation", "confusion"),
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Imports a public function when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _PUBLIC[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
