"""`usis doctor`: finds what is there and what is wrong, and never fails itself."""

import ast
import builtins
import json
import re
import sys

import pytest
from packaging.requirements import Requirement

from tests.support import own_files, places
from usis_jax.cli import main
from usis_jax.cli.commands import doctor
from usis_jax.config import settings
from usis_jax.data.preparation import locations
from usis_jax.doctor import holdings, machine, packages
from usis_jax.doctor.finding import NOTE, OK, WRONG, Finding
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.storage import lock
from usis_jax.workdir import layout

DEVICE = 'print("note"); print("FOUND" + %r)'


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Nothing prepared, no weights, and devices that answer at once."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))
    listed = [
        {"platform": "tpu", "kind": "TPU v5 lite", "process": 0, "bytes": 16 << 30, "used": 0}
    ] * 2
    monkeypatch.setattr(machine.devices, "__defaults__", (DEVICE % json.dumps(listed), 30))
    return tmp_path


def prepare(folder, name="scenes", kind="photos_64x128", splits=(("train", [3]),), files=True):
    """What `usis prepare` leaves of one data set, with one byte in each shard."""
    place = folder / name / kind / locations.VERSION
    place.mkdir(parents=True)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (place / "dataset_info.json").write_text(
        json.dumps(
            {
                "splits": [
                    {
                        "name": split,
                        "filepathTemplate": template,
                        "shardLengths": [str(n) for n in lengths],
                    }
                    for split, lengths in splits
                ]
            }
        )
    )
    for split, lengths in splits if files else ():
        for i in range(len(lengths)):
            shard = f"{name}-{split}.array_record-{i:05d}-of-{len(lengths):05d}"
            (place / shard).write_bytes(b"x")
    return place


def states(found):
    return {one.name: one.state for one in found}


def test_doctor_prints_every_part_and_writes_json(place, capsys):
    file = place / "doctor.json"
    assert main.main(["doctor", f"--json={file}"]) == 0
    shown, written = capsys.readouterr().out, json.loads(file.read_text())
    parts = {one["part"] for one in written["findings"]}
    assert parts == {"packages", "extras", "devices", "memory", "disk", "data", "weights"}
    assert written["wrong"] == 0 and shown.endswith("nothing is wrong\n")
    assert "2 x TPU v5 lite, 16.0 GiB each" in shown and "\033" not in shown


def test_something_wrong_is_exit_code_1_with_what_to_do(place, capsys):
    assert main.main(["doctor", f"--workdir={place / 'nothing'}"]) == 1
    shown = capsys.readouterr().out
    assert "not a work directory" in shown and "1 thing is wrong" in shown


