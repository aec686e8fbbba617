"""TorchScript files: their weights are read, nothing in them runs."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from tests.support import published_files
from usis_jax.interop import files, torchscript

WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
BIAS = np.array([0.5, -2], np.float32)


def script(path):
    """A file of torch.jit.save's kind: two modules inside one, and code."""
    Module = published_files.Module
    conv = Module(weight=WEIGHT, bias=BIAS, stride=2, training=False)
    published_files.save(Module(net=Module(conv=conv, conv_1=Module(weight=WEIGHT + 1))), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "best_EMA/code/__torch__/net.py", "raise SystemExit", compress_type=zipfile.ZIP_DEFLATED
        )
    return path


def zipped(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
    return path


def test_tensors_are_read_under_the_names_of_their_modules(tmp_path):
    found = torchscript.read(script(tmp_path / "a.pt"))
    assert list(found) == ["net.conv.weight", "net.conv.bias", "net.conv_1.weight"]
    np.testing.assert_array_equal(found["net.conv.weight"], WEIGHT)
    np.testing.assert_array_equal(found["net.conv_1.weight"], WEIGHT + 1)
    np.testing.assert_array_equal(found["net.conv.bias"], BIAS)


def test_lists_of_numbers_in_a_module_do_not_stop_reading(tmp_path):
    published_files.save(published_files.Module(weight=BIAS, padding=0), tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        pickled, raw = archive.read("best_EMA/data.pkl"), archive.read("best_EMA/data/0")
    numbers = b"ctorch.jit._pickle\nbuild_intlist\n(]K\x00aK\x03a\x74R"
    with_list = pickled.replace(b"K\x00ub.", numbers + b"ub.")
    assert with_list != pickled
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        archive.writestr("x/data.pkl", with_list)
        archive.writestr("x/data/0", raw)
    np.testing.assert_array_equal(torchscript.read(tmp_path / "b.pt")["weight"], BIAS)


@pytest.mark.parametrize(
    "asked",
    [
        "os mkdir",
        "builtins eval",
        "torch.jit load",
        "torch.jit._pickle os",
        "usis_jax.interop.pickles _Module",
    ],
)
def test_other_names_are_refused(tmp_path, asked):
    module, name = asked.split()
    pickled = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    with pytest.raises(ValueError, match=f"asks for {module}.{name}, which is refused"):
        torchscript.read(zipped(tmp_path / "a.pt", pickled))


def test_code_in_a_pickle_does_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(ValueError, match="refused"):
        torchscript.read(zipped(tmp_path / "a.pt", pickle.dumps(Runs(), 2)))
    assert not (tmp_path / "made").exists()


def test_scripted_classes_have_nothing_to_set(tmp_path):
    """BUILD on the class itself, which every later object would share."""
    pickled = b"\x80\x02c__torch__.net\nModule\n}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(ValueError, match="damaged"):
        torchscript.read(zipped(tmp_path / "a.pt", pickled))


def test_modules_within_each_other_are_walked_once(tmp_path):
    shared = b"\x80\x02c__torch__.net\nModule\nq\x00"
    shared += b")\x81}X\x01\x00\x00\x00xK\x01sbq\x01"
    for _ in range(60):
        shared += b"0h\x00)\x81}(X\x01\x00\x00\x00ah\x01X\x01\x00\x00\x00bh\x01ubq\x01"
    with pytest.raises(ValueError, match="holds no tensors"):
        torchscript.read(zipped(tmp_path / "a.pt", shared + b"."))


def test_other_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "a.pt").write_text("x")
    with pytest.raises(ValueError, match="is not a TorchScript file"):
        torchscript.read(tmp_path / "a.pt")
    whole = script(tmp_path / "b.pt").read_bytes()
    (tmp_path / "b.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        torchscript.read(tmp_path / "b.pt")
    with pytest.raises(FileNotFoundError):
        torchscript.read(tmp_path / "none.pt")


def test_state_dicts_still_refuse_modules(tmp_path):
    with pytest.raises(ValueError, match=r"asks for __torch__.net.Module, which is refused"):
        files.read(script(tmp_path / "a.pt"))
