"""Tests of the builders of published data sets, by TFDS's own test of builders."""

import shutil
import tempfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tests.support import published_data
from usis_jax.data.datasets import base, published, registry
from usis_jax.data.specs import lookup


class _BuilderTest(tfds.testing.DatasetBuilderTestCase):
    """Builds from the real layout in manual_dir and reads every example; see `published_data`."""

    ZIPPED = False

    @classmethod
    def setUpClass(cls):
        cls.EXAMPLE_DIR = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.EXAMPLE_DIR)
        published_data.write(cls.DATASET_CLASS.name, cls.EXAMPLE_DIR, cls.ZIPPED)
        super().setUpClass()

    def _make_builder(self, config=None):
        return super()._make_builder(config or self.BUILDER_CONFIG_NAMES_TO_TEST[0])

    def test_registered(self):
        """`prepare` finds builders by itself: TFDS has other ones of these names."""
        assert registry.find(self.DATASET_CLASS.name) is self.DATASET_CLASS
        assert registry.published(self.DATASET_CLASS.name) is self.DATASET_CLASS


def _config(name: str, kind: str) -> base.DataConfig:
    spec = lookup.get(name) if kind == "labels" else None
    return base.DataConfig(kind=kind, height=8, width=16, spec=spec, allow_partial=True)


def _case(name: str, kind: str, zipped: bool, base=_BuilderTest) -> type:
    """Test class of one data set, kind and form of its files."""
    fields = {
        "DATASET_CLASS": registry.find(name),
        "SPLITS": published_data.splits(name, kind),
        "BUILDER_CONFIG_NAMES_TO_TEST": [_config(name, kind)],
        "ZIPPED": zipped,
        "__module__": __name__,
    }
    title = f"{name.title()}{kind.title()}{'Zip' if zipped else 'Folder'}Test".replace("_", "")
    return type(title, (base,), fields)


for _name, _layout in published_data.LAYOUTS.items():
    for _kind in sorted({kind for kind, _ in _layout}):
        for _zipped in (False, True):
            _class = _case(_name, _kind, _zipped)
            globals()[_class.__name__] = _class
del _class, _BuilderTest


def _built(name, kind, source, out):
    """Records by split and name, of a builder that looks for its files in manual_dir."""
    one = registry.find(name)(data_dir=str(out), config=_config(name, kind))
    one.download_and_prepare(
        file_format="array_record", download_config=tfds.download.DownloadConfig(manual_dir=source)
    )
    return one, {
        split: {record["name"].decode(): record for record in one.as_data_source(split)}
        for split in one.info.splits
    }


@pytest.mark.parametrize("name", published_data.LAYOUTS)
def test_zip_files_give_what_folders_give(tmp_path, name):
    results = {}
    for zipped in (False, True):
        source = tmp_path / f"source{zipped}"
        published_data.write(name, source, zipped)
        assert bool(list(source.glob("*.zip"))) == zipped
        for kind in registry.find(name).PLACES:
            one, records = _built(name, kind, source, tmp_path / f"out{zipped}")
            results[kind, zipped] = records
            origin = (one.data_path / base.SOURCE_FILE).read_text()
            results[kind, "origin", zipped] = origin
    for (*key, zipped), expected in list(results.items()):
        if not zipped:
            np.testing.assert_equal(results[*key, True], expected)


@pytest.mark.parametrize("name", published_data.LAYOUTS)
def test_instructions_name_the_files_that_are_looked_for(name):
    for places in registry.find(name).PLACES.values():
        for pattern, _ in places["train"].archives:
            assert pattern.replace("??", "01") in registry.find(name).MANUAL_DOWNLOAD_INSTRUCTIONS


@pytest.mark.parametrize("name", published_data.LAYOUTS)
def test_images_have_the_names_that_the_owners_gave_them(tmp_path, name):
    published_data.write(name, tmp_path)
    for kind in registry.find(name).PLACES:
        for split, files in registry.find(name).find(tmp_path, kind).items():
            assert sorted(files) == sorted(published_data.names(name, split))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cityscapes", {"train": 2975, "validation": 500}),
        ("ade20k", {"train": 20210, "validation": 2000}),
        ("coco_stuff", {"train": 118287, "validation": 5000}),
        ("gta5", {"train": 24966}),
    ],
)
def test_splits_have_the_published_numbers_of_label_maps_and_photos(name, expected):
    places = registry.find(name).PLACES
    for kind in ("photos", "labels"):
        assert {s: places[kind][s].count for s in places["labels"]} == expected


