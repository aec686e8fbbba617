"""Tests of usis_jax.data.inspection.label_files: what label files hold."""

import collections

import numpy as np
import pytest
from PIL import Image

from tests.support import own_files
from usis_jax.data.inspection import label_files

COLOURS = np.array([(70, 130, 180), (128, 64, 128), (220, 20, 60), (0, 0, 0)], np.uint8)


def _sums(tmp_path, images):
    sums = label_files.Labels(tmp_path)
    for i, image in enumerate(images):
        path = own_files.save(image, tmp_path / f"{i}.png")
        sums.add(path, label_files.read(path))
    return sums


def test_ids_are_counted_over_all_files(tmp_path):
    maps = [own_files.label(i, classes=3 + i % 2) * 20 for i in range(5)]
    sums = _sums(tmp_path, maps)
    expected = collections.Counter(np.concatenate(maps, axis=None).tolist())
    found = {value: entry.pixels for value, entry in sums.ranked()}
    assert found == dict(expected)
    assert [v for v, _ in sums.ranked()] == [v for v, _ in expected.most_common()]
    entry = dict(sums.ranked())[60]
    assert (entry.files, entry.examples) == (2, ["1.png", "3.png"])


def test_solid_pixels_are_those_with_equal_neighbours():
    codes = own_files.label(3)
    padded = np.pad(codes, 1, mode="edge")
    for (y, x), solid in np.ndenumerate(label_files.solid_pixels(codes)):
        block = padded[y : y + 3, x : x + 3]
        cross = {block[0, 1], block[1, 0], block[1, 2], block[2, 1]}
        assert solid == (cross == {codes[y, x]})


def test_colours_are_values_of_colour_images(tmp_path):
    ids = own_files.label()
    file = label_files.read(own_files.save(COLOURS[ids], tmp_path / "a.png"))
    found = {label_files.channels(int(v)): n for v, n in zip(file.values, file.counts)}  # noqa: B905
    assert file.colour
    assert found == {tuple(COLOURS[k].tolist()): int((ids == k).sum()) for k in range(4)}


def test_clean_maps_have_no_smoothing(tmp_path):
    for name, to_file in (("ids", lambda ids: ids), ("colours", lambda ids: COLOURS[ids])):
        maps = [to_file(own_files.label(i)) for i in range(4)]
        assert _sums(tmp_path / name, maps).smoothing() == set()


@pytest.mark.parametrize("resample", ["BILINEAR", "BICUBIC", "LANCZOS"])
def test_anti_aliased_colours_are_told_from_classes(tmp_path, resample):
    images = [
        Image.fromarray(COLOURS[own_files.label(i, size=(64, 96))]).resize(
            (72, 48), Image.Resampling[resample]
        )
        for i in range(4)
    ]
    sums = _sums(tmp_path, images)
    kept = {label_files.channels(v) for v, _ in sums.ranked()} - {
        label_files.channels(v) for v in sums.smoothing()
    }
    assert kept == {tuple(c) for c in COLOURS.tolist()}


def test_smoothed_masks_of_two_values_are_told(tmp_path):
    masks = [
        Image.fromarray(own_files.label(i, 2, (64, 96)) * np.uint8(255)).resize(
            (72, 48), Image.Resampling.BICUBIC
        )
        for i in range(4)
    ]
    sums = _sums(tmp_path, masks)
    assert {v for v, _ in sums.ranked()} - sums.smoothing() == {0, 255}
    assert len(sums.smoothing()) >= 8


def test_png_that_was_a_jpeg_is_told_from_classes(tmp_path):
    images = []
    for i in range(4):
        ids = np.kron(own_files.label(i), np.ones((4, 4), np.uint8))
        path = own_files.save(COLOURS[ids], tmp_path / "jpeg" / f"{i}.jpg", quality=90)
        images.append(Image.open(path).convert("RGB"))
    sums = _sums(tmp_path, images)
    assert len(sums.smoothing()) > 0.9 * len(sums.ranked())


def test_a_few_thin_classes_are_no_smoothing(tmp_path):
    ids = own_files.label(classes=4)
    for k in range(4, 9):
        ids[20 + k] = k
    assert _sums(tmp_path, [ids]).smoothing() == set()


def test_many_ids_are_no_smoothing_though_they_are_close(tmp_path):
    ids = np.kron(np.arange(60, dtype=np.uint8).reshape(6, 10), np.ones((4, 5), np.uint8))
    assert _sums(tmp_path, [ids, ids]).smoothing() == set()


@pytest.mark.parametrize(
    ("array", "like_photo"),
    [(own_files.photo(), True), (own_files.photo()[..., 0], True), (own_files.label(), False)],
)
def test_photo_in_place_of_a_label_map_is_told(tmp_path, array, like_photo):
    file = label_files.read(own_files.save(array, tmp_path / "a.png"))
    assert file.like_photo == like_photo


def test_jpeg_is_marked_and_its_values_do_not_count(tmp_path):
    path = own_files.save(COLOURS[own_files.label()], tmp_path / "a.jpg")
    sums = label_files.Labels(tmp_path)
    sums.add(path, label_files.read(path))
    assert sums.marked["lossy"] == ["a.jpg"]
    assert sums.ranked() == []


def test_palette_images_have_ids_and_colours(tmp_path):
    ids = own_files.label(classes=3)
    path = own_files.save(own_files.palette_image(ids, COLOURS[:3]), tmp_path / "a.png")
    sums = label_files.Labels(tmp_path)
    sums.add(path, label_files.read(path))
    assert not sums.in_colour
    assert dict(sums.palettes) == {k: {tuple(COLOURS[k].tolist())} for k in range(3)}


def test_sixteen_bit_ids_are_read(tmp_path):
    file = label_files.read(
        own_files.save(own_files.label().astype(np.uint16) * 1000, tmp_path / "a.png")
    )
    assert sorted(file.values.tolist()) == [0, 1000, 2000, 3000]


def test_unreadable_file_is_a_problem_and_no_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    sums = label_files.Labels(tmp_path)
    sums.add(tmp_path / "a.png", label_files.read(tmp_path / "a.png"))
    assert (sums.count, len(sums.sizes), len(sums.problems)) == (1, 0, 1)
    assert "a.png: label map does not decode" in sums.problems[0]


def test_memory_for_values_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(label_files, "_MOST_KNOWN", 100)
    monkeypatch.setattr(label_files, "_MOST_VALUES", 50)
    images = [COLOURS[own_files.label(0)].copy() for _ in range(8)]
    for i, image in enumerate(images):
        image[20:24, :, 0] = i
        image[20:24, :, 1] = np.arange(48)
    sums = _sums(tmp_path, images)
    assert len(sums.ranked()) <= 100
    assert {tuple(c) for c in COLOURS.tolist()} <= {
        label_files.channels(v) for v, _ in sums.ranked()
    }
