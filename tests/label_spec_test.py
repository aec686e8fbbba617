"""Tests of usis_jax.data.label_spec."""

import numpy as np
import pytest

from usis_jax.data import label_spec
from usis_jax.data.label_spec import LabelSpec

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


def test_colour_image_without_palette_is_refused():
    with pytest.raises(ValueError, match="no colours"):
        LabelSpec("x", ("a", "b")).to_train_ids(np.zeros((2, 2, 3), np.uint8), "a.png")


def test_flip_table_exchanges_left_and_right():
    table = label_spec.get("faces").flip_table
    names = np.array(label_spec.get("faces").classes)
    for before, after in zip(names, names[table], strict=True):
        swapped = {"left": "right", "right": "left"}.get(before.split()[0])
        assert after == (f"{swapped} {before.split()[1]}" if swapped else before)


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
@pytest.mark.parametrize("spec", [STREETS, label_spec.get("faces"), label_spec.get("ade20k")])
def test_saved_spec_loads_unchanged(tmp_path, suffix, spec):
    spec.save(tmp_path / f"spec.{suffix}")
    loaded = LabelSpec.load(tmp_path / f"spec.{suffix}")
    assert loaded.to_dict() == spec.to_dict()
    assert dict(loaded.file_ids) == dict(spec.file_ids)
    assert (loaded.void, loaded.flip_pairs) == (spec.void, spec.flip_pairs)


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
        "ade20k": (151, 0),
        "coco_stuff": (183, 182),
    }
    for name, (count, void) in expected.items():
        spec = label_spec.get(name)
        assert (spec.num_classes, spec.void) == (count, void)
        assert len(set(spec.classes)) == count
    assert label_spec.get("scenes").classes[label_spec.get("scenes").void] == "void"


def test_published_ids_have_their_names():
    def name(spec, file_id):
        return label_spec.get(spec).classes[dict(label_spec.get(spec).file_ids)[file_id]]

    assert name("cityscapes", 7) == "road"
    assert name("cityscapes", 33) == "bicycle"
    assert name("cityscapes", -1) == "license plate"
    assert name("ade20k", 1) == "wall"
    assert name("ade20k", 150) == "flag"
    assert name("coco_stuff", 0) == "person"
    assert name("coco_stuff", 91) == "banner"
    assert name("coco_stuff", 181) == "wood"
    assert name("coco_stuff", 255) == "unlabeled"


def test_unknown_name_lists_built_in_specs():
    with pytest.raises(ValueError, match=r"'kitti' is neither a file nor one of scenes, camvid"):
        label_spec.find("kitti")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.toml does not exist"):
        label_spec.find(str(tmp_path / "none.toml"))
