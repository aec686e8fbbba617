"""Tests of usis_jax.data.specs.spec_mapping."""

import numpy as np
import pytest

from usis_jax.data.specs import lookup, spec_mapping
from usis_jax.data.specs.label_spec import LabelSpec

# The benchmark's train ids of Cityscapes' ids 0 to 33, as its authors publish them; 255 is void.
PUBLISHED_TRAIN_IDS = (
    255, 255, 255, 255, 255, 255, 255, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9,
    10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18,
)  # fmt: skip


def _names(source, target, **options):
    """{class of source: class of target}."""
    source, target = lookup.get(source), lookup.get(target)
    table = spec_mapping.mapping(source, target, **options)
    assert table.dtype == np.uint8
    return {name: target.classes[k] for name, k in zip(source.classes, table, strict=True)}


def test_spec_maps_to_itself():
    for name in ("cityscapes", "ade20k", "coco_stuff", "camvid", "scenes", "faces"):
        assert all(a == b for a, b in _names(name, name).items())


def test_gta_classes_are_those_of_cityscapes():
    assert all(a == b for a, b in _names("gta5", "cityscapes").items())


@pytest.mark.parametrize("name", ["cityscapes", "gta5"])
def test_scored_classes_have_the_published_train_ids(name):
    table = spec_mapping.mapping(lookup.get(name), lookup.get("cityscapes19"))
    expected = [19 if k == 255 else k for k in PUBLISHED_TRAIN_IDS]
    assert table.tolist() == [*expected, 19]
    ids = np.arange(34, dtype=np.uint8)[None]
    read = lookup.get("cityscapes19").to_train_ids(ids, "a.png")
    assert read[0].tolist() == expected


@pytest.mark.parametrize("target", ["cityscapes", "cityscapes19", "gta5"])
def test_other_names_of_street_classes_are_understood(target):
    camvid, scenes = _names("camvid", target), _names("scenes", target)
    assert camvid["pavement"] == scenes["pavement"] == "sidewalk"
    assert camvid["tree"] == scenes["tree"] == "vegetation"
    assert (camvid["pedestrian"], camvid["bicyclist"]) == ("person", "rider")
    assert scenes["grass"] == "terrain"
    void = lookup.get(target).classes[lookup.get(target).void]
    assert camvid["void"] == scenes["void"] == void


def test_classes_without_counterpart_are_named():
    with pytest.raises(ValueError, match=r"'camvid' has no .* for 'person', 'grass' of 'scenes'"):
        _names("scenes", "camvid")


def test_classes_without_counterpart_become_void_where_the_caller_says_so():
    result = _names("scenes", "camvid", to_void=("person", "grass"))
    assert result["person"] == result["grass"] == "void"
    assert result["sky"] == "sky"
    with pytest.raises(ValueError, match="to_void has 'cat'"):
        _names("scenes", "camvid", to_void=("cat",))


def test_void_needs_a_class_where_the_target_has_no_void():
    source, target = LabelSpec("s", ("a", "none"), void=1), LabelSpec("t", ("b", "a"))
    with pytest.raises(ValueError, match="'t' has no counterpart for 'none' of 's'"):
        spec_mapping.mapping(source, target)
    with pytest.raises(ValueError, match="no counterpart for 'none'"):
        spec_mapping.mapping(source, target, to_void=("none",))


def test_files_of_one_spec_are_read_into_the_classes_of_another():
    source = LabelSpec(
        "s",
        ("a", "b", "none"),
        ((1, 1, 1), (2, 2, 2), (3, 3, 3)),
        void=2,
        file_ids={7: 0, 8: 0, 9: 1, 0: 2},
    )
    target = LabelSpec("t", ("void", "b", "a"), ((9, 9, 9), (8, 8, 8), (7, 7, 7)), void=0)
    spec = spec_mapping.through(source, target)
    assert (spec.name, spec.classes, spec.palette, spec.void) == (
        "t", target.classes, target.palette, 0,
    )  # fmt: skip
    assert spec.to_train_ids(np.array([[7, 8, 9, 0]]), "x.png").tolist() == [[2, 2, 1, 0]]
    colours = source.colour(np.array([[0, 1, 2]]))
    assert spec.to_train_ids(colours, "x.png").tolist() == [[2, 1, 0]]
    assert spec.colour(np.array([2])).tolist() == [[7, 7, 7]]
