"""What is prepared: several data sets, published ones, label specs across them."""

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.support import published_data, tiny_data
from usis_jax.config import loading
from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import build_plan, prepare
from usis_jax.data.specs import label_spec, lookup

GTA_TO_CITYSCAPES = {
    "photos": "cityscapes:train",
    "labels": "gta5:train",
    "validation": "cityscapes:validation",
    "label_spec": "cityscapes",
}


def _prepare(settings, data_dir, **options):
    return prepare.prepare(settings, data_dir, progress=False, **{"allow_partial": True} | options)


def _alone(name):
    """Fields of data for one data set with its validation split."""
    train, validation = f"{name}:train", f"{name}:validation"
    return {"photos": train, "labels": train, "validation": validation}


def _built(result):
    return {
        (e["name"], e["kind"], e["height"], e["width"]): e["splits"] for e in result["datasets"]
    }


def _write_two(root, together, zipped=False):
    """Cityscapes and GTA-V, in one folder or each in its own."""
    for name in ("cityscapes", "gta5"):
        published_data.write(name, root if together else root / name, zipped)
    return root


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_data_sets_lie_in_one_folder_or_each_in_its_own(tmp_path, together, zipped):
    source = _write_two(tmp_path / "source", together, zipped)
    settings = tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES)
    assert _built(_prepare(settings, source)) == {
        ("cityscapes", "photos", 8, 16): {"train": 5, "validation": 3},
        ("gta5", "labels", 8, 16): {"train": 5},
        ("cityscapes", "labels", 8, 16): {"validation": 3},
    }
    assert input_pipeline.spec(settings).name == "cityscapes"
    batch = next(input_pipeline.training(settings))
    assert batch["photo"].shape == (4, 8, 16, 3)
    assert batch["label"].max() < 35
    assert len(input_pipeline.validation(settings).labels) == 3


def test_bundled_configuration_takes_label_maps_of_gta_and_photos_of_cityscapes():
    config = settings_lib.load(loading.load_config("gta5_to_cityscapes"))
    assert build_plan.needed(config) == {
        ("cityscapes", "photos", (256, 512)): {"train", "validation"},
        ("gta5", "labels", (256, 512)): {"train"},
        ("cityscapes", "labels", (256, 512)): {"validation"},
    }
    assert config.data.label_spec == "cityscapes"


def test_zip_files_unpacked_later_are_the_same_data(tmp_path):
    settings = tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES)
    _prepare(settings, _write_two(tmp_path / "zips", True, zipped=True))
    again = _prepare(settings, _write_two(tmp_path / "folders", False))
    assert not any(entry["built"] for entry in again["datasets"])


def test_photos_of_several_data_sets_are_prepared_and_mixed(tmp_path):
    source = _write_two(tmp_path / "source", True)
    published_data.write("kitti", source)
    photos = "cityscapes:train@0.5,kitti:train@0.3,kitti:test@0.2"
    settings = tiny_data.settings(
        tmp_path / "out", **GTA_TO_CITYSCAPES | {"photos": photos}, flip=False
    )
    assert _built(_prepare(settings, source)) == {
        ("cityscapes", "photos", 8, 16): {"train": 5, "validation": 3},
        ("kitti", "photos", 8, 16): {"train": 5, "test": 2},
        ("gta5", "labels", 8, 16): {"train": 5},
        ("cityscapes", "labels", 8, 16): {"validation": 3},
    }
    batches = itertools.islice(input_pipeline.training(settings), 30)
    seen = {photo.tobytes() for batch in batches for photo in batch["photo"]}
    assert len(seen) == 5 + 5 + 2


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("cityscapes", ["no photos of cityscapes's split train", "www.cityscapes-dataset.com"]),
        ("gta5", ["no labels of gta5's split train", "download.visinf.tu-darmstadt.de"]),
    ],
)
def test_missing_data_set_is_named_with_where_to_get_it(tmp_path, missing, words):
    source = _write_two(tmp_path / "source", False)
    shutil.rmtree(source / missing)
    settings = tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES)
    with pytest.raises(FileNotFoundError) as error:
        _prepare(settings, source)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_incomplete_data_set_is_refused_before_anything_is_built(tmp_path):
    source = _write_two(tmp_path / "source", False)
    settings = tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES)
    with pytest.raises(ValueError, match=r"has 5 photos .* 2975 are published; .*partial"):
        _prepare(settings, source, allow_partial=False)
    assert not (tmp_path / "out").exists()


def test_published_data_set_may_be_arranged_as_a_folder_instead(tmp_path):
    source = published_data.write("cityscapes", tmp_path / "cityscapes")
    for kind, old in (("photos", "leftImg8bit"), ("labels", "gtFine")):
        for split in ("train", "val"):
            (source / kind / split).mkdir(parents=True)
            for path in (source / old / split).rglob("*.png"):
                name = path.name.replace("_leftImg8bit", "").replace("_gtFine_labelIds", "")
                path.rename(source / kind / split / name)
    settings = tiny_data.settings(tmp_path / "out", **_alone("cityscapes"))
    assert _built(_prepare(settings, tmp_path, allow_partial=False)) == {
        ("cityscapes", "photos", 8, 16): {"train": 5, "validation": 3},
        ("cityscapes", "labels", 8, 16): {"train": 5, "validation": 3},
    }
    assert input_pipeline.spec(settings) == lookup.get("cityscapes")


