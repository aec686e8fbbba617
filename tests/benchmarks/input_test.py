"""Tests of benchmarks.input and of the files that it draws."""

import itertools
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import drawn_files
from benchmarks import input as benchmark
from usis_jax.data.images import decode
from usis_jax.data.specs import label_spec


def test_missing_pytorch_is_one_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert benchmark.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install -e '.[torch]'" in line


def test_rate_counts_pairs_after_those_skipped(monkeypatch):
    """A clock that goes on by a quarter of a second for each batch."""
    clock = itertools.count(step=0.25)
    now = [next(clock)]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
    taken = []

    def batches():
        for number in itertools.count():
            now[0] = next(clock)
            taken.append(number)
            yield number

    assert benchmark.rate(batches(), seconds=2, skipped=3) == 4 * benchmark.BATCH_SIZE
    assert len(taken) == 3 + 8


def test_ratio_is_the_median_of_the_rounds():
    rounds = [{"a": 6, "pytorch": 2}, {"a": 5, "pytorch": 1}, {"a": 40, "pytorch": 10}]
    assert benchmark._ratio(rounds, "a") == 4


def test_scaled_photos_are_between_minus_one_and_one():
    photo = np.array([[0, 255]], np.uint8)
    scaled = benchmark.scaled({"photo": photo, "label": 3})
    assert scaled["label"] == 3
    assert scaled["photo"].dtype == np.float32
    np.testing.assert_allclose(scaled["photo"], [[-1, 1]])


def test_drawn_files_are_distinct_and_have_the_published_form(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn_files, "_SCENES", 1)
    sizes = drawn_files.write(tmp_path, 3)
    photos = sorted((tmp_path / "photos/train").iterdir())
    assert len({path.read_bytes() for path in photos}) == 3
    spec = label_spec.LabelSpec.load(tmp_path / "label_spec.json")
    for path in photos:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (683, 512))
        label = decode.load_label(tmp_path / f"labels/train/{path.stem}.png", 512, 683, spec)
        assert len(np.unique(label)) > 3
    assert sizes["jpg_kib"] == pytest.approx(np.mean([p.stat().st_size for p in photos]) / 1024)
    assert 20 < sizes["jpg_kib"] < 80
    assert 2 < sizes["png_kib"] < 20
