"""Programs are kept in the work directory and found again."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

from tests.support import tiny_run
from usis_jax.cli.commands import arguments
from usis_jax.runtime import compilation_cache
from usis_jax.workdir import layout


@pytest.fixture(autouse=True)
def leave_no_cache(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("USIS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    yield
    compilation_cache.use(tmp_path, False)
    assert jax.config.jax_compilation_cache_dir is None


@pytest.fixture
def hits():
    found = []

    def listen(event, **kwargs):
        if event.endswith("cache_hits"):
            found.append(event)

    monitoring.register_event_listener(listen)
    yield found
    monitoring.unregister_event_listener(listen)


def compiled(number):
    """A program that no other test compiles."""
    return jax.jit(lambda x: jnp.sin(x) * number).lower(np.ones(7)).compile()


def files(workdir):
    return sorted((workdir / compilation_cache.FOLDER).glob("*/*"))


def test_program_is_kept_and_found_again(tmp_path, hits):
    compilation_cache.use(tmp_path)
    assert not files(tmp_path)
    first = compiled(1.2345)
    assert files(tmp_path) and not hits
    jax.clear_caches()
    again = compiled(1.2345)
    assert len(hits) == 1
    assert (np.asarray(first(np.ones(7))) == np.asarray(again(np.ones(7)))).all()


def test_second_work_directory_has_its_own(tmp_path, hits):
    compilation_cache.use(tmp_path / "a")
    compiled(2.2345)
    compilation_cache.use(tmp_path / "b")
    compiled(3.2345)
    assert len(files(tmp_path / "a")) == len(files(tmp_path / "b")) == 1


def test_switched_off_keeps_nothing(tmp_path):
    compilation_cache.use(tmp_path)
    compilation_cache.use(tmp_path, False)
    compiled(4.2345)
    assert not files(tmp_path)


def test_the_users_own_cache_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    compilation_cache.use(tmp_path)
    assert jax.config.jax_compilation_cache_dir is None


def test_programs_that_came_with_a_work_directory_of_somebody_else_are_not_run(
    tmp_path, tmp_path_factory, monkeypatch, hits
):
    compilation_cache.use(tmp_path)
    compiled(7.2345)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path_factory.mktemp("another user")))
    compilation_cache.use(tmp_path)
    jax.clear_caches()
    compiled(7.2345)
    assert not hits and len(files(tmp_path)) == 2


def test_secret_is_for_its_owner_and_needs_a_folder_to_write(tmp_path, monkeypatch):
    name = compilation_cache.own_name()
    secret = pathlib.Path(os.environ["USIS_CACHE"]) / compilation_cache.SECRET
    assert name == compilation_cache.own_name() and name not in secret.read_text()
    assert secret.stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "file" / "inside"))
    assert compilation_cache.own_name() is None
    compilation_cache.use(tmp_path)
    compiled(8.2345)
    assert not files(tmp_path)


def test_damaged_entry_is_compiled_again(tmp_path):
    compilation_cache.use(tmp_path)
    compiled(5.2345)
    (entry,) = files(tmp_path)
    entry.write_bytes(b"half a program")
    jax.clear_caches()
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache"):
        assert float(compiled(5.2345)(np.ones(7))[0]) == pytest.approx(5.2345 * 0.841471)


def test_oldest_files_go_first(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    compilation_cache.shrink(tmp_path, 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["middle", "new"]
    compilation_cache.shrink(tmp_path / "missing", 20)


@pytest.mark.parametrize("on", [True, False])
def test_reading_a_run_follows_its_setting(tmp_path, on):
    layout.save_settings(tmp_path, tiny_run.settings(compilation_cache=on))
    arguments.use_of_run(tmp_path)
    compiled(6.2345)
    assert bool(files(tmp_path)) == on