def test_label_maps_are_stored_in_the_classes_that_the_run_names(tmp_path):
    source = _write_two(tmp_path / "source", False)
    labels = {}
    for name in ("cityscapes", "cityscapes19"):
        settings = tiny_data.settings(
            tmp_path / name, **GTA_TO_CITYSCAPES | {"label_spec": name}, flip=False
        )
        _prepare(settings, source)
        assert input_pipeline.spec(settings).classes == lookup.get(name).classes
        labels[name] = (
            next(input_pipeline.training(settings))["label"],
            input_pipeline.validation(settings)[1],
        )
    table = np.full(35, 19)
    scored = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    table[scored] = range(19)
    for all_ids, nineteen in zip(*labels.values(), strict=True):
        np.testing.assert_array_equal(nineteen, table[all_ids])


def test_validation_with_other_classes_is_refused_before_anything_is_built(tmp_path):
    published_data.write("ade20k", tmp_path / "source/ade20k")
    _write_two(tmp_path / "source", False)
    data = GTA_TO_CITYSCAPES | {"validation": "ade20k:validation", "label_spec": ""}
    with pytest.raises(ValueError) as error:
        _prepare(tiny_data.settings(tmp_path / "out", **data), tmp_path / "source")
    assert str(error.value) == (
        "data.labels=gta5:train has the 35 classes of label spec 'gta5' and "
        "data.validation=ade20k:validation the 151 of 'ade20k' (not in both: 'unlabeled', 'ego "
        "vehicle', 'rectification border', 'out of roi', 'static'); give a label spec that both "
        "have a counterpart in, such as --config.data.label_spec=cityscapes"
    )
    assert not (tmp_path / "out").exists()


def test_validation_prepared_before_with_other_classes_is_refused(tmp_path):
    source = _write_two(tmp_path / "source", False)
    alone = _alone("cityscapes") | {"label_spec": "cityscapes19"}
    _prepare(tiny_data.settings(tmp_path / "out", **alone), source)
    both = tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES | {"label_spec": ""})
    with pytest.raises(ValueError, match=r"was prepared from other data \(different: spec\)"):
        _prepare(both, source)


def test_classes_without_counterpart_are_named_with_the_field(tmp_path):
    published_data.write("ade20k", tmp_path / "source")
    settings = tiny_data.settings(tmp_path / "out", **_alone("ade20k"), label_spec="camvid")
    with pytest.raises(ValueError, match=r"^data\.label_spec is 'camvid', for labels of 'ade20k':"):
        _prepare(settings, tmp_path / "source")


def test_classes_of_a_folder_are_found_in_the_spec_that_the_run_names(tmp_path):
    spec = label_spec.LabelSpec("mine", ("car", "road", "no"), void=2, file_ids={3: 0, 5: 1, 0: 2})
    for kind in ("photos", "labels"):
        (tmp_path / "yard" / kind).mkdir(parents=True)
    Image.new("RGB", (16, 8)).save(tmp_path / "yard/photos/a.png")
    label = np.repeat(np.array([[3, 5, 0, 5]], np.uint8), 4, axis=1).repeat(8, axis=0)
    Image.fromarray(label).save(tmp_path / "yard/labels/a.png")
    spec.save(tmp_path / "yard/label_spec.toml")
    data = {"validation": "yard:train", "label_spec": "cityscapes"}
    settings = tiny_data.settings(tmp_path / "out", **data)
    _prepare(settings, tmp_path)
    classes = input_pipeline.spec(settings).classes
    row = input_pipeline.validation(settings).labels[0, 0]
    assert [classes[k] for k in row[::4]] == ["car", "road", "unlabeled", "road"]


def test_prepared_data_without_a_split_that_is_wanted_says_what_to_run(tmp_path):
    source = _write_two(tmp_path / "source", False)
    _prepare(tiny_data.settings(tmp_path / "out", **GTA_TO_CITYSCAPES), source)
    settings = tiny_data.settings(tmp_path / "out", **_alone("cityscapes"))
    with pytest.raises(FileNotFoundError) as error:
        _prepare(settings, None)
    assert str(error.value).startswith(
        f"data set 'cityscapes' (labels, 8x16) has no 'train' in {tmp_path / 'out'}; "
        f"run: usis prepare --config=configs/cityscapes.py --data_dir={source} "
    )
    assert _built(_prepare(settings, source))["cityscapes", "labels", 8, 16] == {
        "train": 5, "validation": 3,
    }  # fmt: skip


def test_photos_of_scenes_go_with_label_maps_in_other_classes(tmp_path):
    published_data.write("gta5", tmp_path / "source")
    data = {"photos": "scenes:train", "labels": "gta5:train[:3]", "validation": "gta5:train[3:]"}
    settings = tiny_data.settings(
        tmp_path / "out", **data, label_spec="cityscapes", num_scenes=2, height=16, width=32
    )
    assert _built(_prepare(settings, tmp_path / "source"))["scenes", "photos", 16, 32] == {
        "train": 2
    }
    assert next(input_pipeline.training(settings))["photo"].shape == (4, 16, 32, 3)


def test_kitti_has_no_label_maps(tmp_path):
    source = published_data.write("kitti", tmp_path / "source")
    data = dict.fromkeys(("photos", "labels", "validation"), "kitti:train")
    with pytest.raises(ValueError, match="'kitti' has no labels, only photos"):
        _prepare(tiny_data.settings(tmp_path / "out", **data), source)
