"""The user's folder of caches: published weights, features of data sets, compiled programs."""

import os
import pathlib

from usis_jax.storage import paths


def directory() -> pathlib.Path:
    """The folder of caches: $USIS_CACHE, or usis_jax in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return paths.from_environment("USIS_CACHE", os.path.join(cache, "usis_jax"))
