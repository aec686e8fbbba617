"""Tests of usis_jax.data.specs.label_spec."""

import dataclasses
import json
import re

import numpy as np
import pytest

from usis_jax.data.specs import lookup
from usis_jax.data.specs.label_spec import LabelSpec

STREETS = LabelSpec(
    "streets",
    ("road", "car", "unknown"),
    ((128, 64, 128), (0, 0, 142), (0, 0, 0)),
    void=2,
    file_ids={7: 0, 8: 0, -1: 1, 255: 2},
)


def test_file_ids_become_train_ids():
    array = np.array([[7, 8], [-1, 255]], np.int16)
    result = STREETS.to_train_ids(array, "a.png")
    assert result.dtype == np.uint8
    assert result.tolist() == [[0, 0], [1, 2]]


def test_id_outside_spec_names_file_id_and_pixels():
    array = np.array([[7, 9, 9], [9, 300, 7]])
    with pytest.raises(ValueError, match=r"^a\.png: label id 9 on 3 pixels, id 300 on 1 pixels"):
        STREETS.to_train_ids(array, "a.png")
    with pytest.raises(ValueError, match=r"knows ids -1, 7 to 8, 255"):
        STREETS.to_train_ids(array, "a.png")


def test_colours_become_train_ids():
    array = STREETS.colour(np.array([[0, 1], [2, 0]]))
    assert STREETS.to_train_ids(array, "a.png").tolist() == [[0, 1], [2, 0]]


def test_colour_outside_palette_names_it():
    array = np.zeros((2, 2, 3), np.uint8)
    array[0] = (1, 2, 3)
    with pytest.raises(ValueError, match=r"a\.png: label colour \(1, 2, 3\) on 2 pixels"):
        STREETS.to_train_ids(array, "a.png")


def test_many_unknown_values_are_called_smoothed_edges():
    ramp = np.linspace([128, 64, 128], [0, 0, 142], 12).round().astype(np.uint8)[None]
    with pytest.raises(ValueError, match=r"and 5 more outside .*; so many come from smoothed edge"):
        STREETS.to_train_ids(ramp, "a.png")
    with pytest.raises(ValueError, match=r"knows ids -1, 7 to 8, 255; so many come from smoothed"):
        STREETS.to_train_ids(np.arange(60, 70)[None], "a.png")
    with pytest.raises(ValueError) as error:
        STREETS.to_train_ids(ramp[:, :8], "a.png")
    assert "smoothed" not in str(error.value)


def test_colour_image_without_palette_is_refused():
    with pytest.raises(ValueError, match="no colours"):
        LabelSpec("x", ("a", "b")).to_train_ids(np.zeros((2, 2, 3), np.uint8), "a.png")


def test_colours_of_files_may_differ_from_the_palette():
    colours = {(1, 1, 1): 0, (5, 5, 5): 1, (6, 6, 6): 1}
    spec = LabelSpec("x", ("a", "b"), ((9, 9, 9), (9, 9, 9)), file_colours=colours)
    array = np.array([[[5, 5, 5], [1, 1, 1], [6, 6, 6]]], np.uint8)
    assert spec.to_train_ids(array, "a.png").tolist() == [[1, 0, 1]]
    with pytest.raises(ValueError, match=r"a\.png: label colour \(9, 9, 9\) on 1 pixels outside"):
        spec.to_train_ids(np.full((1, 1, 3), 9, np.uint8), "a.png")


def test_two_classes_of_one_colour_need_colours_of_files():
    spec = LabelSpec("x", ("a", "b"), ((9, 9, 9), (9, 9, 9)))
    with pytest.raises(ValueError, match="the same colour; say with `file_colours`"):
        spec.to_train_ids(np.full((1, 1, 3), 9, np.uint8), "a.png")


