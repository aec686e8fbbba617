"""Tests of usis_jax.data.images.decode."""

import numpy as np
import pytest
from PIL import Image

from usis_jax.data.images import decode
from usis_jax.data.specs import label_spec

SPEC = label_spec.LabelSpec("three", ("a", "b", "c"))


def test_photo_of_the_right_size_is_unchanged(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "p.png")
    np.testing.assert_array_equal(decode.load_photo(tmp_path / "p.png", 6, 8), photo)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_photo_of_any_mode_becomes_rgb(tmp_path, mode):
    name = "p.tif" if mode == "CMYK" else "p.png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / name)
    photo = decode.load_photo(tmp_path / name, 4, 6)
    assert photo.shape == (4, 6, 3)
    assert photo.dtype == np.uint8
    assert (photo == 255).all()


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("RGB", (8, 8), (200, 40, 90)).convert("CMYK").save(tmp_path / "p.jpg", quality=100)
    photo = decode.load_photo(tmp_path / "p.jpg", 8, 8)
    assert np.abs(photo.astype(int) - [200, 40, 90]).max() < 6


def test_transparent_parts_of_a_photo_are_put_on_white(tmp_path):
    photo = np.full((4, 4, 4), 100, np.uint8)
    photo[..., 3] = 0, 51, 204, 255
    Image.fromarray(photo).save(tmp_path / "p.png")
    loaded = decode.load_photo(tmp_path / "p.png", 4, 4)
    np.testing.assert_array_equal(loaded[0, :, 0], [255, 224, 131, 100])
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putdata([0, 1])
    image.save(tmp_path / "q.png", transparency=0)
    assert decode.load_photo(tmp_path / "q.png", 1, 2).tolist() == [[[255, 255, 255], [10, 20, 30]]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    grey = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / f"p.{suffix}")
    photo = decode.load_photo(tmp_path / f"p.{suffix}", 1, 6)
    expected = [round(int(v) * 255 / 65535) for v in grey[0]]
    assert photo.tolist() == [[[v] * 3 for v in expected]]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_photo_of_32_bits_is_refused(tmp_path, dtype):
    Image.fromarray(np.zeros((2, 2), dtype)).save(tmp_path / "p.tif")
    with pytest.raises(ValueError, match=r"p\.tif: photo has mode ., 32 bits a channel"):
        decode.load_photo(tmp_path / "p.tif", 2, 2)


def test_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (8, 4))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    image.save(tmp_path / "p.jpg", exif=exif, quality=100)
    photo = decode.load_photo(tmp_path / "p.jpg", 8, 4)
    assert photo[:3].mean() > 200
    assert photo[5:].mean() < 50


def test_undecodable_photo_is_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.png: photo does not decode"):
        decode.load_photo(tmp_path / "bad.png", 4, 4)


def test_empty_file_is_called_empty(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"bad\.jpg: photo does not decode \(it is empty\)"):
        decode.load_photo(tmp_path / "bad.jpg", 4, 4)


def test_truncated_photo_is_named(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"cut\.png: photo does not decode"):
        decode.load_photo(path, 4, 4)


def test_label_map_is_resized_by_nearest_neighbour(tmp_path):
    label = np.random.default_rng(0).integers(0, 3, (8, 12), np.uint8)
    Image.fromarray(label).save(tmp_path / "l.png")
    result = decode.load_label(tmp_path / "l.png", 4, 6, SPEC)
    np.testing.assert_array_equal(result, label[1::2, 1::2])


def test_ids_of_a_palette_image_are_its_indices(tmp_path):
    label = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(label).convert("P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.putdata(label.ravel().tolist())
    image.save(tmp_path / "l.png")
    assert decode.load_label(tmp_path / "l.png", 2, 2, SPEC).tolist() == label.tolist()


def test_sixteen_bit_ids_are_read(tmp_path):
    spec = label_spec.LabelSpec("big", ("a", "b"), file_ids={0: 0, 1000: 1})
    Image.fromarray(np.array([[0, 1000]], np.uint16)).save(tmp_path / "l.png")
    assert decode.load_label(tmp_path / "l.png", 1, 2, spec).tolist() == [[0, 1]]


def test_colour_label_map_uses_the_palette(tmp_path):
    spec = label_spec.LabelSpec("two", ("a", "b"), ((255, 0, 0), (0, 0, 255)))
    Image.new("RGB", (3, 2), (0, 0, 255)).save(tmp_path / "l.png")
    assert decode.load_label(tmp_path / "l.png", 2, 3, spec).tolist() == [[1] * 3] * 2


def test_jpeg_label_map_is_refused_whatever_its_name(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "l.jpg")
    (tmp_path / "l.jpg").rename(tmp_path / "l.png")
    with pytest.raises(ValueError, match=r"l\.png: label map is a JPEG"):
        decode.load_label(tmp_path / "l.png", 4, 4, SPEC)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [("l.webp", {}, "WEBP"), ("l.jp2", {}, "JPEG2000"), ("l.tif", {"compression": "jpeg"}, "TIFF")],
)
def test_label_map_of_another_lossy_format_is_refused(tmp_path, name, options, said):
    Image.new("RGB", (16, 16)).save(tmp_path / name, **options)
    with pytest.raises(ValueError, match=rf"{name}: label map is a {said}.* use PNG"):
        decode.load_label(tmp_path / name, 4, 4, SPEC)


def test_black_and_white_image_has_the_ids_0_and_1(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "l.png")
    assert decode.load_label(tmp_path / "l.png", 1, 2, SPEC).tolist() == [[1, 0]]


def test_id_outside_spec_is_found_before_resizing(tmp_path):
    label = np.zeros((8, 8), np.uint8)
    label[0, 0] = 77
    Image.fromarray(label).save(tmp_path / "l.png")
    with pytest.raises(ValueError, match=r"l\.png: label id 77 on 1 pixels"):
        decode.load_label(tmp_path / "l.png", 4, 4, SPEC)
