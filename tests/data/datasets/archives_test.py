"""Tests of usis_jax.data.datasets.archives."""

import zipfile

import pytest

from usis_jax.data.datasets import archives
from usis_jax.data.datasets.archives import Place

PLACE = Place(
    3, "_photo.png", ("tree/train/*", "flat"), (("part?.zip", "inside/train"), ("x.zip", "y"))
)


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def _zip(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, name)


def _content(file):
    return file.open().read() if isinstance(file, archives.Member) else file.read_bytes()


def test_files_of_all_folders_of_a_pattern_are_found_in_order_of_their_names(tmp_path):
    _touch(tmp_path, "tree/train/b/2_photo.png", "tree/train/a/3_photo.png")
    _touch(tmp_path, "tree/train/a/1_photo.png", "tree/train/a/1_label.png", "flat/9_photo.png")
    _touch(tmp_path, "tree/train/a/._1_photo.png", "tree/train/5_photo.png")
    files = archives.find(tmp_path, PLACE)
    assert list(files.items()) == [
        ("1", tmp_path / "tree/train/a/1_photo.png"),
        ("2", tmp_path / "tree/train/b/2_photo.png"),
        ("3", tmp_path / "tree/train/a/3_photo.png"),
    ]
    assert archives.where(files) == f"{tmp_path}/tree/train/a and 1 more"


def test_next_pattern_counts_where_the_first_has_no_files(tmp_path):
    _touch(tmp_path, "tree/train/a/readme.txt", "flat/9_photo.png")
    assert list(archives.find(tmp_path, PLACE)) == ["9"]


def test_folders_go_before_zip_files(tmp_path):
    _zip(tmp_path / "part1.zip", "inside/train/1_photo.png")
    assert list(archives.find(tmp_path, PLACE)) == ["1"]
    _touch(tmp_path, "flat/9_photo.png")
    assert list(archives.find(tmp_path, PLACE)) == ["9"]


def test_files_inside_all_zip_files_of_a_pattern_are_read(tmp_path):
    _zip(
        tmp_path / "part2.zip", "inside/train/1_photo.png", "inside/val/7_photo.png",
        "__MACOSX/inside/train/._1_photo.png", "inside/train/", "inside/train/deep/8_photo.png",
    )  # fmt: skip
    _zip(tmp_path / "part1.zip", "top/inside/train/2_photo.png")
    _zip(tmp_path / "x.zip", "y/9_photo.png")
    files = archives.find(tmp_path, PLACE)
    assert list(files) == ["1", "2"]
    assert _content(files["1"]) == b"inside/train/1_photo.png"
    assert _content(files["2"]) == b"top/inside/train/2_photo.png"
    assert [archives.size(file) for file in files.values()] == [24, 28]
    assert str(files["1"]) == f"{tmp_path}/part2.zip/inside/train/1_photo.png"
    assert archives.where({"2": files["2"]}) == f"{tmp_path}/part1.zip"


def test_changed_zip_file_is_read_again(tmp_path):
    _zip(tmp_path / "part1.zip", "inside/train/1_photo.png")
    assert list(archives.find(tmp_path, PLACE)) == ["1"]
    (tmp_path / "part1.zip").unlink()
    _zip(tmp_path / "part1.zip", "inside/train/2_photo.png")
    assert list(archives.find(tmp_path, PLACE)) == ["2"]


def test_two_files_of_one_name_are_refused(tmp_path):
    _touch(tmp_path, "tree/train/a/1_photo.png", "tree/train/b/1_photo.png")
    with pytest.raises(ValueError, match="have the same name; keep one of them"):
        archives.find(tmp_path, PLACE)


def test_half_downloaded_zip_file_is_named(tmp_path):
    _zip(tmp_path / "part1.zip", "inside/train/1_photo.png")
    content = (tmp_path / "part1.zip").read_bytes()
    (tmp_path / "part1.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"part1\.zip cannot be read as a zip file .*again"):
        archives.find(tmp_path, PLACE)


def test_nothing_is_found_where_there_is_nothing(tmp_path):
    assert archives.find(tmp_path, PLACE) == {}
    assert str(PLACE) == "tree/train/* or flat or part?.zip or x.zip"
