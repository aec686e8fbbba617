"""Files that are no readable image are named, with a way out of it."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support import raw_images
from usis_jax.data.images import decode, image_files
from usis_jax.data.inspection import photo_files

FILES = {
    "x.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "magick FILE FILE.jpg"),
    "y.jpg": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC", "magick FILE FILE.jpg"),
    "x.psd": (b"8BPS\0\1", "Photoshop", "magick"),
    "x.svg": (b'<?xml version="1.0"?><svg xmlns="x">', "SVG", "save it as JPEG or PNG"),
    "x.cr3": (b"\0\0\0\x18ftypcrx \0\0\0\0", "raw file of a camera", "develop it"),
    "x.raf": (b"FUJIFILMCCD-RAW 0201", "raw file of a camera", "develop it"),
    "x.jxl": (b"\xff\x0a\0", "JPEG XL", "magick"),
    "x.exr": (b"v/1\x01", "OpenEXR", "save it as"),
    "x.png": (b"<!DOCTYPE html><html>", "web page", "download it again"),
    "z.png": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "v.jpg": (b"\0\0\0\x18ftypisom\0\0\0\0", "a video", "save it as"),
}


@pytest.mark.parametrize("name", FILES)
def test_photo_of_a_format_that_cannot_be_read_is_named_with_what_to_do(tmp_path, name):
    content, kind, advice = FILES[name]
    path = tmp_path / name
    path.write_bytes(content + bytes(64))
    with pytest.raises(ValueError) as error:
        decode.load_photo(path, 8, 8)
    assert name in str(error.value) and kind in str(error.value) and advice in str(error.value)
    assert photo_files.read(path).problem == str(error.value)
    assert image_files.find(tmp_path) == [path], "it must not be left out silently"


def test_label_map_is_never_to_become_a_jpeg(tmp_path):
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(ValueError, match=r"convert it to PNG, for example .* FILE\.png"):
        decode.open_image(tmp_path / "x.heic", "label map")


@pytest.mark.parametrize(("name", "extra"), [("x.dng", []), ("x.tif", [(50706, 1)])])
def test_preview_in_a_raw_file_is_not_taken_for_the_photo(tmp_path, name, extra):
    path = raw_images.tiff(tmp_path / name, np.zeros((4, 4, 3), np.uint8), 2, extra=extra)
    with pytest.raises(ValueError, match="of a raw file of a camera, only a preview"):
        decode.load_photo(path, 4, 4)


def test_photo_with_another_colour_profile_or_several_frames_is_marked(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    image.save(
        tmp_path / "other.png",
        icc_profile=srgb.replace(b"sRGB", b"mine").replace(
            "sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")
        ),
    )
    image.save(tmp_path / "moving.gif", save_all=True, append_images=[image.rotate(90)])
    sums = photo_files.Photos(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        sums.add(path, photo_files.read(path))
    assert sums.marked["profile"] == ["other.png"]
    assert sums.marked["frames"] == ["moving.gif"]
