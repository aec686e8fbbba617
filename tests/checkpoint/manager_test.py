"""Checkpoints: what is kept, what comes back, what is refused."""

import errno
import re
import shutil

import flax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.support import tiny_run
from usis_jax import errors
from usis_jax.checkpoint import flat_trees, manager, metadata, readback
from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError
from usis_jax.storage import disk_errors
from usis_jax.train import run
from usis_jax.workdir import layout


@flax.struct.dataclass
class State:
    """The fields that checkpoints know by name, and some others."""

    step: jax.Array
    key: jax.Array
    params: dict
    opt_state: tuple
    ema_params: dict
    ema_collections: dict


def _state(step=0, width=3):
    random = np.random.default_rng(step)
    weights = random.standard_normal((2, width)).astype(np.float32)
    return State(
        step=jnp.int32(step),
        key=jax.random.key_data(jax.random.key(step)),
        params={"generator": {"a": {"kernel": jnp.asarray(weights)}, "b": jnp.ones(2)}},
        opt_state=(jnp.int32(7), {"mu": jnp.asarray(weights.astype(ml_dtypes.bfloat16))}, ()),
        ema_params={"a": {"kernel": jnp.asarray(2 * weights)}, "b": jnp.zeros(2)},
        ema_collections={"batch_stats": {"a": {"mean": jnp.full(3, 0.5)}}},
    )


def _equal(a, b):
    a, b = flat_trees.flatten(a), flat_trees.flatten(b)
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a
    )


def _save(checkpoints, step, **more):
    return checkpoints.save(step, _state(step), tiny_run.settings(), tiny_run.SPEC, **more)


def test_state_comes_back_bit_exact(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 5)
    with manager.Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(jax.eval_shape(lambda: _state(0)))
    assert _equal(restored, _state(5))


def test_generator_comes_back_with_its_own_statistics_config_and_label_spec(tmp_path):
    own = {"batch_stats": {"a": {"mean": np.full(3, 9.0, np.float32)}}}
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 2, ema_collections=own, metrics={"swd": 3.0, "swd/16": 4.0})
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        variables, meta = checkpoints.restore_generator()
        state = checkpoints.restore(_state(0))
    assert _equal(variables, {"params": _state(2).ema_params, **own})
    assert _equal(state.ema_collections, _state(2).ema_collections)
    assert settings_lib.from_json(meta["settings"]) == tiny_run.settings()
    assert metadata.restore_spec(meta) == tiny_run.SPEC
    assert (meta["step"], meta["metrics"]) == (2, {"swd": 3.0, "swd/16": 4.0})


def _spoil(path, random):
    """Cuts a file short, changes a bit of it, or takes it away."""
    data = bytearray(path.read_bytes())
    kind = random.integers(3)
    if kind == 0:
        path.unlink()
    elif kind == 1 or not data:
        path.write_bytes(data[: random.integers(len(data) + 1)])
    else:
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(data)


def test_damage_anywhere_is_found_or_does_no_harm(tmp_path):
    with manager.Checkpoints(tmp_path / "good") as checkpoints:
        _save(checkpoints, 4, metrics={"swd": 1.0})
        _save(checkpoints, 5, metrics={"swd": 2.0})
    with manager.Checkpoints(tmp_path / "good", read_only=True) as checkpoints:
        meta = checkpoints.meta(5)
    random, found = np.random.default_rng(0), 0
    for trial in range(40):
        folder = tmp_path / str(trial)
        shutil.copytree(tmp_path / "good", folder)
        files = sorted(path for path in (folder / "checkpoints/5").rglob("*") if path.is_file())
        _spoil(files[random.integers(len(files))], random)
        with manager.Checkpoints(folder, read_only=True) as checkpoints:
            try:
                assert checkpoints.meta(5) == meta
                assert _equal(checkpoints.restore(_state(0), 5), _state(5))
            except disk_errors.DamagedError as error:
                assert error.step == 5 and "checkpoint 5 of " in str(error)
                found += 1
            assert _equal(checkpoints.restore(_state(0), 4), _state(4))
            assert checkpoints.best_step() in (4, 5)
    assert found >= 5


