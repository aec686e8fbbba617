"""Tests of usis_jax.data.inspection.photo_files and of what inspect_findings says about photos."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.support import own_files
from usis_jax.data.images import decode
from usis_jax.data.inspection import findings, photo_files


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _findings(root, paths):
    sums = photo_files.Photos(root)
    for path in paths:
        sums.add(path, photo_files.read(path))
    return {f.what: (f.level, f.files, f.text) for f in findings.of_photos(sums)}


@pytest.fixture
def usual(tmp_path):
    """Three photos of one size."""
    return [own_files.save(own_files.photo(i), tmp_path / f"{i}.jpg") for i in range(3)]


def test_usual_photos_give_no_finding(tmp_path, usual):
    assert _findings(tmp_path, usual) == {}


@pytest.mark.parametrize(
    ("what", "name", "array", "options"),
    [
        ("turned", "x.jpg", own_files.photo(size=(48, 32)), {"exif": _exif(6)}),
        ("turned", "x.jpg", own_files.photo(), {"exif": _exif(3)}),
        ("grey", "x.jpg", own_files.photo()[..., 0], {}),
        ("grey", "x.png", own_files.photo()[..., :1].repeat(3, 2), {}),
        ("cmyk", "x.jpg", Image.fromarray(own_files.photo()).convert("CMYK"), {}),
        ("alpha", "x.png", np.dstack([own_files.photo(), own_files.photo()[..., 0]]), {}),
        ("deep", "x.png", own_files.photo()[..., 0].astype(np.uint16) * 257, {}),
        ("dark", "x.png", own_files.photo()[..., 0].astype(np.uint16) * 16, {}),
        ("small", "x.jpg", own_files.photo(size=(15, 22)), {}),
        ("proportions", "x.jpg", own_files.photo(size=(32, 64)), {}),
        ("like_labels", "x.png", own_files.label(), {}),
    ],
)
def test_suspicious_photo_is_named(tmp_path, usual, what, name, array, options):
    path = own_files.save(array, tmp_path / name, **options)
    found = _findings(tmp_path, [*usual, path])
    assert found[what][1] == [name]
    allowed = {what} | ({"grey", "deep"} if what in ("deep", "dark", "like_labels") else set())
    assert set(found) <= allowed


def _png_of_16_bits(array):
    """PNG of uint16 [H, W, 3], which PIL cannot write."""
    height, width, _ = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    return data


def test_sixteen_bits_in_colour_are_found_and_scaled(tmp_path, usual):
    (tmp_path / "x.png").write_bytes(_png_of_16_bits(own_files.photo().astype(np.uint16) * 257))
    assert set(_findings(tmp_path, [*usual, tmp_path / "x.png"])) == {"deep"}
    loaded = decode.load_photo(tmp_path / "x.png", 32, 48)
    np.testing.assert_array_equal(loaded, own_files.photo())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_photo_is_a_problem(tmp_path, suffix):
    path = own_files.save(own_files.photo(size=(256, 320)), tmp_path / f"x.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    level, files, _ = _findings(tmp_path, [path])["unreadable"]
    assert level == "error"
    assert "photo does not decode" in files[0] and f"x.{suffix}" in files[0]


def test_size_is_that_of_the_upright_photo_in_the_file(tmp_path):
    large = own_files.photo(size=(600, 900))
    path = own_files.save(large, tmp_path / "x.jpg", exif=_exif(8))
    assert photo_files.read(path).size == (600, 900)
    path = own_files.save(large, tmp_path / "y.jpg")
    assert photo_files.read(path).size == (900, 600)