def test_flip_table_exchanges_left_and_right():
    table = lookup.get("faces").flip_table
    names = np.array(lookup.get("faces").classes)
    for before, after in zip(names, names[table], strict=True):
        swapped = {"left": "right", "right": "left"}.get(before.split()[0])
        assert after == (f"{swapped} {before.split()[1]}" if swapped else before)


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
@pytest.mark.parametrize(
    "spec", [STREETS, *(lookup.get(name) for name in ("faces", "ade20k", "cityscapes19"))]
)
def test_saved_spec_loads_unchanged(tmp_path, suffix, spec):
    spec.save(tmp_path / f"spec.{suffix}")
    loaded = LabelSpec.load(tmp_path / f"spec.{suffix}")
    assert loaded.to_dict() == spec.to_dict()
    assert dict(loaded.file_ids) == dict(spec.file_ids)
    assert (loaded.void, loaded.flip_pairs) == (spec.void, spec.flip_pairs)
    assert dict(loaded.file_colours) == dict(spec.file_colours)


@pytest.mark.parametrize("suffix", [".toml", ".yaml", ".json"])
def test_names_of_any_printable_characters_are_saved_and_read(tmp_path, suffix):
    spec = LabelSpec("stra\u00dfe \U0001f697", ('a"b\\', "it's | #x: y", "\u9053\u8def"))
    spec.save(tmp_path / f"s{suffix}")
    assert LabelSpec.load(tmp_path / f"s{suffix}") == spec


def test_hand_written_spec_may_be_short(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "void: other\nclasses: [road, left, right, other]\nflip_pairs: [[left, right]]\n"
    )
    spec = LabelSpec.load(tmp_path / "s.yaml")
    assert spec.num_classes == 4
    assert (spec.void, spec.flip_pairs) == (3, ((1, 2),))
    assert len({tuple(c) for c in spec.colours.tolist()}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes = []", "`classes` is missing or empty"),
        ("classes = ['a']\ncolor = 1", "unknown key 'color'"),
        ("classes = ['a']\nvoid = 'b'", "'b' is not one of the classes"),
        ("classes = ['a']\nvoid = 3", "train id 3"),
        ("[[classes]]\nname='a'\nids=[1]\n[[classes]]\nname='b'\nids=[1]", "to two classes"),
        ("[[classes]]\nname='a'\ncolour=[1,2,3]\n[[classes]]\nname='b'", "each class has"),
        ("[[classes]]\nname='a'\ncolour=[1,2,300]", "from 0 to 255"),
        ("[[classes]]\nname='a'\nfile_colours=[[1,2]]", "from 0 to 255"),
        (
            "[[classes]]\nname='a'\nfile_colours=[[1,2,3]]\n"
            "[[classes]]\nname='b'\nfile_colours=[[1,2,3]]",
            r"file colour \(1, 2, 3\) to two classes",
        ),
        ("classes = [", "Invalid|Unclosed|Unexpected"),
    ],
)
def test_bad_spec_file_is_named(tmp_path, text, message):
    path = tmp_path / "label_spec.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        LabelSpec.load(path)
    assert "label_spec.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_built_in_specs_have_the_published_numbers_of_classes():
    expected = {
        "camvid": (12, 11),
        "faces": (19, None),
        "cityscapes": (35, 0),
        "cityscapes19": (20, 19),
        "gta5": (35, 0),
        "ade20k": (151, 0),
        "coco_stuff": (183, 0),
    }
    for name, (count, void) in expected.items():
        spec = lookup.get(name)
        assert (spec.num_classes, spec.void) == (count, void)
        assert len(set(spec.classes)) == count
    assert lookup.get("scenes").classes[lookup.get("scenes").void] == "void"


def test_published_ids_have_their_names():
    def name(spec, file_id):
        return lookup.get(spec).classes[dict(lookup.get(spec).file_ids)[file_id]]

    assert name("cityscapes", 7) == "road"
    assert name("cityscapes", 33) == "bicycle"
    assert name("cityscapes", -1) == "license plate"
    assert name("gta5", 34) == "license plate"
    assert name("cityscapes19", 33) == "bicycle"
    assert name("cityscapes19", 6) == name("cityscapes19", 29) == "void"
    assert name("ade20k", 1) == "wall"
    assert name("ade20k", 90) == "television"
    assert name("ade20k", 150) == "flag"
    assert name("coco_stuff", 0) == "person"
    assert name("coco_stuff", 91) == "banner"
    assert name("coco_stuff", 181) == "wood"
    assert name("coco_stuff", 255) == "unlabeled"