def test_another_number_of_files_is_refused_unless_a_part_will_do(tmp_path):
    published_data.write("cityscapes", tmp_path)
    cityscapes = registry.find("cityscapes")
    files = cityscapes.find(tmp_path, "photos")
    with pytest.raises(ValueError) as error:
        cityscapes.check(tmp_path, "photos", files, ["train"], allow_partial=False)
    assert str(error.value) == (
        f"{tmp_path}/leftImg8bit/train/aachen and 1 more has 5 photos of cityscapes's split train, "
        "2975 are published; complete it, or add --allow_partial to go on with what is there"
    )
    cityscapes.check(tmp_path, "photos", files, ["train"], allow_partial=True)


def test_the_published_number_of_files_is_accepted(tmp_path):
    published_data.write("kitti", tmp_path)
    kitti = registry.find("kitti")
    files = kitti.find(tmp_path, "photos")
    files["train"] = {str(i): None for i in range(7481)}
    kitti.check(tmp_path, "photos", files, ["train"], allow_partial=False)


def test_missing_split_says_where_it_is_looked_for_and_where_to_get_it(tmp_path):
    published_data.write("ade20k", tmp_path)
    shutil.rmtree(tmp_path / "ADEChallengeData2016/annotations/validation")
    ade20k = registry.find("ade20k")
    files = ade20k.find(tmp_path, "labels")
    with pytest.raises(FileNotFoundError) as error:
        ade20k.check(tmp_path, "labels", files, ["train", "validation"], allow_partial=True)
    assert str(error.value).startswith(
        f"{tmp_path} has no labels of ade20k's split validation (looked for annotations/validation "
        "or ADEChallengeData2016/annotations/validation or ADEChallengeData2016.zip). Download"
    )
    assert "http://sceneparsing.csail.mit.edu" in str(error.value)
    assert "\n" not in str(error.value)


def test_split_or_kind_that_is_not_published_is_named(tmp_path):
    with pytest.raises(ValueError, match="no labels of split 'validation', only of train"):
        registry.find("gta5").check(tmp_path, "labels", {}, ["validation"], False)
    with pytest.raises(ValueError, match="'kitti' has no labels, only photos; name another"):
        registry.find("kitti").check(tmp_path, "labels", {}, ["train"], False)


def test_bad_file_leaves_no_data_set_behind(tmp_path):
    published_data.write("gta5", tmp_path / "source")
    (tmp_path / "source/labels/00003.png").write_bytes(b"no image")
    with pytest.raises(base.BadFiles, match=r"labels/00003\.png: label map does not decode"):
        _built("gta5", "labels", tmp_path / "source", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("dataset_info.json"))


def test_palette_and_colour_label_maps_of_gta_are_read_as_the_same_classes(tmp_path):
    published_data.write("gta5", tmp_path)
    spec = lookup.get("gta5")
    files = registry.find("gta5").find(tmp_path, "labels")["train"]
    modes = [Image.open(path).mode for path in files.values()]
    assert modes == ["P", "RGB", "P", "P", "P"]
    _, records = _built("gta5", "labels", tmp_path, tmp_path / "out")
    for name, path in files.items():
        image = Image.open(path)
        small = np.asarray(image.resize((16, 8), Image.Resampling.NEAREST))
        stored = records["train"][name]["label"][..., 0]
        colours = spec.colours[small] if image.mode == "P" else small
        np.testing.assert_array_equal(spec.colours[stored], colours)


def test_fingerprint_changes_with_names_and_sizes(tmp_path):
    published_data.write("kitti", tmp_path)
    find = registry.find("kitti").find
    before = published.fingerprint(find(tmp_path, "photos"))
    path = tmp_path / "training/image_2/000000.png"
    path.touch()
    assert published.fingerprint(find(tmp_path, "photos")) == before
    path.write_bytes(path.read_bytes() + b"more")
    after = published.fingerprint(find(tmp_path, "photos"))
    assert after["train"] != before["train"]
    assert after["test"] == before["test"]
