"""The user's folder of caches: published weights, features of data sets, compiled programs."""

import os
import pathlib

from usis_jax.errors import UserError
from usis_jax.storage import paths


def directory() -> pathlib.Path:
    """The folder of caches: $USIS_CACHE, or usis_jax in the user's cache folder.

    Raises:
      UserError: the user's home folder is not known.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return paths.from_environment("USIS_CACHE", os.path.join(cache, "usis_jax"))


def folder(*names: str) -> pathlib.Path | None:
    """A folder in `directory()`, for what may as well not be kept; None where there is none."""
    try:
        return directory().joinpath(*names)
    except UserError:
        return None
