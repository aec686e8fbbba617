"""What a checkpoint means is compared by name with settings, data and process, before training."""

import dataclasses
import json
import os

import jax
import numpy as np
import pytest

from tests.checkpoint.manager_test import _state
from tests.support import tiny_run
from usis_jax.checkpoint import agreement, manager, metadata
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.doctor import holdings
from usis_jax.doctor.finding import WRONG
from usis_jax.errors import UserError
from usis_jax.evaluation import eval_inputs
from usis_jax.inference import label_folders
from usis_jax.report import contents
from usis_jax.train import resume
from usis_jax.workdir import layout

SPEC = tiny_run.SPEC
COUNTS = {"photos": {"tiny:train": 6}, "labels": {"tiny:train": 6}}


@pytest.fixture
def saved(tmp_path):
    """A work directory whose checkpoint 4 was made with tiny_run's settings, spec and data."""
    layout.create(tmp_path / "run", tiny_run.settings())
    with manager.Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(4, _state(4), tiny_run.settings(), SPEC, progress={"data": COUNTS})
    return tmp_path / "run"


def _refused(workdir, spec=SPEC, data=COUNTS, accept=False, **changes):
    """What is said when a run is to go on."""
    with pytest.raises(UserError) as error:
        resume.find(tiny_run.settings(**changes), workdir, spec, data, accept)
    return str(error.value)


def _other(**changes):
    return dataclasses.replace(SPEC, **changes)


def test_classes_in_another_order_are_named_by_position(saved):
    said = _refused(saved, _other(classes=("void", "road", "sky", "car")), accept=True)
    assert "class 1 is 'sky' in the checkpoint and 'road' in the data" in said
    assert "class 2 is 'road' in the checkpoint and 'sky' in the data" in said
    assert "checkpoint 4 of" in said and "class 3" not in said


def test_more_classes_and_another_void_are_named(saved):
    more = LabelSpec("more", (*SPEC.classes, "tree"), void=0)
    assert "the checkpoint has 4 classes and the data 5; only the data has 'tree'" in _refused(
        saved, more
    )
    said = _refused(saved, _other(void=None))
    assert "void is class 0 'void' in the checkpoint and no class in the data" in said


def test_ids_and_colours_that_mean_another_class_are_named(saved):
    said = _refused(saved, _other(file_ids=((255, 0), (10, 2), (20, 1), (30, 3))))
    assert "id 10 is class 1 'sky' in the checkpoint and class 2 'road' in the data" in said
    said = _refused(saved, _other(palette=((0, 0, 0), (1, 1, 1), (90, 90, 90), (200, 0, 0))))
    assert "colour of class 1 'sky' is (80, 120, 200) in the checkpoint and (1, 1, 1)" in said


def test_a_class_may_be_renamed_if_that_is_accepted():
    meta = metadata.described(4, tiny_run.settings(), SPEC, {})
    renamed = _other(classes=("void", "heaven", "road", "car"))
    with pytest.raises(UserError, match="class 1 is 'sky' in the checkpoint and 'heaven' in"):
        agreement.check_spec(meta, renamed, "checkpoint 4", "the data")
    agreement.check_spec(meta, renamed, "checkpoint 4", "the data", accept=True)


def test_data_of_another_size_are_named_with_both_numbers(saved):
    said = _refused(saved, data={"photos": {"tiny:train": 9}})
    assert "data.photos=tiny:train has 9 images, and had 6 when checkpoint 4" in said


def test_fewer_steps_than_are_taken_are_refused(saved):
    assert "steps is 2, but the run in" in _refused(saved, steps=2)


def test_settings_of_the_checkpoint_are_compared_though_config_json_is_gone(saved):
    (saved / "config.json").unlink()
    assert "(r1_gamma: 10.0 -> 9.0)" in _refused(saved, r1_gamma=9.0)


def test_networks_of_another_size_are_named_by_field_and_not_by_array(saved):
    generator = {"width": 4, "multipliers": (2, 2, 1), "z_dim": 4, "spade_width": 4}
    said = _refused(saved, generator=generator, accept=True)
    assert "does not fit this config, whose networks are others (generator.width: 2 -> 4)" in said
    assert "arrays" not in said and "params/" not in said


