"""Files of weights: what is read, what is refused, and that nothing in a file ever runs."""

import json
import os
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests.support import published_files
from usis_jax.cli import main
from usis_jax.interop import files, pickles

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "a.bias": np.array([0.5, -2.0], np.float16),
    "counter": np.array(7),
    "empty": np.zeros((0, 3), np.float64),
}


def same(found, expected=ARRAYS):
    return found.keys() == expected.keys() and all(
        found[key].dtype == value.dtype
        and found[key].shape == value.shape
        and found[key].tobytes() == value.tobytes()
        for key, value in expected.items()
    )


def zipped(path, pickled, **entries):
    """A file of torch.save's kind with any pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        for name, content in entries.items():
            archive.writestr(f"x/{name}", content)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_arrays_of_torch_save_come_back(tmp_path, legacy):
    published_files.save(ARRAYS, tmp_path / "a.pth", legacy)
    assert same(files.read(tmp_path / "a.pth"))


@pytest.mark.parametrize("legacy", [False, True])
def test_nested_content_keeps_its_structure(tmp_path, legacy):
    published_files.save(
        {"netG": ARRAYS, "epoch": 3, "seen": [1, "two", None]}, tmp_path / "a.pth", legacy
    )
    found = files.read(tmp_path / "a.pth")
    assert same(found["netG"]) and found["epoch"] == 3 and found["seen"] == [1, "two", None]


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_written_arrays_come_back(tmp_path, name):
    arrays = ARRAYS | {"half": np.array([1.5, -3], ml_dtypes.bfloat16), "flag": np.array([True])}
    files.write(tmp_path / name, arrays)
    assert same(files.read(tmp_path / name), arrays)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_transposed_arrays_are_written_as_they_are_seen(tmp_path):
    for name in ("a.pt", "a.safetensors"):
        files.write(tmp_path / name, {"a": ARRAYS["a.weight"].transpose(2, 3, 1, 0)})
        found = files.read(tmp_path / name)["a"]
        np.testing.assert_array_equal(found, ARRAYS["a.weight"].transpose(2, 3, 1, 0))


def test_safetensors_header_is_as_the_format_says(tmp_path):
    files.write(tmp_path / "a.safetensors", {"a": np.zeros((2, 3), np.float32)})
    raw = (tmp_path / "a.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    assert json.loads(raw[8 : 8 + length]) == {
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    }
    assert length % 8 == 0 and len(raw) == 8 + length + 24


def test_view_of_a_shared_storage_is_read(tmp_path):
    """Two views of one storage, one transposed, as PyTorch writes them."""
    path = tmp_path / "a.pth"
    files.write(path, {"a": np.arange(6, dtype=np.float32), "b": np.zeros(6, np.float32)})
    tensor = pickles.Tensor(("0", np.dtype("<f4"), 6), 1, (2, 2), (1, 2))
    raw = np.arange(6, dtype="<f4").tobytes()
    found = pickles.with_arrays({"view": tensor}, path, lambda key, size: raw[:size])
    np.testing.assert_array_equal(found["view"], [[1, 3], [2, 4]])


class Runs:
    """Unpickled the usual way, this makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_file_is_refused_and_does_nothing(tmp_path, protocol):
    folder = tmp_path / "made"
    path = zipped(tmp_path / "a.pth", pickle.dumps({"a": Runs(folder)}, protocol))
    with pytest.raises(ValueError, match=r"a\.pth asks for \w+\.mkdir, which is refused"):
        files.read(path)
    assert not folder.exists()
    path.write_bytes(pickles.LEGACY + b"." + pickle.dumps(1001, 2) + pickle.dumps(Runs(folder), 2))
    with pytest.raises(ValueError, match="asks for"):
        files.read(path)
    assert not folder.exists()


@pytest.mark.parametrize(
    "asked",
    [
        "os system",
        "builtins eval",
        "builtins getattr",
        "torch load",
        "torch._utils _rebuild_parameter",
        "torch.storage _load_from_bytes",
        "collections OrderedDict.__init__",
        "torch FloatStorage.mro",
        "numpy.core.multiarray _reconstruct",
        "usis_jax.interop.pickles Tensor",
    ],
)
def test_every_name_but_those_of_tensors_is_refused(tmp_path, asked):
    module, name = asked.split()
    pickled = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    with pytest.raises(ValueError, match=f"asks for {module}.{name}, which is refused"):
        files.read(zipped(tmp_path / "a.pth", pickled))
    code = (
        pickle.PROTO
        + b"\x04"
        + b"".join(
            pickle.SHORT_BINUNICODE + bytes([len(part)]) + part.encode() for part in asked.split()
        )
    )
    with pytest.raises(ValueError, match="refused"):
        files.read(zipped(tmp_path / "a.pth", code + pickle.STACK_GLOBAL + pickle.STOP))


def test_what_a_file_gets_for_torch_has_no_attributes_to_change(tmp_path):
    """BUILD sets attributes of the last thing built; those of shared functions would stay set."""
    named = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    for state in ({"x": 1}, (None, {"__call__": 1}), (None, {"__class__": 1})):
        with pytest.raises(ValueError, match="damaged"):
            files.read(zipped(tmp_path / "a.pth", named + pickle.dumps(state, 2)[2:-1] + b"b."))


def sizes(head):
    """A pickle that claims something of 2**40 bytes, or place 2**31 of its memory."""
    return b"\x80\x04" + head + b"."


