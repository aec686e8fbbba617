"""Grids: where each image lies, and that pictures are written whole."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from tests.support import tiny_run
from usis_jax.display import image_grid
from usis_jax.storage import atomic


def test_grid_places_each_image_in_its_row_and_column():
    colours = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) * 20
    columns = [
        (f"column {i}", np.broadcast_to(c[:, None, None, :1], (2, 4, 6, 3)))
        for i, c in enumerate(colours)
    ]
    picture = image_grid.grid(columns, scale=2)
    gap, head = 4, 24
    assert picture.shape == (head + 2 * (8 + gap), gap + 3 * (12 + gap), 3)
    for i in range(3):
        for j in range(2):
            top, left = head + j * (8 + gap), gap + i * (12 + gap)
            assert (picture[top : top + 8, left : left + 12] == colours[i, j, 0]).all()
    assert (picture[-gap:] == 255).all()


def test_small_images_are_enlarged_without_blur():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 32, 3), dtype=np.uint8)
    picture = image_grid.grid([("a", image)])
    assert picture.shape == (24 + 64 + 4, 4 + 128 + 4, 3)
    np.testing.assert_array_equal(picture[24:88:4, 4:132:4], image[0])


def test_columns_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="share one shape"):
        image_grid.grid([("a", np.zeros((1, 4, 4, 3))), ("b", np.zeros((2, 4, 4, 3)))])
    with pytest.raises(ValueError, match="share one shape"):
        image_grid.grid([])


def test_contact_sheet_begins_with_the_label_map_in_its_colours():
    labels = np.array([[[1, 3]]])
    samples = np.zeros((2, 1, 1, 2, 3), np.uint8)
    columns = image_grid.sample_columns(tiny_run.SPEC, labels, samples)
    assert [title for title, _ in columns] == ["label map", "sample 0", "sample 1"]
    assert columns[0][1].tolist() == [[[[80, 120, 200], [200, 0, 0]]]]


def test_png_is_lossless_and_leaves_nothing_else(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    atomic.write_png(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), image)
    with pytest.raises(TypeError):
        atomic.write_png(tmp_path / "new" / "b.png", np.zeros((5, 7, 9), np.uint8))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


def test_file_may_have_the_longest_name_and_errors_name_it_not_the_temporary_one(tmp_path):
    longest = tmp_path / ("ö" * 125 + ".png")
    atomic.write_text(longest, "x")
    assert [p.name for p in tmp_path.iterdir()] == [longest.name]
    missing = tmp_path / "none" / "a.md"
    with pytest.raises(FileNotFoundError) as caught:
        atomic.write_text(missing, "x")
    assert caught.value.filename == str(missing)


def test_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device.*a\.npy"):
        atomic.write_with(tmp_path / "a.npy", full)
    assert not list(tmp_path.iterdir())


def test_legend_has_each_colour_in_columns_from_top_to_bottom():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    entries = [(f"class {i}", colour) for i, colour in enumerate(colours)]
    picture = image_grid.legend(entries, 530)
    assert picture.shape == (2 * 18 + 8, 530, 3)
    places = [np.argwhere((picture == colour).all(2)).mean(0) for colour in colours]
    assert places[0][1] == places[1][1] == places[2][1] - 265
    assert places[0][0] == places[2][0] == places[1][0] - 18
    assert image_grid.legend(entries, 100).shape == (3 * 18 + 8, 100, 3)