def test_look_that_fails_is_a_finding_and_the_others_go_on(monkeypatch, capsys):
    def broken(name, *rest):
        if name.startswith("numpy") or name == "packaging.requirements":
            raise ImportError(f"no {name}")
        return imported(name, *rest)

    imported = builtins.__import__
    for name in [n for n in sys.modules if n.startswith(("packaging", "usis_jax.evaluation"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", broken)
    assert main.main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "could not look (ImportError: no packaging.requirements)" in shown
    assert "TPU v5 lite" in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [("numpy>=1.26", OK, "(>=1.26)"), ("numpy>=99", WRONG, "but >=99 needed"),
     ("no-such-package-here>=1", WRONG, "missing, >=1 needed")],
)  # fmt: skip
def test_version_is_held_against_the_range(asked, state, words):
    found, text = packages.state_of(Requirement(asked))
    assert found == state and words in text


def test_every_extra_with_packages_is_looked_at():
    text = (places.REPOSITORY / "setup.py").read_text(encoding="utf-8")
    extras = ast.literal_eval(re.search(r"extras_require=(\{.*?\n    \})", text, re.S)[1])
    assert set(packages._EXTRAS) == {name for name, needed in extras.items() if needed}


def test_clone_that_is_not_installed_says_so(monkeypatch):
    def missing(name):
        raise packages.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.importlib.metadata, "requires", missing)
    assert packages.look()[-1].advice.startswith("pip install -e ")


@pytest.mark.parametrize(
    ("question", "words"),
    [("import time; time.sleep(60)", "no answer in 1 s"),
     ("raise SystemExit('no TPU here')", "finds no device: no TPU here"),
     ("import os; os.abort()", "finds no device: it said nothing")],
)  # fmt: skip
def test_driver_that_hangs_or_crashes_is_a_finding(monkeypatch, question, words):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    [found] = machine.devices(question, 1 if "sleep" in question else 30)
    assert found.state == WRONG and words in found.text and found.advice


def test_accelerator_that_jax_does_not_use_is_wrong(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(machine, "accelerators_of_host", lambda: ["cuda"])
    cpu = [{"platform": "cpu", "kind": "cpu", "process": 0, "bytes": 0, "used": 0}]
    found = machine.devices(DEVICE % json.dumps(cpu))
    assert states(found) == {"cpu": OK, "cuda": WRONG, "accelerator": NOTE}


def test_disk_without_right_to_write_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.os, "access", lambda place, mode: place == tmp_path)
    inside, other = machine.disks([("a", tmp_path / "new/er"), ("b", "/")])
    assert inside.state == OK and other.state == WRONG and "may not write" in other.text


def test_complete_data_set_is_counted_and_damaged_ones_are_named(tmp_path):
    prepare(tmp_path, splits=(("train", [3, 2]), ("validation", [1])))
    prepare(tmp_path, "own", splits=(("train", [3]),), files=False)
    (prepare(tmp_path, "camvid") / "dataset_info.json").unlink()
    (prepare(tmp_path, "faces") / "dataset_info.json").write_text("{")
    (tmp_path / ".usis_preparing_host_1_x").mkdir()
    found = {one.name: one for one in holdings.data_sets(tmp_path)}
    assert found["scenes/photos_64x128"][2:4] == (OK, "5 train, 1 validation")
    assert "lacks own-train.array_record-00000-of-00001" in found["own/photos_64x128"].text
    assert "not finished" in found["camvid/photos_64x128"].text
    assert "damaged" in found["faces/photos_64x128"].text
    assert found[".usis_preparing_host_1_x"].state == NOTE
    for name in ("own", "camvid", "faces"):
        assert found[f"{name}/photos_64x128"].state == WRONG


def test_own_folders_and_prepared_ones_are_found_by_data_dir(tmp_path):
    for kind in ("photos", "labels"):
        own_files.save(getattr(own_files, kind.rstrip("s"))(), tmp_path / f"own/{kind}/a.png")
    assert states(holdings.source(tmp_path / "own")) == {"photos": OK, "labels": OK}
    prepare(tmp_path / "prepared")
    assert states(holdings.source(tmp_path / "prepared")) == {"scenes/photos_64x128": OK}
    (tmp_path / "empty").mkdir()
    assert [one.state for one in holdings.source(tmp_path / "empty")] == [WRONG]
    assert [one.state for one in holdings.source(tmp_path / "nowhere")] == [WRONG]


def test_part_of_a_published_data_set_is_wrong(tmp_path):
    own_files.save(own_files.photo(), tmp_path / "kitti/training/image_2/000000.png")
    [found] = holdings.source(tmp_path)
    assert (found.name, found.state) == ("kitti train", WRONG)
    assert "1 of 7481 photos" in found.text and "--allow_partial" in found.advice


def test_weights_of_another_size_are_wrong(tmp_path):
    assert states(holdings.caches(tmp_path)) == {"inception": NOTE}
    name = pretrained_weights.KNOWN["lpips-alexnet"][0].name
    (tmp_path / name).write_bytes(b"half")
    assert states(holdings.caches(tmp_path)) == {"lpips-alexnet": WRONG, "inception": NOTE}
    (tmp_path / name).write_bytes(bytes(pretrained_weights.KNOWN["lpips-alexnet"][0].size))
    assert states(holdings.caches(tmp_path))["lpips-alexnet"] == OK


def test_work_directory_is_looked_at(place):
    values = settings.load({"data": {"height": 64, "width": 128}})
    workdir = place / "run"
    layout.create(workdir, values)
    found = holdings.run(workdir)
    assert [one.state for one in found] == [OK, NOTE, WRONG, WRONG]
    assert found[-1].advice.startswith("usis prepare --config=configs/quickstart.py")
    for kind in ("photos_64x128", "labels_64x128"):
        prepare(place / "prepared", kind=kind)
    (workdir / "checkpoints" / "1500").mkdir(parents=True)
    with lock.Lock(workdir):
        found = holdings.run(workdir)
    assert states(found) == {"configuration": OK, "checkpoints": OK, "lock": NOTE, "data": OK}
    assert found[1].text == "steps 1500"


def test_names_of_files_cannot_command_the_terminal():
    shown = doctor.text([Finding("data", "a\033[2J", OK, "b\nc")])
    assert "\033" not in shown and "a?[2J: b?c" in shown
