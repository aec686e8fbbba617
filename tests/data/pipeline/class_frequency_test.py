"""Class frequencies of label maps whose classes are counted by hand."""

import numpy as np
import pytest
from PIL import Image

from tests.support import tiny_data
from usis_jax.data.pipeline import class_frequency, record_source
from usis_jax.data.preparation import prepare
from usis_jax.data.specs import label_spec

SPEC = label_spec.LabelSpec("yard", ("grass", "path", "pond", "void"), void=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine training maps of 8x16: map i has i pixels of path, map 4 one row of pond, all void."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    SPEC.save(source / "label_spec.yaml")
    for split, number in (("train", 9), ("val", 2)):
        for kind in ("photos", "labels"):
            (source / kind / split).mkdir(parents=True)
        for i in range(number):
            photo = np.zeros((8, 16, 3), np.uint8)
            Image.fromarray(photo).save(source / "photos" / split / f"{i}.png")
            Image.fromarray(_map(i)).save(source / "labels" / split / f"{i}.png")
    settings = tiny_data.settings(target)
    prepare.prepare(settings, source, progress=False)
    return record_source.folder(settings, "yard", "labels")


def _map(i):
    label = np.zeros((8, 16), np.uint8)
    label[0, :i] = 1
    label[7] = 3
    if i == 4:
        label[3] = 2
    return label


def _counts(i):
    pond = 16 * (i == 4)
    return [128 - 16 - i - pond, i, pond, 16]


def test_pixels_are_counted_map_by_map():
    maps = [_map(i)[..., None] for i in (0, 3, 4)]
    assert class_frequency.count(maps, 4).tolist() == [_counts(0), _counts(3), _counts(4)]


@pytest.mark.parametrize(
    "split", ["train", "train[:50%]", "train[3:]", "validation+train[:2]", "all", "train[-1:]"]
)
def test_rows_follow_the_order_of_the_split(folder, split):
    names = [int(record["name"]) for record in record_source.open_split(folder, split)]
    pixels = class_frequency.of_split(folder, split, progress=False)
    assert pixels.tolist() == [_counts(i) for i in names]


def test_preparing_counts_and_reading_does_not_count_again(folder, monkeypatch):
    assert sorted(path.name for path in folder.glob("class_pixels_*")) == [
        "class_pixels_train.npy",
        "class_pixels_validation.npy",
    ]
    monkeypatch.setattr(class_frequency, "count", None)
    assert len(class_frequency.of_split(folder, "train", progress=False)) == 9


def test_missing_counts_are_made_and_kept(folder):
    before = class_frequency.of_split(folder, "train", progress=False)
    path = folder / "class_pixels_train.npy"
    path.unlink()
    np.testing.assert_array_equal(
        class_frequency.of_split(folder, "train[2:5]", False), before[2:5]
    )
    np.testing.assert_array_equal(np.load(path), before)
    assert not list(folder.glob(".class_pixels*"))


def test_counts_that_cannot_be_stored_are_used_all_the_same(folder, monkeypatch):
    before = class_frequency.of_split(folder, "validation", progress=False)
    path = folder / "class_pixels_validation.npy"
    path.unlink()

    def refuse(path, write):
        raise PermissionError(path)

    monkeypatch.setattr(class_frequency.atomic, "write_with", refuse)
    np.testing.assert_array_equal(class_frequency.of_split(folder, "validation", False), before)
    assert not path.exists()


def test_summary_gives_shares_of_pixels_and_numbers_of_maps():
    pixels = np.array([_counts(i) for i in range(9)])
    summary = class_frequency.summary(pixels, SPEC)
    assert [(entry["name"], entry["maps"], entry["void"]) for entry in summary] == [
        ("grass", 9, False),
        ("path", 8, False),
        ("pond", 1, False),
        ("void", 9, True),
    ]
    shares = [entry["pixels"] for entry in summary]
    np.testing.assert_allclose(shares, [956 / 1152, 36 / 1152, 16 / 1152, 144 / 1152])
    assert "predicted" not in summary[0]
    predicted = class_frequency.summary(pixels, SPEC, predicted=np.array([0.5, 0.25, 0.25, 0]))
    assert [entry["predicted"] for entry in predicted] == [0.5, 0.25, 0.25, 0]
    with pytest.raises(ValueError):
        class_frequency.summary(pixels, SPEC, predicted=np.array([0.5, 0.5]))


def test_rare_classes_are_likelier_and_void_and_absent_ones_never_drawn():
    pixels = np.array([[970, 20, 10, 0, 500], [0, 0, 0, 0, 1500]])
    probabilities = class_frequency.rare_class_probabilities(pixels, void=4)
    weights = [np.exp((1 - f) / 0.01 - 99) for f in (0.97, 0.02, 0.01)]
    np.testing.assert_allclose(probabilities[:3], weights / np.sum(weights))
    assert probabilities[3:].tolist() == [0, 0]
    assert probabilities.sum() == pytest.approx(1)
    assert class_frequency.rare_class_probabilities(pixels, void=None)[4] > 0


def test_maps_of_void_only_cannot_be_balanced():
    with pytest.raises(ValueError, match=r"data\.class_balance is above 0.*set it to 0"):
        class_frequency.rare_class_probabilities(np.array([[0, 9]]), void=1)


def test_expected_shares_without_balance_are_the_means_of_the_maps():
    pixels = np.array([[3, 1, 0], [1, 1, 2], [4, 0, 0]])
    np.testing.assert_allclose(class_frequency.expected(pixels, None, 0), pixels.sum(0) / 12)


def test_expected_shares_are_those_of_many_draws():
    pixels = np.array([[96, 3, 0, 1], [99, 0, 0, 1], [95, 0, 4, 1], [0, 0, 0, 100]])
    balance, draws, rng = 0.75, 40_000, np.random.default_rng(0)
    probabilities = class_frequency.rare_class_probabilities(pixels, void=3)
    total = np.zeros(4)
    for _ in range(draws):
        row = rng.integers(4)
        if rng.random() < balance:
            row = rng.choice(np.flatnonzero(pixels[:, rng.choice(4, p=probabilities)]))
        total += pixels[row] / 100
    np.testing.assert_allclose(
        class_frequency.expected(pixels, 3, balance), total / draws, atol=0.01
    )
