"""Tests of usis_jax.data.preprocess."""

import numpy as np
import pytest
from PIL import Image

from usis_jax.data import label_spec, preprocess

SPEC = label_spec.LabelSpec("three", ("a", "b", "c"))


def test_photo_of_the_right_size_is_unchanged(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "p.png")
    np.testing.assert_array_equal(preprocess.load_photo(tmp_path / "p.png", 6, 8), photo)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_photo_of_any_mode_becomes_rgb(tmp_path, mode):
    name = "p.tif" if mode == "CMYK" else "p.png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / name)
    photo = preprocess.load_photo(tmp_path / name, 4, 6)
    assert photo.shape == (4, 6, 3)
    assert photo.dtype == np.uint8
    assert (photo == 255).all()


def test_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (8, 4))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    image.save(tmp_path / "p.jpg", exif=exif, quality=100)
    photo = preprocess.load_photo(tmp_path / "p.jpg", 8, 4)
    assert photo[:3].mean() > 200
    assert photo[5:].mean() < 50


def test_undecodable_photo_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.png: photo does not decode"):
        preprocess.load_photo(tmp_path / "bad.png", 4, 4)


def test_truncated_photo_is_named(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"cut\.png: photo does not decode"):
        preprocess.load_photo(path, 4, 4)


def test_label_map_is_resized_by_nearest_neighbour(tmp_path):
    label = np.random.default_rng(0).integers(0, 3, (8, 12), np.uint8)
    Image.fromarray(label).save(tmp_path / "l.png")
    result = preprocess.load_label(tmp_path / "l.png", 4, 6, SPEC)
    np.testing.assert_array_equal(result, label[1::2, 1::2])


def test_ids_of_a_palette_image_are_its_indices(tmp_path):
    label = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(label).convert("P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.putdata(label.ravel().tolist())
    image.save(tmp_path / "l.png")
    assert preprocess.load_label(tmp_path / "l.png", 2, 2, SPEC).tolist() == label.tolist()


def test_sixteen_bit_ids_are_read(tmp_path):
    spec = label_spec.LabelSpec("big", ("a", "b"), file_ids={0: 0, 1000: 1})
    Image.fromarray(np.array([[0, 1000]], np.uint16)).save(tmp_path / "l.png")
    assert preprocess.load_label(tmp_path / "l.png", 1, 2, spec).tolist() == [[0, 1]]


def test_colour_label_map_uses_the_palette(tmp_path):
    spec = label_spec.LabelSpec("two", ("a", "b"), ((255, 0, 0), (0, 0, 255)))
    Image.new("RGB", (3, 2), (0, 0, 255)).save(tmp_path / "l.png")
    assert preprocess.load_label(tmp_path / "l.png", 2, 3, spec).tolist() == [[1] * 3] * 2


def test_jpeg_label_map_is_refused_whatever_its_name(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "l.jpg")
    (tmp_path / "l.jpg").rename(tmp_path / "l.png")
    with pytest.raises(ValueError, match=r"l\.png: label map is a JPEG"):
        preprocess.load_label(tmp_path / "l.png", 4, 4, SPEC)


def test_id_outside_spec_is_found_before_resizing(tmp_path):
    label = np.zeros((8, 8), np.uint8)
    label[0, 0] = 77
    Image.fromarray(label).save(tmp_path / "l.png")
    with pytest.raises(ValueError, match=r"l\.png: label id 77 on 1 pixels"):
        preprocess.load_label(tmp_path / "l.png", 4, 4, SPEC)
