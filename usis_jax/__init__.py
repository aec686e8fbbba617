"""Images from label maps, learned without pairs: the USIS method in JAX.

Letters in shapes, everywhere: B batch, H height, W width, C channels, Z noise channels,
K classes. Photos are float32 [B, H, W, 3] in [-1, 1]; label maps are int32 [B, H, W] with values
in [0, K).
"""

import importlib

__version__ = "0.2.0"

_PUBLIC = {
    "evaluation": "usis_jax.evaluation",
    "interop": "usis_jax.interop",
    "ops": "usis_jax.ops",
    "metrics": "usis_jax.evaluation.metrics",
    "losses": "usis_jax.methods.losses",
    "settings": "usis_jax.config.settings",
    "Generator": "usis_jax.inference.sampling",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    """Imports a public name when it is first used, so that `import usis_jax` is quick."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'usis_jax' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return getattr(module, name) if name[0].isupper() else module


def __dir__():
    return sorted([*globals(), *__all__])
