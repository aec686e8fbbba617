"""Tests of usis_jax.data.inspection.draft_spec: label specs proposed from files."""

import os

import numpy as np
import pytest

from tests.support import own_files
from usis_jax.data.inspection import draft_spec, label_files
from usis_jax.data.specs import label_spec, lookup

COLOURS = np.array([(70, 10, 180), (128, 64, 28), (220, 20, 60), (0, 0, 0)], np.uint8)


def _draft(root, images, name="streets", suffix="png"):
    sums = label_files.Labels(root)
    for i, image in enumerate(images):
        path = own_files.save(image, root / f"{i}.{suffix}")
        sums.add(path, label_files.read(path))
    return draft_spec.make(sums, name)


def _written(draft, path):
    draft_spec.write(draft, path, "usis prepare ...")
    return label_spec.LabelSpec.load(path)


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_draft_reads_the_files_it_was_made_of(tmp_path, suffix):
    ids = own_files.label().astype(np.uint8)
    for to_file in (lambda ids: ids * 60 + 10, lambda ids: COLOURS[ids]):
        array = to_file(ids)
        spec = _written(_draft(tmp_path, [array]), tmp_path / f"spec.{suffix}")
        train = spec.to_train_ids(array, "a.png")
        pairs = set(zip(ids.ravel().tolist(), train.ravel().tolist(), strict=True))
        assert len(pairs) == 4 == len({k for _, k in pairs}) == spec.num_classes


def test_255_is_guessed_void_and_said(tmp_path):
    draft = _draft(tmp_path, [np.where(own_files.label() == 3, 255, own_files.label())])
    assert draft.spec.classes == ("class_0", "class_1", "class_2", "void")
    assert draft.spec.void == 3
    assert any("void" in note and "id 255" in note for note in draft.notes)


def test_masks_of_0_and_255_have_two_classes_and_no_void(tmp_path):
    masks = own_files.label(classes=2) * np.uint8(255)
    for number, array in enumerate((masks, np.dstack([masks] * 3))):
        draft = _draft(tmp_path / str(number), [array])
        assert (draft.spec.num_classes, draft.spec.void, draft.notes) == (2, None, [])


def test_black_is_guessed_void_and_said_with_its_share(tmp_path):
    ids = own_files.label()
    draft = _draft(tmp_path, [COLOURS[ids]])
    assert draft.spec.palette[draft.spec.void] == (0, 0, 0)
    assert any(f"black, {(ids == 3).mean():.1%}" in note for note in draft.notes)


def _every_class(colours):
    ids = np.arange(len(colours)).repeat(9)
    return np.asarray(colours, np.uint8)[np.broadcast_to(ids, (9, len(ids)))]


@pytest.mark.parametrize("name", ["camvid", "faces", "ade20k"])
def test_known_palette_brings_the_names(tmp_path, name):
    built_in = lookup.get(name)
    draft = _draft(tmp_path, [_every_class(built_in.palette)])
    assert draft.like == name
    assert (draft.spec.classes, draft.spec.void) == (built_in.classes, built_in.void)
    assert any(f"built-in label spec {name}" in note for note in draft.notes)
    assert _written(draft, tmp_path / "x.toml") == draft.spec


def test_colours_of_street_scenes_are_known_though_classes_share_some(tmp_path):
    built_in = lookup.get("cityscapes")
    array = _every_class(built_in.palette[7:])
    draft = _draft(tmp_path, [array])
    assert draft.spec.classes == built_in.classes
    train = _written(draft, tmp_path / "x.toml").to_train_ids(array, "a.png")
    np.testing.assert_array_equal(train, built_in.to_train_ids(array, "a.png"))


def test_many_known_ids_bring_the_names_and_few_only_with_the_folder_name(tmp_path):
    ids = np.arange(34, dtype=np.uint8).repeat(9)[None].repeat(9, 0)
    assert _draft(tmp_path / "a", [ids]).like == "cityscapes"
    few = ids[:, : 12 * 9]
    draft = _draft(tmp_path / "b", [few])
    assert draft.like is None and draft.spec.classes[3] == "class_3"
    assert any("--spec=camvid" in note for note in draft.notes)
    assert _draft(tmp_path / "c", [few], "data/CamVid").like == "camvid"


def test_palette_images_bring_their_colours_and_known_ones_their_names(tmp_path):
    ids = own_files.label(classes=4)
    draft = _draft(tmp_path / "a", [own_files.palette_image(ids, COLOURS)])
    assert draft.spec.palette == tuple(map(tuple, COLOURS.tolist()))
    assert draft.spec.classes == tuple(f"class_{k}" for k in range(4))
    camvid = lookup.get("camvid")
    colours = [camvid.palette[k] for k in (8, 3, 0, 5, 11)]
    draft = _draft(tmp_path / "b", [own_files.palette_image(own_files.label(classes=5), colours)])
    assert draft.spec.classes == ("car", "road", "sky", "tree", "void")
    assert draft.spec.void == 4


def test_values_of_smoothed_edges_are_left_out_and_said(tmp_path):
    ids = np.kron(own_files.label(), np.ones((3, 3), np.uint8))
    image = own_files.Image.fromarray(COLOURS[ids]).resize((96, 64), own_files.Image.BICUBIC)
    draft = _draft(tmp_path, [image])
    assert set(draft.spec.palette) == set(map(tuple, COLOURS.tolist()))
    assert any("values were left out" in note for note in draft.notes)


def test_instance_ids_give_no_draft(tmp_path):
    many = np.arange(320, dtype=np.uint16).repeat(9)[None].repeat(9, 0)
    assert _draft(tmp_path / "a", [many]) is None
    far = own_files.label().astype(np.int32) * 100_000
    assert _draft(tmp_path / "b", [far], suffix="tif") is None


def test_comments_say_shares_and_examples_and_void_goes_by_name(tmp_path):
    ids = np.where(own_files.label() == 3, 255, own_files.label())
    draft = _draft(tmp_path, [ids])
    draft_spec.write(draft, tmp_path / "x.toml", "usis prepare --photos=DIR")
    lines = (tmp_path / "x.toml").read_text().splitlines()
    assert 'void = "void"' in lines
    share = f"# {(ids == 1).mean():.2%} of the pixels, in 1 of 1 files, such as 0.png"
    assert lines[lines.index('name = "class_1"') + 2] == share
    assert "usis prepare --photos=DIR" in lines[1]


def test_draft_holds_file_names_of_any_bytes(tmp_path):
    sums = label_files.Labels(tmp_path)
    for name in (b"a\xff.png", b"b\nname = 1\n.png"):
        path = own_files.save(own_files.label().astype(np.uint8), tmp_path / os.fsdecode(name))
        sums.add(path, label_files.read(path))
    draft = draft_spec.make(sums, os.fsdecode(b"my\xff\n"))
    draft_spec.write(draft, tmp_path / "x.toml", os.fsdecode(b"usis prepare '\xff\n'"))
    assert label_spec.LabelSpec.load(tmp_path / "x.toml") == draft.spec
    assert "such as a\\udcff.png" in (tmp_path / "x.toml").read_text(encoding="utf-8")


def test_free_path_never_names_a_file_that_is_there(tmp_path):
    wanted, taken = tmp_path / "label_spec.toml", []
    for _ in range(3):
        path = draft_spec.free_path(wanted)
        path.write_text("x")
        taken.append(path.name)
    assert taken == ["label_spec.toml", "label_spec.draft.toml", "label_spec.draft2.toml"]