def test_published_colours_are_those_of_their_classes():
    def colour(spec, name):
        return lookup.get(spec).palette[lookup.get(spec).classes.index(name)]

    assert colour("cityscapes", "road") == colour("cityscapes19", "road") == (128, 64, 128)
    assert colour("cityscapes", "bicycle") == colour("gta5", "bicycle") == (119, 11, 32)
    assert colour("cityscapes", "ground") == (81, 0, 81)
    assert colour("ade20k", "wall") == (120, 120, 120)
    assert colour("ade20k", "sky") == (6, 230, 230)
    assert colour("ade20k", "flag") == (92, 0, 255)
    assert lookup.get("ade20k").palette[0] == (0, 0, 0)


@pytest.mark.parametrize("name", ["cityscapes", "gta5"])
def test_colour_files_of_street_scenes_are_read_though_some_classes_share_a_colour(name):
    spec = lookup.get(name)
    read = spec.to_train_ids(spec.colour(np.arange(35))[None], "a.png")[0]
    names = np.array(spec.classes)
    shared = {
        "ego vehicle": "unlabeled", "rectification border": "unlabeled", "out of roi": "unlabeled",
        "static": "unlabeled", "polegroup": "pole", "license plate": "car",
    }  # fmt: skip
    assert [shared.get(c, c) for c in spec.classes] == names[read].tolist()


def test_unknown_name_lists_built_in_specs():
    with pytest.raises(ValueError, match=r"'kitti' is neither a file nor one of scenes, camvid"):
        lookup.find("kitti")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.toml does not exist"):
        lookup.find(str(tmp_path / "none.toml"))


_TWICE = {
    "name": ({"name": "a"}, "gives one name to two classes, class 0 'a' and class 1 'a'"),
    "name but for case and spaces": ({"name": " A "}, "to two classes, class 0 'a' and class 1"),
    "id": ({"ids": [0]}, "gives file id 0 to two classes, class 0 'a' and class 1 'b'"),
    "id of one class": ({"ids": [1, 1]}, "gives file id 1 twice to class 1 'b'"),
    "colour": ({"colour": [1, 1, 1]}, "gives colour (1, 1, 1) to two classes, class 0 'a' and"),
    "file colour": ({"file_colours": [[1, 1, 1]]}, "gives file colour (1, 1, 1) to two classes"),
    "no name": ({"name": " "}, "name of a class is empty"),
    "name of two lines": ({"name": "a\nb"}, "must be one line of printable characters"),
    "name that YAML takes for false": (
        {"name": False},
        "name of a class is False; it must be a text in quotation",
    ),
}


@pytest.mark.parametrize("kind", _TWICE)
def test_what_stands_for_two_classes_is_refused_with_both(tmp_path, kind):
    change, words = _TWICE[kind]
    first = {"name": "a", "colour": [1, 1, 1]}
    if kind == "file colour":
        first["file_colours"] = [[1, 1, 1]]
    second = {"name": "b", "colour": [2, 2, 2]} | change
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"classes": [first, second]}))
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        lookup.find(str(path))
    assert "spec.json" in str(error.value)


def test_published_palettes_may_have_one_colour_for_two_classes(tmp_path):
    for name in ("cityscapes", "ade20k"):
        lookup.get(name).save(tmp_path / f"{name}.toml")
        own = dataclasses.replace(lookup.get(name), name="mine", file_colours=())
        own.save(tmp_path / "mine.toml")
        assert lookup.find(str(tmp_path / f"{name}.toml")) == lookup.get(name)
        assert lookup.find(str(tmp_path / "mine.toml")).palette == own.palette
