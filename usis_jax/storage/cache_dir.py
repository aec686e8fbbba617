"""The user's folder of caches: published weights, features of data sets, compiled programs."""

import os
import pathlib


def directory() -> pathlib.Path:
    """The folder of caches: $USIS_CACHE, or usis_jax in the user's cache folder."""
    if os.environ.get("USIS_CACHE"):
        return pathlib.Path(os.environ["USIS_CACHE"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(cache).expanduser() / "usis_jax"
