"""Every documented value and limit of every field: taken, and the next one beyond it refused."""

import dataclasses
import re
import typing

import pytest

from tests.support import places
from usis_jax.config import loading, schema, settings
from usis_jax.data.preparation import locations

ROOT = places.REPOSITORY
BASE = (ROOT / "configs/base.py").read_text(encoding="utf-8")
# What else must change with a value, so that fields fit one another.
TOGETHER = {
    ("discriminator.name", "whole"): {"decoder.name": "none"},
    ("discriminator.name", "patch"): {"decoder.name": "none"},
}
SMALL = {
    "generator.multipliers": "1,1",
    "segmenter.down": "1",
    "segmenter.up": "1",
    "discriminator.name": "patch",
    "discriminator.patch": "8",
    "decoder.name": "none",
}


def limits():
    """(name, type, limits) of every field that has limits."""

    def of(cls):
        types = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if dataclasses.is_dataclass(types[field.name]):
                yield from of(types[field.name])
            else:
                yield cls.prefix + field.name, types[field.name], field.metadata

    return list(of(settings.Settings))


LIMITS = limits()
CHOICES = [(name, choice) for name, _, found in LIMITS for choice in found.get("choices") or ()]
BOUNDS = [
    (name, kind, key, found[key])
    for name, kind, found in LIMITS
    for key in ("at_least", "at_most", "below")
    if found.get(key) is not None
]


def load(changes):
    """Settings of base with fields as one types them."""
    config = loading.load_config("base")
    loading.apply(config, [(name, str(value)) for name, value in changes.items()])
    return settings.load(config)


def one_line(changes, name):
    """The error of fields that do not fit, which must be one line that names the field."""
    with pytest.raises(ValueError) as caught:
        load(changes)
    text = str(caught.value)
    assert "\n" not in text and name in text and len(text) < 400
    return text


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_every_choice_is_taken_and_documented(name, choice):
    found = load({name: choice, **TOGETHER.get((name, choice), {})})
    assert settings.flatten(found)[name] == choice
    assert re.search(rf"\b{re.escape(choice)}\b", BASE)


@pytest.mark.parametrize("name", sorted({name for name, _ in CHOICES}))
def test_what_is_no_choice_is_refused_with_the_choices(name):
    text = one_line({name: "nonsense"}, name)
    assert all(choice in text for field, choice in CHOICES if field == name)


def fitting(name, value):
    """The value with what else must change so that the sizes of the networks fit."""
    if name in ("data.height", "data.width"):
        return SMALL | {"data.height": 8, "data.width": 8}
    if name in ("segmenter.down", "segmenter.up"):
        return {"segmenter.down": value, "segmenter.up": value}
    if name == "generator.multipliers":
        return {name: f"{value},{value}"}
    return {name: value}


@pytest.mark.parametrize(("name", "kind", "key", "limit"), BOUNDS)
def test_every_limit_is_taken_and_the_value_beyond_it_refused(name, kind, key, limit):
    whole = kind is not float
    step = 1 if whole else 1e-6
    inside = {"at_least": limit, "at_most": limit, "below": limit - step}[key]
    beyond = {"at_least": limit - step, "at_most": limit + step, "below": limit}[key]
    if typing.get_origin(kind) is tuple:
        assert settings.flatten(load(fitting(name, inside)))[name][0] == inside
        one_line({name: fitting(name, beyond)[name]}, name)
        return
    load(fitting(name, inside))
    one_line({name: beyond}, name)


# Values that the comments of configs/base.py explain, with what they mean.
MEANT = {
    ("sample_interval", "0"): lambda run: run.sample_interval == 0,
    ("checkpoint_interval", "0"): lambda run: run.checkpoint_interval == 0,
    ("eval_interval", "0"): lambda run: run.eval_interval == 0,
    ("rollbacks", "0"): lambda run: run.rollbacks == 0,
    ("r1_interval", "0"): lambda run: run.r1_interval == 0,
    ("data.load_height", "0"): lambda run: run.data.stored_height == run.data.height,
    ("data.load_width", "0"): lambda run: run.data.stored_width == run.data.width,
    ("data.class_balance", "0"): lambda run: run.data.class_balance == 0,
    ("data.threads", "0"): lambda run: run.data.threads == 0,
    ("data.threads", "-1"): lambda run: run.data.threads == -1,
    ("data.prepared_dir", ""): lambda run: "tensorflow_datasets" in str(locations.directory(run)),
    ("data.label_spec", ""): lambda run: run.data.label_spec == "",
    ("evaluation.photos", "0"): lambda run: run.evaluation.photos == 0,
    ("discriminator.levels", "0"): lambda run: run.discriminator_levels == 6,
    ("discriminator.augment", ""): lambda run: run.discriminator.augmentations == (),
    ("discriminator.augment", "color,translation,cutout"): lambda run: (
        len(run.discriminator.augmentations) == 3
    ),
    ("wandb.project", ""): lambda run: run.wandb.project == "",
    ("data.photos", "cityscapes:train@0.7,kitti:train@0.3"): lambda run: (
        len(schema.parse_sources(run.data.photos)) == 2
    ),
    ("data.photos", "scenes:train[:50%]"): lambda run: run.data.photos.endswith("[:50%]"),
}


@pytest.mark.parametrize(("name", "text"), MEANT)
def test_values_that_comments_explain_are_taken(name, text, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert MEANT[name, text](load({name: text}))


def test_every_value_after_which_a_comment_has_an_equals_sign_is_tried():
    """A comment such as "0 = none" in configs/base.py is a promise; it is in the list above."""
    tried = {}
    for name, text in MEANT:
        tried.setdefault(name.rpartition(".")[2], set()).add(text)
    lines, comment, missing = BASE.splitlines(), "", []
    for line in lines:
        text = line.strip()
        if text.startswith("#"):
            comment += " " + text.lstrip("# ")
            continue
        if match := re.match(r'"(\w+)": (?!\{)', text):
            promised = set(re.findall(r"(?<![\w.])(-?\d+|empty) = ", comment))
            promised = {"" if value == "empty" else value for value in promised}
            # Sizes stand in pairs under one comment.
            if promised and not promised <= tried.get(match[1], set()) | {"default"}:
                missing.append((match[1], promised))
        comment = ""
    assert missing == [("inception", {""})]  # where the weights are is not the settings' to say


@pytest.mark.parametrize(("measure", "values"), schema.MEASURES.items())
def test_every_measure_and_value_that_decides_is_taken(measure, values):
    for value in values:
        more = {"evaluation.evaluator": "somewhere"} if measure == "evaluator" else {}
        run = load({"evaluation.measures": measure, "evaluation.best": value, **more})
        assert run.evaluation.names == (measure,)
        assert re.search(rf"\b{value}\b", BASE)


@pytest.mark.parametrize("text", ["", " ", ",", "swd,", "swd,,fid"])
def test_measures_without_a_name_are_refused(text):
    assert "comma list" in one_line({"evaluation.measures": text}, "evaluation.measures")


def test_tuples_must_have_a_number():
    for name in ("generator.multipliers", "segmenter.down", "segmenter.up"):
        one_line({name: "()"}, name)


def test_fields_named_in_the_documentation_have_the_values_that_it_gives():
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name, value in re.findall(r"--config\.([a-z_.0-9]+)=([^\s`'\"),;]+)", text):
            if name in settings.flatten(settings.Settings()) and not value.isupper():
                config = loading.load_config("base")
                loading.apply(config, [(name, value.rstrip("."))])
