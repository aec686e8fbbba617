"""Tests of usis_jax.data.images.raw_png against Pillow's reader."""

import io

import numpy as np
import pytest
from PIL import Image

from usis_jax.data.images import raw_png


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((5, 7), "L"), ((5, 7, 3), "RGB"), ((1, 1), "L"), ((1, 300, 3), "RGB"), ((99, 500, 3), "RGB")],
)
def test_any_reader_of_pngs_gets_the_same_pixels(shape, mode):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(raw_png.encode(image))) as read:
        assert (read.format, read.mode) == ("PNG", mode)
        read.verify()
    with Image.open(io.BytesIO(raw_png.encode(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


def test_one_channel_is_a_grey_image():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert raw_png.encode(image) == raw_png.encode(image[..., 0])


def test_image_need_not_be_contiguous():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)[:, ::-1]
    with Image.open(io.BytesIO(raw_png.encode(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


@pytest.mark.parametrize("image", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.uint8(1)])
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match=r"it must be uint8 \[H, W\]"):
        raw_png.encode(image)


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 7, 3), (1, 1, 3), (286, 286, 3), (300, 700, 1)])
def test_own_files_decode_without_another_reader(shape, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = raw_png.encode(image)
    monkeypatch.setattr(raw_png.Image, "open", None)
    np.testing.assert_array_equal(raw_png.decode(content), image)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"compress_level": 0}, {"optimize": True}], ids=str)
def test_files_of_other_writers_decode_too(mode, options):
    shape = (40, 300, 3) if mode == "RGB" else (40, 300)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", **options)
    np.testing.assert_array_equal(raw_png.decode(buffer.getvalue()), image.reshape(40, 300, -1))


@pytest.mark.parametrize("cut", [10, 40, 60, 500])
def test_cut_files_are_errors(cut):
    content = raw_png.encode(np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(OSError):
        raw_png.decode(content[:cut])