@pytest.mark.parametrize(
    "pickled",
    [
        sizes(pickle.BINBYTES8 + struct.pack("<Q", 2**40)),
        sizes(b"N" + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f")[:-1],
        sizes(pickle.FRAME + struct.pack("<Q", 2**40)),
        b"\x80\x02",
        b"",
        b"\x80\x02.",
        b"\x80\x63.",
        b"\x80\x02(" * 5 + b".",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02K\x01Q.",
        b"P0\n.",
    ],
)
def test_broken_pickle_is_an_error_and_needs_no_memory(tmp_path, pickled):
    with pytest.raises(ValueError, match=r"a\.pth"):
        files.read(zipped(tmp_path / "a.pth", pickled))


def test_content_that_occurs_many_times_is_copied_once(tmp_path):
    content = [1]
    for _ in range(100):
        content = [content, content]
    found = files.read(zipped(tmp_path / "a.pth", pickle.dumps(content, 2)))
    assert found[0] is found[1]


def test_file_cut_off_anywhere_is_an_error(tmp_path):
    for name, legacy in (("a.pth", False), ("b.pth", True)):
        published_files.save({"a": np.ones((4, 5), np.float32)}, tmp_path / name, legacy)
    files.write(tmp_path / "c.safetensors", {"a": np.ones((4, 5), np.float32)})
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        cut = path.with_name(f"cut_{path.name}")
        for length in range(0, len(whole), 7):
            cut.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=path.name):
                files.read(cut)


def tensor(offset=0, size=(2, 2), stride=(2, 1), count=4):
    return pickles.Tensor(("0", np.dtype("<f4"), count), offset, size, stride)


@pytest.mark.parametrize(
    "view",
    [
        tensor(offset=1),
        tensor(offset=-1),
        tensor(size=(2, 3)),
        tensor(stride=(3, 1)),
        tensor(stride=(-2, 1)),
        tensor(size=(10**9, 10**9), stride=(0, 0)),
        tensor(count=-4),
    ],
)
def test_tensor_beyond_its_storage_is_refused(view):
    with pytest.raises(ValueError, match=r"f is damaged: a tensor .* is larger than its storage"):
        pickles.with_arrays({"a": view}, "f", lambda key, size: bytes(16))


def header(**entry):
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entry})
    return struct.pack("<Q", len(text)) + text.encode() + bytes(8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (struct.pack("<Q", 2**60) + b"{}", "safetensors file: .*header too large"),
        (struct.pack("<Q", 5) + b"{nope", "safetensors file: .*invalid JSON"),
        (struct.pack("<Q", 4) + b"[[]]", "safetensors file: .*header"),
        (header(dtype="F8_E4M3", shape=[8]), "dtype 'F8_E4M3'; allowed are F64"),
        (header(shape=[3]), "is damaged, or no safetensors file"),
        (header(data_offsets=[8, 16]), "is damaged, or no safetensors file"),
        (header(shape=[-2], data_offsets=[8, 0]), "is damaged, or no safetensors file"),
        (header(shape=[1.0, 2]), "is damaged, or no safetensors file"),
        (b"{}", "header"),
    ],
)
def test_broken_safetensors_is_an_error(tmp_path, content, words):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        files.read(path)


def test_big_endian_file_is_refused(tmp_path):
    path = zipped(tmp_path / "a.pth", b"\x80\x02}.", byteorder=b"big")
    with pytest.raises(ValueError, match="is big-endian"):
        files.read(path)


def test_compressed_entries_are_not_unpacked(tmp_path):
    published_files.save({"a": np.zeros(10**6, np.float32)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as whole,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    with pytest.raises(ValueError, match=r"b\.pth is damaged: data.pkl is compressed"):
        files.read(tmp_path / "b.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a text", "is neither a file of torch.save nor of safetensors"),
        (pickle.dumps([1], 4), r"plain pickle, .*usis_jax\[torch\]"),
        (bytes(257) + b"ustar" + bytes(250), r"PyTorch before 0\.4; .*usis_jax\[torch\]"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, content, words):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        files.read(path)


def test_other_zip_archive_is_no_checkpoint(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match="not one of PyTorch"):
        files.read(tmp_path / "a.npz")


def test_suffix_of_a_file_to_write_must_be_known(tmp_path):
    with pytest.raises(ValueError, match=r"a\.txt must end with \.pth"):
        files.write(tmp_path / "a.txt", ARRAYS)


def test_pytorch_and_this_package_read_each_other_s_files(tmp_path):
    torch = pytest.importorskip("torch")
    arrays = dict(ARRAYS)
    tensors = {key: torch.tensor(value) for key, value in arrays.items()}
    tensors["view"] = torch.arange(12.0).reshape(3, 4).t()[1:3]
    arrays["view"] = np.arange(12, dtype=np.float32).reshape(3, 4).T[1:3]
    for new in (True, False):
        torch.save(tensors, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
        assert same(files.read(tmp_path / "a.pth"), arrays)
    files.write(tmp_path / "b.pth", arrays)
    found = torch.load(tmp_path / "b.pth", weights_only=True)
    assert same({key: value.numpy() for key, value in found.items()}, arrays)


def test_command_line_says_what_a_refused_file_asked_for(tmp_path, capsys):
    path = zipped(tmp_path / "a.pth", pickle.dumps(Runs(tmp_path / "made"), 2))
    words = ["import-torch", "--arch=usis", "--dataset=cityscapes", f"--out={tmp_path / 'run'}"]
    assert main.main([*words, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "mkdir, which is refused" in error
    assert not (tmp_path / "made").exists() and not (tmp_path / "run").exists()
