"""Tests of usis_jax.data.png against Pillow's reader."""

import io

import numpy as np
import pytest
from PIL import Image

from usis_jax.data import png


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((5, 7), "L"), ((5, 7, 3), "RGB"), ((1, 1), "L"), ((1, 300, 3), "RGB"), ((99, 500, 3), "RGB")],
)
def test_any_reader_of_pngs_gets_the_same_pixels(shape, mode):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png.encode(image))) as read:
        assert (read.format, read.mode) == ("PNG", mode)
        read.verify()
    with Image.open(io.BytesIO(png.encode(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


def test_one_channel_is_a_grey_image():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert png.encode(image) == png.encode(image[..., 0])


def test_image_need_not_be_contiguous():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)[:, ::-1]
    with Image.open(io.BytesIO(png.encode(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


@pytest.mark.parametrize("image", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.uint8(1)])
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match=r"it must be uint8 \[H, W\]"):
        png.encode(image)
