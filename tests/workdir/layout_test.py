"""The work directory: runs of another version are named, not misread."""

import json

import pytest

from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError
from usis_jax.workdir import layout


def test_settings_come_back(tmp_path):
    given = settings_lib.load({"steps": 7})
    layout.create(tmp_path / "run", given)
    assert layout.load_settings(tmp_path / "run") == given


def test_run_of_the_first_release_is_named_with_what_to_do(tmp_path):
    old = settings_lib.to_dict(settings_lib.Settings()) | {"fast_paths": True}
    (tmp_path / layout.CONFIG_FILE).write_text(json.dumps(old))
    with pytest.raises(UserError, match=r"of usis_jax 0\.1\.0.*train anew in another --workdir"):
        layout.load_settings(tmp_path)


def test_unknown_field_of_this_version_is_named(tmp_path):
    (tmp_path / layout.CONFIG_FILE).write_text('{"stepz": 7}')
    with pytest.raises(UserError, match=r"config\.json cannot be used: .*stepz"):
        layout.load_settings(tmp_path)
