"""Broken input of many kinds: each is one line that says what to change, and exit code 2."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support import own_files, places
from tests.support.own_files import label, photo, save
from usis_jax.cli import main
from usis_jax.data.preparation import staging
from usis_jax.data.specs import label_spec

COLOURS = np.array([(30, 60, 200), (200, 60, 30), (90, 90, 90), (0, 0, 0)], np.uint8)
SPEC = label_spec.LabelSpec("four", tuple("abcd"), COLOURS.tolist(), void=3)
ARGUMENTS = ("prepare", "--photos=photos", "--labels=labels", "--height=64", "--width=64")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with photos/, labels/ and a label spec, all of them good."""
    own_files.folder(tmp_path, 16)
    SPEC.save(tmp_path / "label_spec.toml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "prepared")
    return tmp_path


def _says(capsys, *words):
    """The one line with which `usis` refuses the arguments."""
    assert main.main(list(words)) == 2
    captured = capsys.readouterr()
    bar, _, line = captured.err.rpartition("usis: ")
    assert line.endswith("\n") and line.count("\n") == 1
    assert "Traceback" not in bar and "usis: " not in bar
    return line


def _smooth(ids):
    large = Image.fromarray(COLOURS[ids.repeat(2, 0).repeat(2, 1)])
    return large.resize((48, 32), Image.Resampling.LANCZOS)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _shifted(ids, k):
    return np.where(ids == 3, k, ids).astype(np.uint8)


BAD_FILES = {
    "truncated photo": (
        lambda: _cut(save(photo(), pathlib.Path("photos/x.png"))),
        "photos/x.png: photo does not decode (",
    ),
    "truncated label map": (
        lambda: _cut(save(label(size=(300, 400)), pathlib.Path("labels/x.png"))),
        "labels/x.png: label map does not decode (",
    ),
    "text file": (
        lambda: pathlib.Path("photos/x.png").write_text("not a picture"),
        "photos/x.png: photo does not decode (cannot identify image file)",
    ),
    "empty file": (
        lambda: pathlib.Path("photos/x.jpg").write_bytes(b""),
        "photos/x.jpg: photo does not decode (it is empty)",
    ),
    "photo of 32 bits": (
        lambda: save(photo()[..., 0].astype(np.float32), pathlib.Path("photos/x.tif")),
        "photos/x.tif: photo has mode F, 32 bits a channel; save it with 8 or 16 bits",
    ),
    "unknown id": (
        lambda: save(_shifted(label(), 77), pathlib.Path("labels/x.png")),
        f"labels/x.png: label id 77 on {(label() == 3).sum()} pixels outside label spec 'four', "
        "which knows ids 0 to 3",
    ),
    "unknown colour": (
        lambda: save(np.where(label()[..., None] == 3, [9, 8, 7], COLOURS[label()]).astype("u1"),
                     pathlib.Path("labels/x.png")),
        f"labels/x.png: label colour (9, 8, 7) on {(label() == 3).sum()} pixels outside",
    ),
    "smoothed edges": (
        lambda: save(_smooth(label()), pathlib.Path("labels/x.png")),
        "so many come from smoothed edges or lossy compression: export the label map without",
    ),
    "JPEG label map": (
        lambda: save(COLOURS[label()], pathlib.Path("labels/x.jpg")),
        "labels/x.jpg: label map is a JPEG, whose compression changes ids; use PNG",
    ),
    "grey label map with transparency": (
        lambda: save(Image.fromarray(label()).convert("LA"), pathlib.Path("labels/x.png")),
        "labels/x.png: label map has mode LA; save one id a pixel as PNG",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_file_is_named_and_nothing_is_prepared(here, capsys, kind):
    spoil, words = BAD_FILES[kind]
    spoil()
    line = _says(capsys, *ARGUMENTS)
    assert words in line
    assert line.endswith("--skip_bad goes on without them\n")
    assert not (here / "prepared").exists()


def test_all_bad_files_are_named_in_one_run_and_can_be_left_out(here, capsys):
    (here / "photos/a.png").write_text("not a picture")
    (here / "photos/b.jpg").write_bytes(b"")
    save(_shifted(label(), 77), here / "labels/c.png")
    save(COLOURS[label()], here / "labels/d.jpg")
    line = _says(capsys, *ARGUMENTS)
    assert line.startswith("4 bad files: ")
    for name in ("photos/a.png: ", "photos/b.jpg: ", "labels/c.png: ", "labels/d.jpg: "):
        assert name in line
    assert main.main([*ARGUMENTS, "--skip_bad"]) == 0
    assert "4 bad files left out" in capsys.readouterr().out


BAD_FOLDERS = {
    "missing folder": (lambda: None, ["--photos=none"], "--photos=none does not exist"),
    "folder that is a file": (
        lambda: pathlib.Path("none").write_text(""), ["--labels=none"],
        "--labels is none, which is a file; it must be a folder",
    ),
    "empty folder": (
        lambda: pathlib.Path("none").mkdir(), ["--labels=none"],
        "none has no image files; it must hold labels",
    ),
    "mixed layouts": (
        lambda: save(photo(), pathlib.Path("photos/val/x.png")), [],
        "photos has photo_0.jpg beside the split folder val/",
    ),
    "two files of one name": (
        lambda: save(photo(), pathlib.Path("photos/photo_1.png")), [],
        "photos/photo_1.png and photo_1.jpg have the same name; rename one",
    ),
    "one file only": (
        lambda: save(photo(), pathlib.Path("few/x.png")), ["--photos=few"],
        "there is 1 file of photos only; at least 2 must be there",
    ),
    "one folder for both": (lambda: None, ["--labels=photos"], "lie in each other"),
    "no label maps": (lambda: None, ["--labels="], "--labels is empty (an unset shell variable?)"),
    "name that is no name": (lambda: None, ["--name=My Data"], "--name is 'My Data'; it must be"),
    "size that does not fit": (
        lambda: None, ["--height=100"], "data.height is 100; it must be a multiple of",
    ),
    "spec given twice": (
        lambda: None, ["--spec=camvid", "--config.data.label_spec=camvid"],
        "--spec and --config.data.label_spec are the same; give one of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_folder_that_cannot_be_used_is_named(here, capsys, kind):
    spoil, more, words = BAD_FOLDERS[kind]
    spoil()
    assert words in _says(capsys, *ARGUMENTS, *more)
    assert not (here / "prepared").exists()


BAD_SPECS = {
    "no spec": (None, "label maps in labels have no label spec; run: usis inspect --labels=labels"),
    "no classes": ('name = "x"\n', "`classes` is missing or empty"),
    "class without a name": ("[[classes]]\nids = [0]\n", "must have a name"),
    "key that is unknown": ('nam = "x"\nclasses = ["a"]\n', "unknown key 'nam'; known are"),
    "id of two classes": (
        '[[classes]]\nname = "a"\nids = [0, 1]\n[[classes]]\nname = "b"\nids = [1]\n',
        "gives file id 1 to two classes",
    ),
    "void that is no class": ('void = "v"\nclasses = ["a"]\n', "'v' is not one of the classes"),
    "text that does not parse": ("classes = [\n", "label spec label_spec.toml: "),
    "no colours for colour images": (
        'classes = ["a", "b", "c", "d"]\n',
        "map_0.png: label map is a colour image, and label spec 'custom' has no colours",
    ),
}


@pytest.mark.parametrize("kind", BAD_SPECS)
def test_label_spec_that_cannot_be_used_is_named(here, capsys, kind):
    text, words = BAD_SPECS[kind]
    (here / "label_spec.toml").unlink()
    more = []
    if text is not None:
        (here / "label_spec.toml").write_text(text)
        more = ["--spec=label_spec.toml"]
    if kind == "no colours for colour images":
        for path in (here / "labels").iterdir():
            save(COLOURS[label()], path)
    assert words in _says(capsys, *ARGUMENTS, *more)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("none.toml", "label spec none.toml does not exist"),
        ("street", "label spec 'street' is neither a file nor one of scenes, camvid"),
        ("photos/photo_0.jpg", "must end in .toml, .yaml, .yml or .json"),
    ],
)
def test_label_spec_that_is_not_there_is_named(here, capsys, spec, words):
    assert words in _says(capsys, *ARGUMENTS, f"--spec={spec}")


def test_target_that_cannot_be_written_is_named(here, capsys, monkeypatch):
    (here / "prepared").write_text("a file")
    words = "$TFDS_DATA_DIR is prepared, which is a file; it must be a folder"
    assert words in _says(capsys, *ARGUMENTS)

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    (here / "prepared").unlink()
    monkeypatch.setattr(staging.tempfile, "mkdtemp", denied)
    assert "cannot write data.prepared_dir prepared: Permission" in _says(capsys, *ARGUMENTS)


def test_other_files_under_the_same_name_are_refused(here, capsys):
    assert main.main(list(ARGUMENTS)) == 0
    capsys.readouterr()
    save(photo(9), here / "photos/new.png")
    assert "was prepared from other data (different: files)" in _says(capsys, *ARGUMENTS)
    assert main.main([*ARGUMENTS, "--overwrite"]) == 0


KILLED = """
import os, signal
from usis_jax.cli import main
from usis_jax.data.images import decode
from usis_jax.data.preparation import staging

calls = []
def killed(function, number):
    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

{patch}
main.main({arguments!r})
"""
PATCHES = {
    "while reading label maps": "decode.load_label = killed(decode.load_label, 3)",
    "between photos and label maps": "staging.move = killed(staging.move, 2)",
}


@pytest.mark.parametrize("moment", PATCHES)
@pytest.mark.slow
def test_killed_preparation_leaves_nothing_partial_and_can_be_run_again(here, moment):
    code = KILLED.format(patch=PATCHES[moment], arguments=list(ARGUMENTS))
    root = str(places.REPOSITORY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.returncode == -signal.SIGKILL
    whole = [path.parts[-3] for path in here.glob("prepared/own/*/*/dataset_info.json")]
    assert whole == ([] if "reading" in moment else ["photos_64x64"])
    assert list(here.glob("prepared/.usis_preparing_*"))
    assert main.main([*ARGUMENTS, "--json=result.json"]) == 0
    datasets = json.loads((here / "result.json").read_text())["datasets"]
    assert [entry["splits"] for entry in datasets] == [{"train": 12, "validation": 4}] * 2
    assert not list(here.glob("prepared/.usis_preparing_*"))
