"""Tests of usis_jax.data.pipeline.pairs."""

import itertools

import numpy as np
import pytest

from tests.support import paired_data
from usis_jax.data.pipeline import pairs


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return paired_data.make(tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out"))


def _batches(own, seed=0, count=4, flip=True, size=paired_data.SIZE):
    return list(itertools.islice(pairs.training(own, 5, size, flip, seed), count))


def _sky(photo):
    """Where a photo is bluer than it is red."""
    return photo[..., 2].astype(int) > photo[..., 0]


def test_photo_comes_with_the_label_map_of_its_name(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    assert own.names == [f"{i:03d}" for i in range(20)] and own.spec.classes == (
        "left",
        "right",
        "sky",
        "void",
    )
    for name, pair in zip(own.names, own, strict=False):
        np.testing.assert_array_equal(pair["photo"], paired_data.photo(int(name)))
        np.testing.assert_array_equal(pair["label"], paired_data.label(int(name)))


def test_cropped_and_mirrored_pairs_stay_aligned(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    changed = 0
    for batch in _batches(own, count=8):
        counted = batch["label"] != 3
        right = _sky(batch["photo"]) == (batch["label"] == 2)
        assert right[counted].mean() > 0.97
        changed += sum(not (row[:4] == 2).all() or row[14, 0] != 3 for row in batch["label"])
    assert 10 < changed < 40


def test_mirroring_exchanges_the_names_of_left_and_right(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    void_right = 0
    for batch in _batches(own, count=6):
        for label in batch["label"]:
            columns = [np.nonzero(label == k)[1] for k in (0, 1)]
            assert columns[0].max() < columns[1].min()
            void_right += label[15, -1] == 3
    assert 3 < void_right < 27


def test_without_mirroring_nothing_is_mirrored(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    assert not any((b["label"][:, 15, -1] == 3).any() for b in _batches(own, count=6, flip=False))


def test_batches_are_a_function_of_seed(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    one, same, other = (_batches(own, seed) for seed in (3, 3, 4))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a["photo"], b["photo"])
        np.testing.assert_array_equal(a["label"], b["label"])
    assert any((a["photo"] != b["photo"]).any() for a, b in zip(one, other, strict=True))
    assert (one[0]["photo"].dtype, one[0]["label"].dtype) == (np.uint8, np.int32)


def test_every_pair_comes_once_in_order_and_resized(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:validation")
    whole = list(pairs.in_order(own, 4, paired_data.SIZE))
    assert [len(batch["photo"]) for batch in whole] == [4, 4, 2]
    labels = np.concatenate([batch["label"] for batch in whole])
    np.testing.assert_array_equal(labels, [pair["label"] for pair in own])
    (small,) = pairs.in_order(own, 10, (8, 16))
    np.testing.assert_array_equal(small["label"], labels[:, 1::2, 1::2])
    np.testing.assert_allclose(
        small["photo"].mean((1, 2)), [pair["photo"].mean((0, 1)) for pair in own], atol=2
    )


def test_unpaired_split_is_an_error(out):
    with pytest.raises(ValueError, match="garden:train holds no pairs: 6 photos and 6 label maps"):
        pairs.Pairs(paired_data.settings(out), "garden:train")


@pytest.mark.parametrize(("name", "chosen"), [("yard", "yard:train"), ("garden", "garden:test")])
def test_pairs_to_train_on_are_train_or_else_test(out, name, chosen):
    assert pairs.default_source(paired_data.settings(out, name)) == chosen


def test_without_pairs_besides_the_measured_ones_the_split_must_be_named(out):
    settings = paired_data.settings(out, "garden", validation="garden:test[:2]+validation")
    with pytest.raises(ValueError, match="give --pairs=NAME:SPLIT"):
        pairs.default_source(settings)


@pytest.mark.parametrize("measured", ["yard:train[80%:]", "yard:validation+train[:1]", "yard:all"])
def test_measuring_on_pairs_trained_on_is_an_error(out, measured):
    settings = paired_data.settings(out)
    own, others = pairs.Pairs(settings, "yard:train[20%:]"), pairs.Pairs(settings, measured)
    if measured == "yard:validation+train[:1]":
        own = pairs.Pairs(settings, "yard:train[:20%]")
    with pytest.raises(
        ValueError, match=r"share \d+ pairs; an evaluator must be measured on other pairs"
    ):
        own.check_apart(others)


def test_other_part_of_a_split_and_another_split_are_apart(out):
    settings = paired_data.settings(out)
    own = pairs.Pairs(settings, "yard:train[:50%]")
    own.check_apart(pairs.Pairs(settings, "yard:train[50%:]"))
    own.check_apart(pairs.Pairs(settings, "yard:validation"))


def test_pairs_stored_larger_for_training_are_found(out, tmp_path):
    source = tmp_path / "source"
    paired_data.write(source, {"train": 2, "val": 2})
    from usis_jax.data.preparation import prepare

    settings = paired_data.settings(tmp_path / "out", load_height=24, load_width=48)
    prepare.prepare(settings, source, progress=False)
    assert pairs.Pairs(settings, "yard:train")[0]["photo"].shape == (24, 48, 3)
    assert pairs.Pairs(settings, "yard:validation")[0]["photo"].shape == (16, 32, 3)


def test_what_is_not_prepared_says_what_to_run(out):
    with pytest.raises(FileNotFoundError, match="usis prepare"):
        pairs.Pairs(paired_data.settings(out), "meadow:train")
    with pytest.raises(ValueError, match="no split 'test'"):
        pairs.Pairs(paired_data.settings(out), "yard:test")
