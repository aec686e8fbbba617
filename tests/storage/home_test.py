"""No home folder: containers that run under any user id, cron jobs with an empty environment."""

import pytest

from usis_jax import errors
from usis_jax.config import settings
from usis_jax.data.preparation import locations
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.evaluation.metrics import perceptual
from usis_jax.runtime import compilation_cache
from usis_jax.storage import cache_dir, paths


@pytest.fixture
def homeless(monkeypatch):
    """Nobody knows the home folder of this user."""

    monkeypatch.setattr(paths.os.path, "expanduser", lambda path: path)
    for name in ("HOME", "USIS_CACHE", "XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_what_needs_a_home_says_what_to_set(homeless):
    with pytest.raises(
        errors.UserError, match=r"TFDS_DATA_DIR is not set.*home folder is not known, set HOME"
    ):
        locations.directory(settings.Settings())
    with pytest.raises(
        errors.UserError, match=r"USIS_CACHE is not set.*home folder is not known, set HOME"
    ):
        cache_dir.directory()


def test_what_only_caches_does_without(homeless):
    assert cache_dir.folder("features") is None
    assert not pretrained_weights.are_there("inception") and perceptual.in_cache() == []
    assert compilation_cache.own_name() is None
