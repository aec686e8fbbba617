"""Weights, images and archives from others: nothing in them runs, or fills the memory."""

import json
import os
import pathlib
import pickle
import struct
import zipfile
import zlib

import pytest
from PIL import Image, ImageFile

from tests.support import own_files
from usis_jax.data.datasets import archives
from usis_jax.data.images import decode, image_files
from usis_jax.data.specs import label_spec
from usis_jax.interop import files, torchscript


class Hostile:
    """Pickled, it makes a file when it is read by pickle."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return pathlib.Path.touch, (self.target,)


def _torch_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("kind", ["zip", "legacy", "script", "plain"])
def test_programs_in_files_of_weights_are_refused(tmp_path, kind, protocol):
    target = tmp_path / "harm"
    program = pickle.dumps({"a.weight": Hostile(target)}, protocol)
    path = tmp_path / "x.pth"
    if kind == "legacy":
        start = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in start) + program)
    elif kind == "plain":
        path.write_bytes(program)
    else:
        _torch_zip(path, program)
    read = torchscript.read if kind == "script" else files.read
    with pytest.raises(ValueError, match=r"refused|damaged|plain pickle|neither") as caught:
        read(path)
    assert "\n" not in str(caught.value) and not target.exists()
    pickle.loads(program)  # it would have done harm
    assert target.exists()


DECLARED = {
    "byte array": pickle.PROTO + b"\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", 2**40),
    "bytes": pickle.PROTO + b"\x04" + pickle.BINBYTES8 + struct.pack("<Q", 2**40),
    "text": pickle.PROTO + b"\x04" + pickle.BINUNICODE8 + struct.pack("<Q", 2**40),
    "number": pickle.PROTO + b"\x02" + pickle.LONG4 + struct.pack("<i", 2**31 - 1),
    "frame": pickle.PROTO + b"\x04" + pickle.FRAME + struct.pack("<Q", 2**40),
}


@pytest.mark.parametrize("kind", DECLARED)
def test_sizes_that_a_pickle_declares_take_no_memory(tmp_path, kind):
    path = _torch_zip(tmp_path / "x.pth", DECLARED[kind] + b"abc")
    with pytest.raises(ValueError, match=r"x\.pth is damaged"):
        files.read(path)
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001))
    path.write_bytes(start + DECLARED[kind] + b"abc")
    with pytest.raises(ValueError, match=r"x\.pth is damaged"):
        files.read(path)


def _tensor(storage, count, size, stride):
    parts = ["torch._utils\n_rebuild_tensor_v2\n", f"torch\n{storage}\n"]
    return (pickle.GLOBAL + parts[0].encode() + b"((X\x07\x00\x00\x00storage" + pickle.GLOBAL
            + parts[1].encode() + b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
            + pickle.BININT + struct.pack("<i", count) + b"tQK\x00"
            + pickle.dumps(size, 2)[2:-1] + pickle.dumps(stride, 2)[2:-1]
            + pickle.NEWFALSE + b"}tR")  # fmt: skip


def test_tensors_that_rearrange_one_storage_again_and_again_are_refused(tmp_path):
    one = _tensor("ByteStorage", 2**20, (1024, 1024), (1, 1024))
    path = _torch_zip(tmp_path / "x.pth", b"\x80\x02]" + (one + b"a") * 200 + b".")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(2**20))
    with pytest.raises(ValueError, match="its tensors ask for far more than its weights"):
        files.read(path)


def test_parts_of_an_archive_that_lie_in_each_other_are_refused(tmp_path):
    path = _torch_zip(tmp_path / "x.pth", b"\x80\x02}.")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(1000))
        entry = archive.getinfo("archive/data/0")
        for number in range(1, 50):  # further names for the same bytes
            again = zipfile.ZipInfo(f"archive/data/{number}")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(entry, name))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True
    with pytest.raises(ValueError, match="parts are larger than the file, or lie in each other"):
        files.read(path)


def test_arrays_of_safetensors_that_lie_in_each_other_are_refused(tmp_path):
    entry = {"dtype": "F32", "shape": [25], "data_offsets": [0, 100]}
    text = json.dumps({"a": entry, "b": entry}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(100))
    with pytest.raises(ValueError, match="is damaged, or no safetensors file"):
        files.read(path)


def _png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks)  # fmt: skip


HUGE = {
    "just too large": _png(2**14, 2**13 + 1),
    "PNG": _png(100_000, 100_000),
    "BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 90_000, 90_000, 1, 24, 0, 0,
                               0, 0, 0, 0),
    "PPM": b"P6 200000 200000 255\n" + bytes(100),
    "GIF": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + bytes(6) + b","
           + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02\x44\x01\0;",
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_image_of_absurd_size_is_refused_before_it_is_decoded(tmp_path, kind, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(HUGE[kind])
    spec = label_spec.LabelSpec("two", ("a", "b"))

    def decoded(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    for read in (
        lambda: decode.load_photo(path, 8, 8),
        lambda: decode.load_label(path, 8, 8, spec),
    ):
        with pytest.raises(ValueError, match=r"x\.png: .* is too large \(.*at most 134 million"):
            read()


def test_largest_image_that_is_allowed_is_read(tmp_path):
    Image.new("1", (2**14, 2**13)).save(tmp_path / "x.png")
    assert decode.load_photo(tmp_path / "x.png", 4, 4).max() == 0


def test_pipe_with_the_name_of_a_picture_is_refused_not_waited_for(tmp_path):
    path = tmp_path / "x.png"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"x\.png: photo does not decode \(it is no file\)"):
        decode.load_photo(path, 8, 8)


def test_postscript_is_not_run_whatever_the_name_of_the_file(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it was run"))
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n")
    assert Image.open(path).format == "EPS"  # PIL would
    with pytest.raises(ValueError, match=r"x\.png: photo does not decode"):
        decode.load_photo(path, 8, 8)


PLACE = archives.Place(2, ".png", ("photos/train",), (("*.zip", "photos/train"),))


def test_names_in_archives_lead_nowhere(tmp_path):
    names = (
        "photos/train/a.png",
        "photos/train/../../../../out.png",
        "/photos/train/b.png",
        "../photos/train/c.png",
        "photos/train/..",
    )
    inside = tmp_path / "in"
    inside.mkdir()
    with zipfile.ZipFile(inside / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, _png(4, 4))
        link = zipfile.ZipInfo("photos/train/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    found = archives.find(inside, PLACE)
    assert set(found) <= {"a", "b", "c", "link"} and "a" in found  # no name is a path
    for file in found.values():
        file.open().read()
    with pytest.raises(ValueError, match="photo does not decode"):
        decode.load_photo(found["link"], 4, 4)  # a link is its own text, not what it names
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.zip"]


def test_file_in_an_archive_that_unpacks_to_too_much_is_named_and_not_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(archives, "LARGEST_FILE", 2**20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos/train/a.png", bytes(2**20 + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match=r"a\.png: photo does not decode \(it has 1048577 bytes"):
        decode.load_photo(archives.find(tmp_path, PLACE)["a"], 4, 4)


def test_links_that_lead_back_are_walked_once(tmp_path):
    own_files.save(own_files.photo(), tmp_path / "photos/deep/a.png")
    for name in ("one", "two", "three"):
        (tmp_path / "photos/deep" / name).symlink_to(tmp_path / "photos")
    assert [path.name for path in image_files.find(tmp_path / "photos")] == ["a.png"]
