"""Files from others do no harm: nothing in them is run, leaves its folder, or fills the memory."""

import ast
import json
import os
import pathlib
import pickle
import struct
import sys
import zipfile
import zlib

import pytest
import tiny_run
from PIL import Image, ImageFile

from tests import own_files
from usis_jax import cli, sections, settings, train
from usis_jax.data import archives, label_spec, layout, prepared, preprocess, stored_images, streams
from usis_jax.interop import files, torchscript

PACKAGE = pathlib.Path(cli.__file__).parent
ROOT = PACKAGE.parent


def _calls():
    """(file, dotted name, keyword arguments) of every call in the package, and every import."""
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "configs").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                yield path.relative_to(ROOT), ast.unparse(node.func), given
            elif isinstance(node, ast.Import):
                yield from ((path.relative_to(ROOT), f"import {alias.name}", {})
                            for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield path.relative_to(ROOT), f"import {node.module}", {}


def test_package_has_no_call_that_runs_what_files_say():
    harmful = ("pickle.load", "pickle.loads", "pickle.Unpickler", "eval", "exec", "os.system",
               "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "marshal.loads",
               "shutil.unpack_archive", "__import__")
    imports = {f"import {name}" for name in ("dill", "cloudpickle", "joblib", "marshal", "shelve",
                                             "torch")}
    found = [(str(path), name) for path, name, _ in _calls()
             if name in harmful or name in imports or name.endswith((".extractall", ".extract"))]
    assert found == []
    assert {str(path) for path, name, _ in _calls() if name == "import pickle"} == {
        "usis_jax/interop/files.py", "usis_jax/interop/pickles.py"}  # opcodes, and the own reader


def test_arrays_are_read_and_programs_started_safely():
    loads = [given for _, name, given in _calls() if name in ("np.load", "numpy.load")]
    assert loads and all(given.get("allow_pickle") == "False" for given in loads)
    assert not [path for path, _, given in _calls() if given.get("shell", "False") != "False"]


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
    with pytest.raises(ValueError, match="its arrays lie in each other"):
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
    for read in (lambda: preprocess.load_photo(path, 8, 8),
                 lambda: preprocess.load_label(path, 8, 8, spec)):
        with pytest.raises(ValueError, match=r"x\.png: .* is too large \(.*at most 134 million"):
            read()


def test_largest_image_that_is_allowed_is_read(tmp_path):
    Image.new("1", (2**14, 2**13)).save(tmp_path / "x.png")
    assert preprocess.load_photo(tmp_path / "x.png", 4, 4).max() == 0


def test_postscript_is_not_run_whatever_the_name_of_the_file(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it was run"))
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n")
    assert Image.open(path).format == "EPS"  # PIL would
    with pytest.raises(ValueError, match=r"x\.png: photo does not decode"):
        preprocess.load_photo(path, 8, 8)


PLACE = archives.Place(2, ".png", ("photos/train",), (("*.zip", "photos/train"),))


def test_names_in_archives_lead_nowhere(tmp_path):
    names = ("photos/train/a.png", "photos/train/../../../../out.png", "/photos/train/b.png",
             "../photos/train/c.png", "photos/train/..")
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
        preprocess.load_photo(found["link"], 4, 4)  # a link is its own text, not what it names
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.zip"]


def test_file_in_an_archive_that_unpacks_to_too_much_is_named_and_not_unpacked(
        tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_FILE", 2**20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos/train/a.png", bytes(2**20 + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match=r"a\.png: photo does not decode \(it has 1048577 bytes"):
        preprocess.load_photo(archives.find(tmp_path, PLACE)["a"], 4, 4)


def test_links_that_lead_back_are_walked_once(tmp_path):
    own_files.save(own_files.photo(), tmp_path / "photos/deep/a.png")
    for name in ("one", "two", "three"):
        (tmp_path / "photos/deep" / name).symlink_to(tmp_path / "photos")
    assert [path.name for path in layout.find_images(tmp_path / "photos")] == ["a.png"]


BAD_SPECS = {
    "python.yaml": ('name: !!python/object/apply:os.system ["touch harm"]\nclasses: [a]\n',
                    "could not determine a constructor"),
    "laughs.yaml": ("a: &a [x, x]\nb: &b [*a, *a]\nclasses: [*b]\n", "it has references"),
    "deep.yaml": ("classes: " + "[" * 5000 + "]" * 5000, "it is nested too deep"),
    "deep.toml": ("classes = " + "[" * 5000 + "]" * 5000, "it is nested too deep"),
    "keys.toml": ("a" + ".a" * 10**5 + " = 1", "it is nested too deep"),
    "deep.json": ('{"classes": ' + "[" * 10**5 + "]" * 10**5 + "}", "it is nested too deep"),
    "large.toml": ('name = "' + "x" * 2**20 + '"\nclasses = ["a"]\n', "at most 262144 are read"),
    "text.toml": ('classes = [{name = "a", ids = "12"}]', "`ids` is '12'; it must be a list"),
    "colour.toml": ('classes = [{name = "a", colour = "123"}]', "`colour` is '123'"),
    "part.toml": ('classes = [{name = "a", ids = [1.5]}]', "`ids` is 1.5; it must be a whole"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SPECS)
def test_label_spec_that_asks_for_more_than_a_spec_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text, words = BAD_SPECS[name]
    pathlib.Path(name).write_text(text)
    with pytest.raises(ValueError) as caught:
        label_spec.LabelSpec.load(name)
    assert words in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value) and not pathlib.Path("harm").exists()


@pytest.mark.parametrize("text", ["[" * 10**5, "[1]", '{"steps": 1e999}', "NaN"])
def test_settings_that_are_none_are_refused(text):
    with pytest.raises(ValueError):
        settings.from_json(text)


@pytest.mark.parametrize("source", ["../x:train", "a/b:train", "a:../../train", "a:train/x",
                                    "a:..", "/a:train", "a:tr\\ain"])
def test_data_sets_and_splits_in_configurations_are_no_paths(source):
    with pytest.raises(ValueError, match="it must be NAME:SPLIT"):
        sections.parse_data(source)
    assert sections.parse_data("a:train[:50%]+test[-10:]") == ("a", "train[:50%]+test[-10:]")


def _prepared(folder, features=None, **info):
    """A prepared data set as far as its two files of JSON go."""
    part = {"name": "train", "filepathTemplate": "{DATASET}-{SPLIT}", "shardLengths": ["1"],
            "numBytes": "1"}
    info = {"name": "x", "version": "1.0.0", "fileFormat": "array_record", "splits": [part]} | info
    kind = "tensorflow_datasets.core.features."
    features = features or {
        "pythonClassName": f"{kind}features_dict.FeaturesDict",
        "featuresDict": {"features": {
            "name": {"pythonClassName": f"{kind}text_feature.Text", "text": {}},
            "photo": {"pythonClassName": "harmful.Image", "image": {}},
        }},
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(features))
    return folder


def test_prepared_data_cannot_have_python_modules_imported(tmp_path, monkeypatch):
    (tmp_path / "harmful.py").write_text("import pathlib\npathlib.Path('harm').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"features\.json is damaged; prepare the data set again"):
        stored_images.open_split(_prepared(tmp_path), "train")
    assert not pathlib.Path("harm").exists() and "harmful" not in sys.modules
    import tensorflow_datasets as tfds

    with pytest.raises(ValueError):  # it would have been imported
        tfds.builder_from_directory(tmp_path)
    assert pathlib.Path("harm").exists()


@pytest.mark.parametrize("part", [
    {"filepathTemplate": "../{DATASET}"}, {"filepathTemplate": "/etc/passwd"}, {"name": "../x"},
    {"shardLengths": ["-5"]}, {"shardLengths": "many"}, {"filepathTemplate": 3}, 7])
def test_prepared_data_cannot_name_files_outside(tmp_path, part):
    whole = {"name": "train", "filepathTemplate": "{DATASET}", "shardLengths": ["1"]}
    part = whole | part if isinstance(part, dict) else part
    with pytest.raises(ValueError, match=r"dataset_info\.json is damaged"):
        prepared.splits(_prepared(tmp_path, splits=[part]))


def test_messages_have_no_signs_that_terminals_obey(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_files.folder(tmp_path)
    (tmp_path / "photos/\x1b[2J\x07.png").write_text("no picture")
    assert cli.main(["prepare", "--photos=photos", "--labels=labels", "--spec=scenes",
                     "--config=configs/small.py", "--height=64", "--width=64"]) == 2  # fmt: skip
    said = capsys.readouterr().err.rpartition("usis: ")[2]
    assert "?[2J?.png: photo does not decode" in said and said.removesuffix("\n").isprintable()


def _listening():
    """Addresses on which this process waits for connections."""
    mine = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            mine.add(os.readlink(f"/proc/self/fd/{entry}"))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in mine:
                found.append(words[1])
    return found


@pytest.mark.skipif(not pathlib.Path("/proc/self/net/tcp").exists(), reason="Linux tells sockets")
def test_training_on_one_host_listens_on_no_network(tmp_path, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)):
        assert len(_listening()) == 1  # it would be seen
    tiny_run.install(monkeypatch)
    seen = []

    def watched(*args, **kwargs):
        for batch in tiny_run.training(*args, **kwargs):
            seen.append(_listening())
            yield batch

    monkeypatch.setattr(streams, "training", watched)
    settings = tiny_run.settings(steps=3, checkpoint_interval=2, r1_interval=0)
    train.train(settings, tmp_path / "run", progress=False)
    assert len(seen) >= 3 and seen == [[]] * len(seen)


def test_python_in_the_configuration_of_a_work_directory_is_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("config.json").write_text("__import__('os').system('touch harm')")
    assert cli.main(["sample", "--workdir=.", "--labels=x", "--out=y"]) == 2
    assert "config.json cannot be used" in capsys.readouterr().err
    assert os.listdir() == ["config.json"]