@pytest.mark.parametrize(("flag", "value", "words"), [
    ("jax_default_prng_impl", "rbg", "='threefry2x32' and this process has 'rbg'"),
    ("jax_threefry_partitionable", False, "=True and this process has False"),
    ("jax_enable_x64", True, "=False and this process has True"),
])  # fmt: skip
def test_other_random_numbers_are_named_with_what_to_set(saved, flag, value, words):
    before = getattr(jax.config, flag)
    with manager.Checkpoints(saved, read_only=True) as checkpoints:
        meta = checkpoints.meta()
    jax.config.update(flag, value)
    try:
        said = _refused(saved)
        with pytest.raises(UserError, match=flag):
            eval_inputs.sampling.Generator.of_meta({}, meta)
    finally:
        jax.config.update(flag, before)
    assert f"made with {flag}{words}" in said and f"set {flag.upper()}=" in said


def test_renamed_checkpoint_does_not_count_as_that_step(saved):
    os.rename(saved / "checkpoints/4", saved / "checkpoints/9")
    words = "checkpoint 9 of .* says that it is that of step 4.* rename checkpoints/9 to checkpo"
    with manager.Checkpoints(saved, read_only=True) as checkpoints:
        for read in (checkpoints.meta, checkpoints.restore_generator, checkpoints.restore_arrays):
            with pytest.raises(UserError, match=words):
                read()
    assert "says that it is that of step 4" in _refused(saved, steps=12)
    assert (saved / "checkpoints/9").is_dir(), "it must not be moved away"


def test_report_and_doctor_name_a_renamed_checkpoint(saved):
    assert not any("renamed" in note for note in contents.collect(saved)["notes"])
    os.rename(saved / "checkpoints/4", saved / "checkpoints/9")
    assert any("checkpoints/9 was renamed" in note for note in contents.collect(saved)["notes"])
    found = next(one for one in holdings.run(saved) if one.name == "checkpoints")
    assert found.state == WRONG and "that of step 4" in found.text
    assert found.advice == "rename checkpoints/9 to checkpoints/4, or remove it"


def test_evaluation_on_data_of_other_classes_is_refused(tmp_path, monkeypatch):
    tiny_run.install(monkeypatch)
    other = _other(classes=("void", "car", "road", "sky"))
    generator = eval_inputs.sampling.Generator(None, {}, tiny_run.settings(), other)
    with pytest.raises(UserError, match="class 1 is 'car' in the checkpoint and 'sky' in the data"):
        eval_inputs._validation(generator, None, None, 2)


def test_label_spec_beside_label_maps_that_says_otherwise_is_said(tmp_path):
    content = SPEC.to_dict()
    (tmp_path / "labels").mkdir()
    file = tmp_path / "label_spec.json"
    file.write_text(json.dumps(content))
    assert agreement.spec_beside(tmp_path / "labels", SPEC) is None
    content["classes"][1]["name"] = "sea"
    file.write_text(json.dumps(content))
    said = agreement.spec_beside(tmp_path / "labels", SPEC)
    assert said.startswith(f"id 10 is 'sky' to the checkpoint and 'sea' in {file};")


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 2**70, 1.5, True])
def test_seeds_that_jax_would_change_are_refused(tmp_path, seed):
    settings = tiny_run.settings()
    generator = eval_inputs.sampling.Generator(None, {}, settings, SPEC)
    words = "it must be a whole number from 0 to 4294967295"
    with pytest.raises(UserError, match=words):
        generator(np.zeros((16, 16), np.int32), seed=seed)
    with pytest.raises(UserError, match=words):
        label_folders.sample_folder(generator, tmp_path, tmp_path / "out", seed=seed)
    with pytest.raises(ValueError, match="seed is"):
        eval_inputs.Sizes(seed=seed)
    with pytest.raises(ValueError, match="seed is"):
        tiny_run.settings(seed=seed)
