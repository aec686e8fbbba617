"""Files from others do no harm: nothing in them is run, leaves its folder, or fills the memory."""

import ast
import json
import os
import pathlib
import sys

import pytest

from tests.support import own_files, places, tiny_run
from usis_jax.cli import main
from usis_jax.config import schema, settings
from usis_jax.data.pipeline import input_pipeline, record_source
from usis_jax.data.preparation import prepared_sets
from usis_jax.data.specs import label_spec
from usis_jax.train import run

PACKAGE, ROOT = places.PACKAGE, places.REPOSITORY


def _calls():
    """(file, dotted name, keyword arguments) of every call in the package, and every import."""
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "configs").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                yield path.relative_to(ROOT), ast.unparse(node.func), given
            elif isinstance(node, ast.Import):
                yield from (
                    (path.relative_to(ROOT), f"import {alias.name}", {}) for alias in node.names
                )
            elif isinstance(node, ast.ImportFrom):
                yield path.relative_to(ROOT), f"import {node.module}", {}


def test_package_has_no_call_that_runs_what_files_say():
    harmful = (
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "eval",
        "exec",
        "os.system",
        "os.popen",
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "marshal.loads",
        "shutil.unpack_archive",
        "__import__",
    )
    imports = {
        f"import {name}" for name in ("dill", "cloudpickle", "joblib", "marshal", "shelve", "torch")
    }
    found = [
        (str(path), name)
        for path, name, _ in _calls()
        if name in harmful or name in imports or name.endswith((".extractall", ".extract"))
    ]
    assert found == []
    assert {str(path) for path, name, _ in _calls() if name == "import pickle"} == {
        "usis_jax/interop/files.py",
        "usis_jax/interop/pickles.py",
    }  # opcodes, and the own reader


def test_arrays_are_read_and_programs_started_safely():
    loads = [given for _, name, given in _calls() if name in ("np.load", "numpy.load")]
    assert loads and all(given.get("allow_pickle") == "False" for given in loads)
    assert not [path for path, _, given in _calls() if given.get("shell", "False") != "False"]


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


@pytest.mark.parametrize(
    "source",
    ["../x:train", "a/b:train", "a:../../train", "a:train/x", "a:..", "/a:train", "a:tr\\ain"],
)
def test_data_sets_and_splits_in_configurations_are_no_paths(source):
    with pytest.raises(ValueError, match="it must be NAME:SPLIT"):
        schema.parse_data(source)
    assert schema.parse_data("a:train[:50%]+test[-10:]") == ("a", "train[:50%]+test[-10:]")


def _prepared(folder, features=None, **info):
    """A prepared data set as far as its two files of JSON go."""
    part = {
        "name": "train",
        "filepathTemplate": "{DATASET}-{SPLIT}",
        "shardLengths": ["1"],
        "numBytes": "1",
    }
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
    with pytest.raises(ValueError, match=r"features\.json is damaged; run: usis prepare"):
        record_source.open_split(_prepared(tmp_path), "train")
    assert not pathlib.Path("harm").exists() and "harmful" not in sys.modules
    import tensorflow_datasets as tfds

    with pytest.raises(ValueError):  # it would have been imported
        tfds.builder_from_directory(tmp_path)
    assert pathlib.Path("harm").exists()


@pytest.mark.parametrize(
    "part",
    [
        {"filepathTemplate": "../{DATASET}"},
        {"filepathTemplate": "/etc/passwd"},
        {"name": "../x"},
        {"shardLengths": ["-5"]},
        {"shardLengths": "many"},
        {"filepathTemplate": 3},
        7,
    ],
)
def test_prepared_data_cannot_name_files_outside(tmp_path, part):
    whole = {"name": "train", "filepathTemplate": "{DATASET}", "shardLengths": ["1"]}
    part = whole | part if isinstance(part, dict) else part
    with pytest.raises(ValueError, match=r"dataset_info\.json is damaged"):
        prepared_sets.splits(_prepared(tmp_path, splits=[part]))


def test_messages_have_no_signs_that_terminals_obey(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_files.folder(tmp_path)
    (tmp_path / "photos/\x1b[2J\x07.png").write_text("no picture")
    assert main.main(["prepare", "--photos=photos", "--labels=labels", "--spec=scenes",
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
@pytest.mark.slow
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

    monkeypatch.setattr(input_pipeline, "training", watched)
    settings = tiny_run.settings(steps=3, checkpoint_interval=2, r1_interval=0)
    run.train(settings, tmp_path / "run", progress=False)
    assert len(seen) >= 3 and seen == [[]] * len(seen)


def test_python_in_the_configuration_of_a_work_directory_is_not_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("config.json").write_text("__import__('os').system('touch harm')")
    assert main.main(["sample", "--workdir=.", "--labels=x", "--out=y"]) == 2
    assert "config.json cannot be used" in capsys.readouterr().err
    assert os.listdir() == ["config.json"]
