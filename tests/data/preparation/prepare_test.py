"""Tests of usis_jax.data.preparation.prepare, and of the builders that it runs."""

import dataclasses
import json
import os
import pathlib
import shutil
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import locations, prepare
from usis_jax.data.specs import label_spec, lookup

SPEC = label_spec.LabelSpec("yard", ("grass", "path", "void"), void=2, file_ids={5: 0, 6: 1, 9: 2})


def _write_folder(root, spec=SPEC, **counts):
    """A folder data set of 8x16 images; each photo's first pixel is its number."""
    rng = np.random.default_rng(0)
    ids = [a for a, _ in spec.file_ids]
    for split, count in (counts or {"train": 12, "val": 4}).items():
        for kind in ("photos", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i in range(count):
            photo = rng.integers(0, 256, (8, 16, 3), np.uint8)
            photo[0, 0] = i
            Image.fromarray(photo).save(root / "photos" / split / f"{i:03}.png")
            label = rng.choice(np.array(ids, np.uint8), (8, 16))
            Image.fromarray(label).save(root / "labels" / split / f"{i:03}.png")
    spec.save(root / "label_spec.toml")
    return root


def _settings(prepared_dir, name="yard", **data):
    data = {
        "photos": f"{name}:train",
        "labels": f"{name}:train",
        "validation": f"{name}:validation",
        "height": 8,
        "width": 16,
        "prepared_dir": str(prepared_dir),
    } | data
    return settings_lib.load(
        {
            "batch_size": 4,
            "data": data,
            "generator": {"multipliers": (1, 1, 1)},
            "segmenter": {"down": (4,), "up": (4,)},
        }
    )


def _prepare(settings, data_dir, **options):
    return prepare.prepare(settings, data_dir, progress=False, **options)


@pytest.fixture
def source(tmp_path):
    return _write_folder(tmp_path / "source")


def test_each_kind_is_a_tfds_data_set_of_its_own(tmp_path, source):
    result = _prepare(_settings(tmp_path / "out"), source)
    assert [(d["kind"], d["splits"], d["built"]) for d in result["datasets"]] == [
        ("photos", {"train": 12, "validation": 4}, True),
        ("labels", {"train": 12, "validation": 4}, True),
    ]
    for kind, field, channels in (("photos", "photo", 3), ("labels", "label", 1)):
        builder = tfds.builder_from_directory(tmp_path / f"out/yard/{kind}_8x16/1.0.0")
        assert set(builder.info.features) == {field, "name"}
        assert builder.info.features[field].shape == (8, 16, channels)
        for record in builder.as_data_source("validation"):
            path = source / kind / "val" / f"{record['name'].decode()}.png"
            stored = np.asarray(Image.open(path)).reshape(8, 16, channels)
            if kind == "labels":
                stored = np.searchsorted([5, 6, 9], stored)
            np.testing.assert_array_equal(record[field], stored)


def test_label_spec_travels_with_the_label_maps(tmp_path, source):
    settings = _settings(tmp_path / "out")
    _prepare(settings, source)
    assert input_pipeline.spec(settings) == SPEC
    path = locations.location(settings, "yard", "labels") / "label_spec.json"
    assert label_spec.LabelSpec.load(path) == SPEC


def test_halves_of_photos_and_label_maps_share_no_name(tmp_path):
    """Both kinds of a data set have one order, so complementary splits are disjoint."""
    source = _write_folder(tmp_path / "source", train=41, val=2)
    _prepare(_settings(tmp_path / "out"), source)
    names = {}
    for kind, split in (("photos", "train[:50%]"), ("labels", "train[50%:]")):
        builder = tfds.builder_from_directory(tmp_path / f"out/yard/{kind}_8x16/1.0.0")
        names[kind] = {record["name"] for record in builder.as_data_source(split)}
    assert not names["photos"] & names["labels"]
    assert len(names["photos"] | names["labels"]) == 41
    assert abs(len(names["photos"]) - len(names["labels"])) <= 1


def test_preparing_again_does_nothing_and_says_so(tmp_path, source):
    settings = _settings(tmp_path / "out")
    path = pathlib.Path(_prepare(settings, source)["datasets"][0]["path"])
    before = path.stat().st_mtime_ns
    for data_dir in (source, None):
        again = _prepare(settings, data_dir)["datasets"]
        assert not any(entry["built"] for entry in again)
        assert "already prepared, nothing to do" in again[0]["message"]
    assert path.stat().st_mtime_ns == before


def test_other_files_under_the_same_name_need_overwrite(tmp_path, source):
    settings = _settings(tmp_path / "out")
    _prepare(settings, source)
    shutil.copy(source / "photos/train/000.png", source / "photos/train/new.png")
    with pytest.raises(ValueError, match=r"other data \(different: files\); add --overwrite"):
        _prepare(settings, source)
    entries = _prepare(settings, source, overwrite=True)["datasets"]
    assert [(e["splits"]["train"], e["built"]) for e in entries] == [(13, True), (12, False)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["yard"]


def test_other_label_spec_under_the_same_name_needs_overwrite(tmp_path, source):
    settings = _settings(tmp_path / "out")
    _prepare(settings, source)
    dataclasses.replace(SPEC, void=None).save(source / "label_spec.toml")
    with pytest.raises(ValueError, match=r"different: spec\)"):
        _prepare(settings, source)
    _prepare(settings, source, overwrite=True)
    assert input_pipeline.spec(settings).void is None


def test_all_bad_files_are_named_and_nothing_is_left(tmp_path, source):
    (source / "photos/train/003.png").write_bytes(b"no image")
    Image.fromarray(np.full((8, 16), 77, np.uint8)).save(source / "labels/train/004.png")
    Image.fromarray(np.full((8, 16), 78, np.uint8)).save(source / "labels/val/001.png")
    out = tmp_path / "new" / "out"
    with pytest.raises(ValueError, match=r"^3 bad files: ") as error:
        _prepare(_settings(out), source)
    assert "photos/train/003.png: photo does not decode" in str(error.value)
    assert "labels/train/004.png: label id 77 on 128 pixels" in str(error.value)
    assert "labels/val/001.png: label id 78 on 128 pixels" in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.parent.exists()


def test_many_bad_files_are_counted(tmp_path, source):
    for path in (source / "labels").glob("*/*.png"):
        Image.fromarray(np.full((8, 16), 77, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"^16 bad files: .*; and 6 more; no file is") as error:
        _prepare(_settings(tmp_path / "out"), source)
    assert str(error.value).count("label id 77") == 10


def test_bad_files_are_left_out_when_asked_and_stay_known(tmp_path, source):
    (source / "photos/train/003.png").write_bytes(b"no image")
    Image.fromarray(np.full((8, 16), 78, np.uint8)).save(source / "labels/val/001.png")
    settings = _settings(tmp_path / "out")
    with pytest.raises(ValueError, match=r"^2 bad files: .*; --skip_bad goes on without them$"):
        _prepare(settings, source)
    result = _prepare(settings, source, skip_bad=True)
    assert [d["splits"] for d in result["datasets"]] == [
        {"train": 11, "validation": 4}, {"train": 12, "validation": 3},
    ]  # fmt: skip
    (photo,), (label,) = (d["skipped"] for d in result["datasets"])
    assert "003.png: photo does not decode" in photo and "001.png: label id 78" in label
    assert "1 bad file left out" in result["datasets"][0]["message"]
    again = _prepare(settings, source)["datasets"]
    assert [d["built"] for d in again] == [False, False]
    assert [d["skipped"] for d in again] == [[photo], [label]]
    assert input_pipeline.validation(settings).names == ["000", "002", "003"]


def test_split_without_any_good_file_is_refused_even_so(tmp_path, source):
    for path in (source / "labels/val").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"no file is good of labels of yard:validation"):
        _prepare(_settings(tmp_path / "out"), source, skip_bad=True)
    assert not (tmp_path / "out").exists()


def test_failed_overwrite_keeps_what_was_prepared(tmp_path, source):
    settings = _settings(tmp_path / "out")
    _prepare(settings, source)
    before = next(input_pipeline.training(settings))
    (source / "photos/train/003.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"003\.png"):
        _prepare(settings, source, overwrite=True)
    np.testing.assert_array_equal(next(input_pipeline.training(settings))["photo"], before["photo"])


def test_rubbish_of_a_killed_run_is_removed(tmp_path, source):
    settings = _settings(tmp_path / "out")
    dead = tmp_path / "out" / f".usis_preparing_{socket.gethostname()}_99999999_x"
    (dead / "yard").mkdir(parents=True)
    alive = tmp_path / "out" / f".usis_preparing_{socket.gethostname()}_{os.getppid()}_x"
    alive.mkdir()
    _prepare(settings, source)
    assert not dead.exists()
    assert alive.exists()


def test_target_that_cannot_be_written_is_named(tmp_path, source):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data\.prepared_dir is .*file/out, but .* is a file"):
        _prepare(_settings(tmp_path / "file" / "out"), source)


def test_too_little_space_is_said_before_building(tmp_path, source, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(ValueError, match=r"has 0 MiB free; preparing may need"):
        _prepare(_settings(tmp_path / "out"), source)
    assert not (tmp_path / "out").exists()


def test_full_disk_while_writing_is_one_line(tmp_path, source, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("Failed to finalize writing: No space left on device; at byte 7")

    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "download_and_prepare", fail)
    with pytest.raises(ValueError, match=r"^cannot write .*/out: No space left on device$"):
        _prepare(_settings(tmp_path / "out"), source)
    assert not (tmp_path / "out").exists()


def test_missing_data_dir_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        _prepare(_settings(tmp_path / "out", "camvid"), None)
    assert str(error.value).startswith(
        f"data set 'camvid' (photos, 8x16) is not prepared in {tmp_path / 'out'}; "
        "run: usis prepare --config=configs/camvid.py --data_dir=YOUR_DIR "
    )
    with pytest.raises(FileNotFoundError, match=r"--data_dir=.*none does not exist"):
        _prepare(_settings(tmp_path / "out"), tmp_path / "none")


def test_missing_split_is_named(tmp_path):
    source = _write_folder(tmp_path / "source", train=4)
    with pytest.raises(ValueError, match=r"no photos of split 'validation', only of train"):
        _prepare(_settings(tmp_path / "out"), source)
    settings = _settings(tmp_path / "out", validation="yard:train[:2]")
    assert _prepare(settings, source)["datasets"][0]["splits"] == {"train": 4}


def test_photos_and_label_maps_of_two_data_sets_lie_in_two_folders(tmp_path):
    _write_folder(tmp_path / "source/one")
    settings = _settings(
        tmp_path / "out", photos="one:train", labels="two:train", validation="one:validation"
    )
    with pytest.raises(FileNotFoundError, match=r"a folder for each of one, two; it has no two/"):
        _prepare(settings, tmp_path / "source")
    _write_folder(tmp_path / "source/two")
    entries = _prepare(settings, tmp_path / "source")["datasets"]
    assert {(e["name"], e["kind"]) for e in entries} == {
        ("one", "photos"), ("one", "labels"), ("two", "labels"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["camvid", "faces", "ade20k"])
def test_known_data_set_brings_its_label_spec(tmp_path, name):
    spec = lookup.get(name)
    source = _write_folder(tmp_path / "source", spec=spec, train=2, val=1)
    (source / "label_spec.toml").unlink()
    settings = _settings(tmp_path / "out", name)
    _prepare(settings, source)
    assert input_pipeline.spec(settings) == spec


def test_given_label_spec_goes_before_the_data_set_own(tmp_path, source):
    spec = dataclasses.replace(SPEC, classes=("lawn", "track", "void"))
    spec.save(tmp_path / "other.yaml")
    settings = _settings(tmp_path / "out", label_spec=str(tmp_path / "other.yaml"))
    _prepare(settings, source)
    assert input_pipeline.spec(settings).classes == ("lawn", "track", "void")


def test_published_data_set_without_its_files_says_where_to_get_them(tmp_path):
    (tmp_path / "cityscapes").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no photos of cityscapes's split train") as error:
        _prepare(_settings(tmp_path / "out", "cityscapes"), tmp_path)
    assert "looked for leftImg8bit/train/*" in str(error.value)
    assert "Register at https://www.cityscapes-dataset.com" in str(error.value)
    assert "\n" not in str(error.value)


def test_training_is_stored_at_the_load_size_and_validation_at_its_own(tmp_path, source):
    settings = _settings(tmp_path / "out", load_height=12, load_width=20)
    entries = _prepare(settings, source)["datasets"]
    assert {(pathlib.Path(e["path"]).parent.name, *e["splits"].items()) for e in entries} == {
        ("photos_12x20", ("train", 12)),
        ("labels_12x20", ("train", 12)),
        ("photos_8x16", ("validation", 4)),
        ("labels_8x16", ("validation", 4)),
    }
    assert (
        json.loads((pathlib.Path(entries[0]["path"]) / "source.json").read_text())["files"][
            "train"
        ]["count"]
        == 12
    )


def test_split_that_is_asked_for_later_is_added(tmp_path, source):
    settings = _settings(tmp_path / "out", validation="yard:train[:2]")
    assert [e["splits"] for e in _prepare(settings, source)["datasets"]] == [{"train": 12}] * 2
    settings = _settings(tmp_path / "out", photos="yard:validation")
    entries = _prepare(settings, source)["datasets"]
    assert [(e["kind"], e["splits"], e["built"]) for e in entries] == [
        ("photos", {"train": 12, "validation": 4}, True),
        ("labels", {"train": 12, "validation": 4}, True),
    ]
    again = _prepare(_settings(tmp_path / "out"), source)["datasets"]
    assert not any(e["built"] for e in again)


def test_split_is_not_added_to_what_was_prepared_from_other_files(tmp_path, source):
    _prepare(_settings(tmp_path / "out", validation="yard:train[:2]"), source)
    shutil.copy(source / "photos/train/000.png", source / "photos/train/new.png")
    with pytest.raises(ValueError, match=r"other data \(different: files\); add --overwrite"):
        _prepare(_settings(tmp_path / "out"), source)
