"""Label maps are read exactly as their files hold them, or refused by name: everywhere alike."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.support import raw_images
from usis_jax.data.images import decode
from usis_jax.data.inspection import label_files
from usis_jax.data.specs import label_spec
from usis_jax.serving import request
from usis_jax.serving.limits import Refusal

IDS = np.arange(4)[None].repeat(2, 0)
COLOURS = ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1))
SPEC = label_spec.LabelSpec(
    "four", ("a", "b", "c", "d"), COLOURS,
    file_ids=[(0, 0), (1, 1), (2, 2), (3, 3), (300, 3), (-1, 0), (60000, 2)],
)  # fmt: skip
RGB = np.array(COLOURS, np.uint8)[IDS]
_EXIF = (b"eXIf", b"II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 3, 1, 6, 0))


def _save(mode=None, **options):
    def write(path):
        image = Image.fromarray(IDS.astype(np.uint8))
        (image.convert(mode) if mode else image).save(path, **options)

    return write


def _frames(path):
    image = Image.fromarray(IDS.astype(np.uint8))
    image.save(path, save_all=True, append_images=[Image.fromarray((3 - IDS).astype(np.uint8))])


def _alpha(path, value):
    alpha = np.full((2, 4, 1), 255, np.uint8)
    alpha[0, 0] = value
    Image.fromarray(np.concatenate([RGB, alpha], axis=2)).save(path)


EXACT = {
    "1-bit PNG": ("x.png", lambda p: raw_images.png(p, IDS % 2, 1, 0), IDS % 2),
    "8-bit PNG": ("x.png", lambda p: raw_images.png(p, IDS, 8, 0), IDS),
    "16-bit grey PNG": (
        "x.png",
        lambda p: raw_images.png(p, np.where(IDS == 3, 300, IDS), 16, 0),
        IDS,
    ),
    "palette of 2 bits": ("x.png", lambda p: raw_images.png(p, IDS, 2, 3), IDS),
    "palette of 4 bits with transparency": (
        "x.png",
        lambda p: raw_images.png(p, IDS, 4, 3, [(b"tRNS", bytes([0, 9, 255, 255]))]),
        IDS,
    ),
    "RGB": ("x.png", lambda p: raw_images.png(p, RGB, 8, 2), IDS),
    "RGBA, wholly transparent or not": ("x.png", lambda p: _alpha(p, 0), IDS),
    "GIF": ("x.gif", _save(), IDS),
    "BMP": ("x.bmp", _save(), IDS),
    "PGM": ("x.pgm", _save(), IDS),
    "16-bit TIFF, big endian": ("x.tif", lambda p: raw_images.tiff(p, IDS.astype(">u2")), IDS),
    "16-bit TIFF, signed": (
        "x.tif",
        lambda p: raw_images.tiff(p, np.where(IDS, IDS, -1).astype("<i2")),
        IDS,
    ),
    "32-bit TIFF": (
        "x.tif",
        lambda p: raw_images.tiff(p, np.where(IDS == 2, 60000, IDS).astype("<u4")),
        IDS,
    ),
    "TIFF with a smaller copy of itself": ("x.tif", lambda p: _with_thumbnail(p), IDS),
}
REFUSED = {
    "16-bit RGB PNG": ("x.png", lambda p: raw_images.png(p, RGB, 16, 2),
                       "has 16 bits a channel in 3 channels (PNG RGB)"),
    "16-bit RGBA PNG": ("x.png", lambda p: raw_images.png(p, np.concatenate([RGB, RGB[..., :1]], 2),
                        16, 6), "has 16 bits a channel in 4 channels (PNG RGBA)"),
    "16-bit grey PNG with alpha": ("x.png", lambda p: raw_images.png(p, RGB[..., :2], 16, 4),
                                   "has 16 bits a channel in 2 channels (PNG LA)"),
    "16-bit RGB TIFF": ("x.tif", lambda p: raw_images.tiff(p, RGB.astype("<u2"), 2),
                        "has 16 bits a channel in 3 channels (TIFF RGB)"),
    "16-bit PPM": ("x.ppm", lambda p: p.write_bytes(b"P6 1 1 65535\n\0\1\0\2\0\3"),
                   "has 16 bits a channel in 3 channels (PPM RGB)"),
    "2-bit grey PNG": ("x.png", lambda p: raw_images.png(p, IDS, 2, 0),
                       "is grey of 2 bits a pixel (PNG), which decoders stretch to 0..255: id 1 "
                       "becomes 85"),
    "4-bit grey PNG": ("x.png", lambda p: raw_images.png(p, IDS, 4, 0), "id 1 becomes 17"),
    "4-bit TIFF": ("x.tif", lambda p: raw_images.tiff(
        p, np.array([[0x01, 0x23]], np.uint8), bits=4, width=4), "id 1 becomes 17"),
    "PGM with few greys": ("x.pgm", lambda p: p.write_bytes(b"P5 4 1 3\n\0\1\2\3"),
                           "has values up to 3 (PPM), which decoders stretch"),
    "TIFF whose 0 is white": ("x.tif", lambda p: raw_images.tiff(p, IDS.astype("u1"), 0),
                              "says that 0 is white (TIFF)"),
    "PBM": ("x.ppm", lambda p: p.write_bytes(b"P4 4 1\n\x50"), "says that 0 is white (PPM)"),
    "8-bit TIFF, signed": ("x.tif", lambda p: raw_images.tiff(p, IDS.astype("i1")),
                           "has signed numbers of 8 bits (TIFF)"),
    "floating point": ("x.tif", lambda p: raw_images.tiff(p, IDS.astype("<f4")),
                       "holds floating point numbers (TIFF)"),
    "CMYK": ("x.tif", _save("CMYK"), "is CMYK (TIFF)"),
    "half transparent": ("x.png", lambda p: _alpha(p, 128), "has 1 pixels that are partly transp"),
    "animated GIF": ("x.gif", _frames, "has 2 frames or pages (GIF)"),
    "animated PNG": ("x.png", _frames, "has 2 frames or pages (PNG)"),
    "TIFF of two pages": ("x.tif", _frames, "has 2 frames or pages (TIFF)"),
    "turned PNG": ("x.png", lambda p: raw_images.png(p, IDS, 8, 0, [_EXIF]),
                   "says in its EXIF data that it is to be turned (PNG)"),
    "turned TIFF": ("x.tif", lambda p: raw_images.tiff(p, IDS.astype("u1"), extra=[(274, 6)]),
                    "says in its EXIF data that it is to be turned (TIFF)"),
}  # fmt: skip


def _with_thumbnail(path):
    image = Image.fromarray(IDS.astype(np.uint8))
    small = image.resize((2, 1), Image.Resampling.NEAREST)
    small.encoderinfo = {"tiffinfo": {254: 1}}
    image.save(path, save_all=True, append_images=[small])


@pytest.mark.parametrize("kind", EXACT)
def test_label_map_is_read_exactly(tmp_path, kind):
    name, write, expected = EXACT[kind]
    path = tmp_path / name
    write(path)
    np.testing.assert_array_equal(decode.load_label(path, 2, 4, SPEC), expected)
    found = label_files.read(path)
    assert found.problem is None and found.distinct == len(np.unique(expected))
    if name.endswith(".png"):
        read = request.read_label(path.read_bytes(), (2, 4), SPEC)
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("kind", REFUSED)
def test_label_map_that_decoders_change_is_refused_everywhere_by_name(tmp_path, kind):
    name, write, words = REFUSED[kind]
    path = tmp_path / name
    write(path)
    with pytest.raises(ValueError) as error:
        decode.load_label(path, 2, 4, SPEC)
    assert f"{path}: label map {words}" in str(error.value) or words in str(error.value)
    assert str(error.value).count("\n") == 0 and "; " in str(error.value)
    assert label_files.read(path).problem == str(error.value)
    if name.endswith(".png"):
        for ids in ("file", "train"):
            with pytest.raises(Refusal):
                request.read_label(path.read_bytes(), (2, 4), SPEC, ids)


def test_large_ids_of_32_bits_are_named_as_they_are(tmp_path):
    path = raw_images.tiff(tmp_path / "x.tif", np.array([[2**32 - 1, 0]], "<u4"))
    with pytest.raises(ValueError, match="label id 4294967295 on 1 pixels"):
        decode.load_label(path, 1, 2, SPEC)


def test_jpeg_named_png_is_said_to_be_one(tmp_path):
    Image.fromarray(IDS.astype(np.uint8)).save(tmp_path / "x.png", "JPEG")
    with pytest.raises(ValueError, match=r"x\.png: label map is a JPEG in spite of its name"):
        decode.load_label(tmp_path / "x.png", 2, 4, SPEC)