def test_damaged_measurement_does_not_make_a_checkpoint_the_best(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 4, metrics={"swd": 1.0})
        _save(checkpoints, 5, metrics={"swd": 2.0})
    path = tmp_path / "checkpoints/4/meta/metadata"
    data, chosen = path.read_bytes(), []
    places = [data.index(word) + i for word in (b'"swd": 1.0', b'"best"') for i in range(9)]
    cut = [data[:length] for length in (0, 1, len(data) // 2, len(data) - 1)]
    flipped = [
        data[:place] + bytes([data[place] ^ 1 << place % 6]) + data[place + 1 :] for place in places
    ]
    for damaged in cut + flipped:
        path.write_bytes(damaged)
        with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
            chosen.append(checkpoints.best_step())
    assert set(chosen) == {5}


def test_changed_values_are_found(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 5)
        checkpoints.wait()
        read = checkpoints._manager.restore

        def flipping(step, args):
            items = read(step, args=args)
            if "state" in items:
                items.state["params/generator/b"][1] *= 1.0000001
            return items

        checkpoints._manager.restore = flipping
        words = r"damaged \(params/generator/b has another checksum in state\)"
        with pytest.raises(disk_errors.DamagedError, match=words):
            checkpoints.restore(_state(0))


def test_imported_generator_is_step_0_without_a_training_state(tmp_path):
    variables = {"params": _state(3).ema_params, **_state(3).ema_collections}
    origin = {"file": "best_EMA.pth", "arch": "usis"}
    with manager.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_imported(variables, tiny_run.settings(), tiny_run.SPEC, origin)
    with manager.Checkpoints(tmp_path) as checkpoints:
        restored, meta = checkpoints.restore_generator()
        assert _equal(restored, variables)
        assert (meta["step"], meta["imported"]) == (0, origin)
        with pytest.raises(ValueError, match="holds a generator that was imported, and nothing"):
            checkpoints.restore(_state(0))
        _save(checkpoints, 1)
        checkpoints.wait()
        assert _equal(checkpoints.restore(_state(0)), _state(1))


def test_latest_ones_and_best_one_are_kept(tmp_path):
    measured = {2: 5.0, 3: 1.0, 5: 2.0}
    with manager.Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in range(1, 8):
            metrics = {"swd": measured[step]} if step in measured else None
            _save(checkpoints, step, metrics=metrics)
        checkpoints.wait()
        assert (checkpoints.latest_step(), checkpoints.best_step()) == (7, 3)
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert kept == [3, 6, 7]
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.meta(best=True)["step"] == 3
        assert checkpoints.meta()["step"] == 7


def test_a_saved_step_is_not_saved_twice(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:
        assert _save(checkpoints, 1)
        checkpoints.wait()
        assert not _save(checkpoints, 1)


def test_changes_to_the_state_after_save_do_not_reach_the_checkpoint(tmp_path):
    bump = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    arrays = {"a": {"kernel": jnp.zeros((512, 512))}}
    state = _state(1).replace(params={"generator": arrays})
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 0)  # the first one is waited for
        checkpoints.save(1, state, tiny_run.settings(), tiny_run.SPEC)
        for _ in range(3):
            arrays = bump(arrays)
        jax.block_until_ready(arrays)
    with manager.Checkpoints(tmp_path, read_only=True) as checkpoints:
        restored = checkpoints.restore(state)
    assert not restored.params["generator"]["a"]["kernel"].any()


def test_arrays_of_another_shape_are_refused_by_name(tmp_path):
    with manager.Checkpoints(tmp_path) as checkpoints:
        _save(checkpoints, 1)
        checkpoints.wait()
        with pytest.raises(ValueError, match=r"kernel has shape \(2, 3\), this config needs"):
            checkpoints.restore(_state(0, width=4))
        grown = _state(0).replace(params={"generator": {"c": jnp.ones(1)}})
        with pytest.raises(ValueError, match=r"1 arrays missing.*params/generator/c"):
            checkpoints.restore(grown)


def test_missing_checkpoints_are_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        manager.Checkpoints(tmp_path, read_only=True)
    with pytest.raises(FileNotFoundError, match="not a work directory"):
        layout.load_settings(tmp_path)
    with manager.Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(FileNotFoundError, match="no checkpoint in"):
            checkpoints.restore(_state(0))
        _save(checkpoints, 4)
        checkpoints.wait()
        with pytest.raises(FileNotFoundError, match="no measured checkpoint"):
            checkpoints.restore(_state(0), best=True)
        with pytest.raises(FileNotFoundError, match=r"no checkpoint 9 .* there are 4"):
            checkpoints.meta(step=9)


def test_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with manager.Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(OSError, match="no space left for a checkpoint") as error:
            _save(checkpoints, 1)
    assert error.value.errno == errno.ENOSPC
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    "version, words",
    [
        (1, "has format 1, this version reads 2: usis_jax 0.1.0 wrote it; use usis_jax 0.1.0"),
        (99, "has format 99, this version reads 2: a newer usis_jax wrote it; install that one"),
        (None, "has format None"),
    ],
)
def test_format_of_another_version_is_refused_in_a_line_that_says_what_to_do(version, words):
    metadata.check_version({"format_version": 2}, "run")
    with pytest.raises(UserError, match=re.escape(words)):
        metadata.check_version({"format_version": version}, "run")


def test_config_file_restores_settings(tmp_path):
    settings = tiny_run.settings(seed=3)
    layout.save_settings(tmp_path, settings)
    assert layout.load_settings(tmp_path) == settings
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_damaged_config_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(ValueError, match=r"config\.json cannot be used"):
        layout.load_settings(tmp_path)


@pytest.mark.parametrize("name", [
    "a b", "it's", 'a"b', "100%d %s", "a#b", "ä 日本", "{}", "a:b", "$HOME;&|", "x" * 200,
])  # fmt: skip
def test_directories_of_unusual_names_hold_checkpoints(tmp_path, name):
    layout.check_name(tmp_path / name)
    with manager.Checkpoints(tmp_path / name) as checkpoints:
        _save(checkpoints, 1)
    with manager.Checkpoints(tmp_path / name, read_only=True) as checkpoints:
        assert _equal(checkpoints.restore(_state(0)), _state(1))


@pytest.mark.parametrize("name", ["exp [1]", "a*b", "a?b", "[!x]/run", "a\\b"])
def test_directories_whose_checkpoints_could_not_be_read_are_refused_first(tmp_path, name):
    with pytest.raises(errors.UserError, match=r"--workdir is .*could not be read again"):
        run.train(tiny_run.settings(), tmp_path / name, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_first_checkpoint_that_does_not_read_back_ends_the_run(tmp_path, capsys):
    words = r"checkpoint 2 in --workdir .* does not read"
    bad = manager.Checkpoints(tmp_path / "exp [1]")
    with bad as checkpoints, pytest.raises(errors.UserError, match=words):
        _save(checkpoints, 2)
    said = capsys.readouterr().err
    assert "usis: storage: Skipping merge of OCDBT checkpoints" in said
    assert "WARNING" not in said


def test_first_checkpoint_is_compared_value_by_value(tmp_path, monkeypatch):
    read = ocp.CheckpointManager.restore

    def flipping(self, step, args):
        items = read(self, step, args=args)
        items.generator["params/b"][1] += 1e-7
        return items

    monkeypatch.setattr(ocp.CheckpointManager, "restore", flipping)
    words = "params/b has another checksum in generator"
    good = manager.Checkpoints(tmp_path)
    with good as checkpoints, pytest.raises(errors.UserError, match=words):
        _save(checkpoints, 2)


def test_a_trial_is_made_before_training_and_leaves_nothing(tmp_path):
    given = _state(0), tiny_run.settings(), tiny_run.SPEC
    readback.try_out(manager.Checkpoints, tmp_path, *given)
    assert list(tmp_path.iterdir()) == []
    bad = tmp_path / "exp [1]"
    bad.mkdir()
    words = r"checkpoint 0 in --workdir .*/exp \[1\] does not read back"
    with pytest.raises(errors.UserError, match=words):
        readback.try_out(manager.Checkpoints, bad, *given)
    assert list(bad.iterdir()) == []
