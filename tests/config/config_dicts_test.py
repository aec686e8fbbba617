"""Configurations as ml_collections lets people write them, and values of other libraries."""

import pathlib

import ml_collections
import numpy as np
import pytest
from ml_collections import config_dict

from configs import small
from usis_jax.cli import main
from usis_jax.config import config_dicts, loading, settings
from usis_jax.errors import UserError


def changed(**fields):
    """The small configuration with fields of any type; `__` stands for a point."""
    config = small.get_config()
    for name, value in fields.items():
        config_dicts.put(config, name.replace("__", "."), value)
    return config


def load(config, *changes):
    """Settings of a configuration and of fields as typed."""
    config = config_dicts.thawed(config)
    loading.apply(config, list(changes))
    return settings.load(config)


def test_placeholder_has_its_default_until_it_is_set():
    assert load(changed(steps=config_dict.placeholder(int))).steps == settings.Settings().steps
    placeholder = changed(steps=config_dict.placeholder(int))
    assert load(placeholder, ("steps", "7")).steps == 7


def test_required_placeholder_is_named_until_it_is_set():
    with pytest.raises(UserError, match=r"^data\.height is required and has no value; give --conf"):
        load(changed(data__height=config_dict.required_placeholder(int)))
    required = changed(data__height=config_dict.required_placeholder(int))
    assert load(required, ("data.height", "64")).data.height == 64


def test_frozen_configurations_and_groups_can_be_changed():
    frozen = ml_collections.FrozenConfigDict(small.get_config())
    assert load(frozen, ("steps", "9")).steps == 9
    assert load(frozen, ("generator.multipliers", "2,1")).generator.multipliers == (2, 1)
    inside = ml_collections.ConfigDict({"data": ml_collections.FrozenConfigDict({"height": 64})})
    assert load(inside, ("data.width", "64")).data.height == 64


def test_references_follow_what_they_refer_to():
    config = small.get_config()
    config.data.width = config.data.get_ref("height")
    assert load(config, ("data.height", "32")).data.width == 32


def test_configuration_of_some_fields_takes_changes_of_all():
    found = load(ml_collections.ConfigDict({"steps": 3}), ("data.height", "64"), ("seed", "4"))
    assert (found.steps, found.data.height, found.seed) == (3, 64, 4)


def test_types_are_the_fields_own_not_those_of_the_configuration():
    assert load(changed(r1_gamma=3), ("r1_gamma", "0.5")).r1_gamma == 0.5
    assert load(changed(steps=None), ("steps", "5")).steps == 5


def test_values_of_numpy_and_paths_and_lists_are_plain_ones():
    found = load(changed(
        steps=np.int64(5), r1_gamma=np.float32(2), data__flip=np.bool_(False),
        data__height=np.array(32), generator__multipliers=np.array([2, 2, 1]),
        data__prepared_dir=pathlib.Path("a/b"), segmenter__down=[4], segmenter__up=[4],
        data__photos=np.str_("a:train")))  # fmt: skip
    assert (found.steps, found.r1_gamma, found.data.flip, found.data.height) == (5, 2.0, False, 32)
    assert (found.generator.multipliers, found.segmenter.down) == ((2, 2, 1), (4,))
    assert found.data.prepared_dir == "a/b" and type(found.data.photos) is str
    assert settings.from_json(settings.to_json(found)) == found


def test_none_is_an_empty_text_and_nothing_else():
    assert load(changed(wandb__project=None)).wandb.project == ""
    with pytest.raises(UserError, match="steps is None; it must be a whole number, or leave the"):
        load(changed(steps=None))


CONFIG = """
from configs import small
def get_config({parameters}):
    config = small.get_config()
    config.steps = {steps}
    return config
"""


@pytest.mark.parametrize(
    ("parameters", "steps", "behind", "found"),
    [
        ("n", "int(n)", ":7", 7), ("n='3'", "int(n)", "", 3), ("n='3'", "int(n)", ":4", 4),
        ("n=None", "5 if n == '' else 6", ":", 5),
    ],
)  # fmt: skip
def test_what_stands_behind_a_colon_goes_to_get_config(tmp_path, parameters, steps, behind, found):
    file = tmp_path / "mine.py"
    file.write_text(CONFIG.format(parameters=parameters, steps=steps))
    assert loading.load_config(f"{file}{behind}").steps == found


@pytest.mark.parametrize(
    ("parameters", "behind", "words"),
    [("n", "", r"write --config=.*mine\.py:VALUE"), ("", ":7", "takes no argument")],
)
def test_argument_that_is_missing_or_too_much_is_one_line(tmp_path, parameters, behind, words):
    file = tmp_path / "mine.py"
    file.write_text(CONFIG.format(parameters=parameters, steps="1"))
    with pytest.raises(UserError, match=words):
        loading.load_config(f"{file}{behind}")


def test_switches_are_written_as_absl_has_them():
    split = main.split_overrides
    assert split(["--noconfig.data.flip", "train"]) == (["train"], [("data.flip", "false")])
    assert split(["--config.data.flip", "--x"]) == (["--x"], [("data.flip", "true")])
    assert split(["--config.data.flip"]) == ([], [("data.flip", "true")])
    assert split(["--config.steps", "4"]) == ([], [("steps", "4")])
    for wrong in (["--noconfig.steps"], ["--config.steps"], ["--noconfig.data.flip=1"]):
        with pytest.raises(ValueError, match="write --config"):
            split(wrong)


@pytest.mark.parametrize("text", ["true", "False", "YES", "no", "on", "Off", "t", "f", "1", "0"])
def test_spellings_of_true_and_false(text):
    want = text.lower() in ("true", "yes", "on", "t", "1")
    assert load(small.get_config(), ("data.flip", text)).data.flip is want
