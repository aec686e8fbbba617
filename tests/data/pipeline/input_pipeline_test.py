"""Tests of usis_jax.data.pipeline.input_pipeline."""

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support import places, tiny_data
from usis_jax.config import settings as settings_lib
from usis_jax.data.pipeline import class_frequency, input_pipeline, record_source
from usis_jax.data.preparation import prepare
from usis_jax.data.specs import label_spec

SPEC = label_spec.LabelSpec("yard", ("left", "right", "middle"), flip_pairs=((0, 1),))
COUNT = 12


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Prepared data: image i is all i in its left half and 100 + i right; maps 0, 1 and i % 3.

    A second data set, "meadow", has the photos 50 to 54.
    """
    folder, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    source = folder / "yard"
    source.mkdir()
    SPEC.save(source / "label_spec.yaml")
    for split, count in (("train", COUNT), ("val", 5)):
        for kind in ("photos", "labels"):
            (source / kind / split).mkdir(parents=True)
        for i in range(count):
            photo = np.full((8, 16, 3), i, np.uint8)
            photo[:, 8:] += 100
            Image.fromarray(photo).save(source / "photos" / split / f"{i}.png")
            label = np.full((8, 16), 2, np.uint8)
            label[:, :4], label[:, 12:] = 0, 1
            label[i // 4, 4 + 2 * (i % 4)] = 0
            Image.fromarray(label).save(source / "labels" / split / f"{i}.png")
    (folder / "meadow/photos/train").mkdir(parents=True)
    for i in range(50, 55):
        photo = np.full((8, 16, 3), i, np.uint8)
        photo[:, 8:] += 100
        Image.fromarray(photo).save(folder / "meadow/photos/train" / f"{i}.png")
    both = tiny_data.settings(target, photos="yard:train,meadow:train")
    prepare.prepare(both, folder, progress=False)
    larger = tiny_data.settings(target, load_height=10, load_width=20)
    prepare.prepare(larger, source, progress=False)
    return target


def _take(settings, count, **options):
    return list(itertools.islice(input_pipeline.training(settings, **options), count))


def _assert_equal(batches, others):
    for a, b in zip(batches, others, strict=True):
        np.testing.assert_array_equal(a["photo"], b["photo"])
        np.testing.assert_array_equal(a["label"], b["label"])


def _photo_ids(batches):
    return [int(row.min()) for batch in batches for row in batch["photo"]]


def _mirrored(photos):
    return photos[:, 0, 0, 0] >= 100


def test_batch_has_shape_and_type(out):
    (batch,) = _take(tiny_data.settings(out), 1)
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        "photo": ((4, 8, 16, 3), np.uint8),
        "label": ((4, 8, 16), np.int32),
    }


def test_batches_are_a_function_of_seed(out):
    _assert_equal(_take(tiny_data.settings(out), 7), _take(tiny_data.settings(out), 7))
    other = _take(tiny_data.settings(out, seed=1), 7)
    assert _photo_ids(other) != _photo_ids(_take(tiny_data.settings(out), 7))


@pytest.mark.parametrize("threads", [0, 1, 4, -1])
def test_batches_do_not_depend_on_threads(out, threads):
    batches = _take(tiny_data.settings(out, threads=threads), 7)
    _assert_equal(batches, _take(tiny_data.settings(out), 7))


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_the_global_batch(out, process_count):
    whole = _take(tiny_data.settings(out), 7)
    parts = [
        _take(tiny_data.settings(out), 7, process_index=p, process_count=process_count)
        for p in range(process_count)
    ]
    joined = [
        {key: np.concatenate([part[key] for part in step]) for key in ("photo", "label")}
        for step in zip(*parts, strict=True)
    ]
    _assert_equal(whole, joined)


def test_batch_that_does_not_divide_over_processes_is_refused(out):
    with pytest.raises(ValueError, match="batch_size is 4; it must be a multiple of the 3"):
        input_pipeline.training(tiny_data.settings(out), process_count=3)


def test_stream_resumes_at_a_step_as_if_never_stopped(out):
    whole = _take(tiny_data.settings(out), 10)
    _assert_equal(whole[6:], _take(tiny_data.settings(out), 4, start_step=6))
    iterator = input_pipeline.training(tiny_data.settings(out))
    next(iterator)
    state = iterator.get_state()
    assert state == {"next_index": 1}
    next(iterator)
    iterator.set_state(state)
    _assert_equal(whole[1:2], [next(iterator)])


@pytest.mark.parametrize("process_count", [1, 2, 4])
@pytest.mark.parametrize(
    "data",
    [
        {"photos": "yard:train,meadow:train", "class_balance": 1.0},
        {"photos": "yard:train@0.7,meadow:train@0.3", "class_balance": 0.4},
        {"photos": "yard:train", "labels": "yard:validation"},
    ],
    ids=["joined", "mixed", "unequal counts"],
)
def test_mixed_and_balanced_streams_resume_with_any_number_of_processes(out, data, process_count):
    settings = tiny_data.settings(out, **data)
    whole = _take(settings, 12)
    for step in (0, 1, 9):
        parts = [
            _take(settings, 3, start_step=step, process_index=p, process_count=process_count)
            for p in range(process_count)
        ]
        joined = [
            {key: np.concatenate([part[key] for part in rows]) for key in ("photo", "label")}
            for rows in zip(*parts, strict=True)
        ]
        _assert_equal(whole[step : step + 3], joined)


def test_each_pass_over_several_sources_has_every_photo_once(out):
    ids = _photo_ids(_take(tiny_data.settings(out, photos="yard:train,meadow:train"), 17))
    photos = [*range(COUNT), *range(50, 55)]
    assert [sorted(ids[i : i + 17]) for i in range(0, 68, 17)] == [photos] * 4


def test_weighted_sources_fill_each_batch_by_their_weights(out):
    batches = _take(tiny_data.settings(out, photos="yard:train@3,meadow:train@1"), 15)
    for batch in batches:
        assert sum(i >= 50 for i in _photo_ids([batch])) == 1
    assert set(_photo_ids(batches)) == {*range(COUNT), *range(50, 55)}


def test_class_balance_draws_maps_of_a_rare_class(out):
    """Map i of "yard" holds class 0 also in its middle, at a place of its own."""
    path = record_source.folder(tiny_data.settings(out), "yard", "labels")
    pixels = class_frequency.of_split(path, "train", progress=False)
    np.testing.assert_array_equal(pixels, [[33, 32, 63]] * COUNT)
    rare = np.zeros((COUNT, 3), int)
    rare[:, 2], rare[7, 0] = 128, 1
    kept = np.load(path / "class_pixels_train.npy")
    np.save(path / "class_pixels_train.npy", rare)
    try:
        settings = tiny_data.settings(out, class_balance=1.0, flip=False)
        batches = _take(settings, 5)
    finally:
        np.save(path / "class_pixels_train.npy", kept)
    labels = np.concatenate([batch["label"] for batch in batches])
    assert (labels == labels[0]).all()


def test_each_pass_has_every_photo_once_in_a_new_order(out):
    steps = COUNT // 4
    ids = _photo_ids(_take(tiny_data.settings(out), 2 * steps))
    assert sorted(ids[:COUNT]) == sorted(ids[COUNT:]) == list(range(COUNT))
    assert ids[:COUNT] != ids[COUNT:]


def test_photos_and_label_maps_are_drawn_independently(out):
    batches = _take(tiny_data.settings(out, flip=False), 60)
    photo = np.array(_photo_ids(batches))
    label = np.array([int(np.argmin(row[:3, 4:12:2])) for b in batches for row in b["label"]])
    assert sorted(set(label)) == list(range(COUNT))
    assert 0 < (photo == label).mean() < 0.25


def test_photos_and_label_maps_are_mirrored_independently(out):
    batches = _take(tiny_data.settings(out), 100)
    photo = np.concatenate([_mirrored(b["photo"]) for b in batches])
    label = np.concatenate([(b["label"][:, :3, 4:12] == 1).any((1, 2)) for b in batches])
    for flips in (photo, label, photo ^ label):
        assert abs(flips.mean() - 0.5) < 0.1


def test_mirrored_photo_is_the_photo_mirrored(out):
    plain = np.concatenate([b["photo"] for b in _take(tiny_data.settings(out, flip=False), 6)])
    flipped = np.concatenate([b["photo"] for b in _take(tiny_data.settings(out), 6)])
    rows = _mirrored(flipped)
    assert rows.any()
    flipped[rows] = flipped[rows][:, :, ::-1]
    np.testing.assert_array_equal(flipped, plain)


def test_mirrored_label_map_exchanges_left_and_right(out):
    plain = np.concatenate([b["label"] for b in _take(tiny_data.settings(out, flip=False), 6)])
    flipped = np.concatenate([b["label"] for b in _take(tiny_data.settings(out), 6)])
    rows = (flipped[:, :3, 4:12] == 1).any((1, 2))
    assert rows.any()
    expected = plain.copy()
    mirrored = plain[:, :, ::-1]
    swapped = np.where(mirrored == 2, 2, 1 - mirrored)
    expected[rows] = swapped[rows]
    np.testing.assert_array_equal(flipped, expected)
    assert (flipped[:, :, 0] == 0).all()
    assert (flipped[:, :, -1] == 1).all()


def test_larger_stored_images_are_cropped_at_random(out):
    settings = tiny_data.settings(out, load_height=10, load_width=20, flip=False)
    batches = _take(settings, 40)
    assert batches[0]["photo"].shape == (4, 8, 16, 3)
    left = {int((row[0] == 0).argmin()) for b in batches for row in b["label"]}
    assert len(left) >= 3


def test_images_larger_than_memory_allows_give_the_same_batches(out, monkeypatch):
    whole = _take(tiny_data.settings(out), 5)
    monkeypatch.setattr(record_source, "MEMORY_LIMIT", 0)
    _assert_equal(whole, _take(tiny_data.settings(out), 5))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_changing_a_batch_leaves_later_ones_alone(out, batch_size):
    settings = tiny_data.settings(out, batch_size=batch_size, threads=0)
    whole = _take(settings, 3 * COUNT)
    changed = []
    for batch in itertools.islice(input_pipeline.training(settings), 3 * COUNT):
        changed.append({key: value.copy() for key, value in batch.items()})
        batch["photo"][:] = 7
        batch["label"][:] = 7
    _assert_equal(whole, changed)


def test_validation_pairs_photos_and_label_maps_by_name(out):
    photos, labels, names, paired = input_pipeline.validation(tiny_data.settings(out))
    assert paired and names == ["0", "1", "2", "3", "4"]
    assert (photos.dtype, labels.dtype) == (np.uint8, np.int32)
    assert photos[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert [int(np.argmin(row[:3, 4:12:2])) for row in labels] == [0, 1, 2, 3, 4]


def test_validation_subset_is_spread_over_the_names(out):
    assert input_pipeline.validation(tiny_data.settings(out), 2)[2] == ["0", "2"]
    assert len(input_pipeline.validation(tiny_data.settings(out), 99)[2]) == 5


def test_validation_is_whole_where_training_crops(out):
    photos, labels, names, _ = input_pipeline.validation(tiny_data.settings(out))
    settings = tiny_data.settings(out, load_height=10, load_width=20)
    uncropped = input_pipeline.validation(settings)
    np.testing.assert_array_equal(uncropped[0], photos)
    np.testing.assert_array_equal(uncropped[1], labels)
    assert uncropped[2] == names


def test_missing_data_says_what_to_run(tmp_path):
    settings = tiny_data.settings(
        tmp_path, photos="camvid:train", labels="camvid:train", validation="camvid:validation"
    )
    with pytest.raises(FileNotFoundError) as error:
        input_pipeline.training(settings)
    assert str(error.value).startswith(
        f"data set 'camvid' (labels, 8x16) is not prepared in {tmp_path}; "
        "run: usis prepare --config=configs/camvid.py --data_dir=YOUR_DIR "
    )


@pytest.mark.parametrize("split", ["night", "train[:0]", "train[:"])
def test_unknown_or_empty_split_lists_those_there(out, split):
    with pytest.raises(ValueError, match=r"of photos, or it is empty; there are train \(12\), val"):
        input_pipeline.training(tiny_data.settings(out, photos=f"yard:{split}"))


def test_reading_does_not_import_tensorflow(out):
    code = (
        "import sys\n"
        "from usis_jax.config import settings as settings_lib\n"
        "from usis_jax.data.pipeline import input_pipeline as streams\n"
        f"settings = settings_lib.from_json({settings_lib.to_json(tiny_data.settings(out))!r})\n"
        "next(streams.training(settings))\n"
        "streams.validation(settings, 2)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=places.REPOSITORY)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_shard_is_named(out, tmp_path, damage):
    shutil.copytree(out, tmp_path / "prepared")
    folder = tmp_path / "prepared/yard/photos_8x16"
    [shard] = folder.rglob("*-train.array_record*")
    data = bytearray(shard.read_bytes())
    if damage == "gone":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(data[: len(data) // 2])
    else:
        used = np.flatnonzero(np.frombuffer(data, np.uint8))
        data[used[len(used) // 2]] ^= 1
        shard.write_bytes(data)
    words = rf"{folder}/1\.0\.0.*: record \d+ cannot be read|record \d+ of a prepared data set"
    with pytest.raises(ValueError, match=words):
        _take(tiny_data.settings(tmp_path / "prepared"), COUNT)
