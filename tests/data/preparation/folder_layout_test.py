"""Tests of usis_jax.data.preparation.folder_layout."""

import shutil

import pytest

from usis_jax.data.preparation import folder_layout
from usis_jax.data.specs import label_spec


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def _names(root):
    return {split: list(paths) for split, paths in folder_layout.list_files(root, "photos").items()}


def test_files_without_split_folders_are_train(tmp_path):
    _touch(tmp_path, "photos/b.jpg", "photos/a.PNG", "photos/readme.txt", "photos/.hidden.png")
    assert _names(tmp_path) == {"train": ["a", "b"]}


def test_files_at_any_depth_without_split_folders_are_train(tmp_path):
    _touch(tmp_path, "photos/b.jpg", "photos/may/a.png", "photos/may/x/c.png", "photos/.x/d.png")
    assert _names(tmp_path) == {"train": ["b", "may/a", "may/x/c"]}


@pytest.mark.parametrize("photos", ["photos", "images"])
@pytest.mark.parametrize("val", ["val", "validation", "Valid"])
def test_split_folders_become_splits_at_any_depth(tmp_path, photos, val):
    _touch(tmp_path, f"{photos}/training/x/a.png", f"{photos}/{val}/b.png", f"{photos}/test/c.png")
    assert _names(tmp_path) == {"train": ["x/a"], "validation": ["b"], "test": ["c"]}


def test_photo_and_label_map_have_one_name(tmp_path):
    _touch(tmp_path, "photos/a.jpg", "labels/a.png")
    names = [list(folder_layout.list_files(tmp_path, k)["train"]) for k in ("photos", "labels")]
    assert names == [["a"], ["a"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["photos/readme.txt"], "photos has no image files; it must hold photos"),
        (["photos/train/a.txt"], "train has no image files"),
        (["photos/a.png", "photos/train/b.png"], "photos has a.png beside the split folder train/"),
        (["photos/may/a.png", "photos/val/b.png"], "photos has may beside the split folder val/"),
        (["photos/val/a.png", "photos/validation/b.png"], "two folders of the split validation"),
        (["photos/a.png", "photos/a.jpg"], "the same name"),
    ],
)
def test_unclear_layout_is_refused(tmp_path, files, message):
    _touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        folder_layout.list_files(tmp_path, "photos")


def test_folder_without_images_beside_splits_does_not_matter(tmp_path):
    _touch(tmp_path, "photos/train/a.png", "photos/notes/readme.txt", "photos/list.txt")
    assert _names(tmp_path) == {"train": ["a"]}


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        folder_layout.list_files(tmp_path / "none", "photos")
    with pytest.raises(FileNotFoundError, match="no folder photos/ or images/"):
        folder_layout.list_files(tmp_path, "photos")
    with pytest.raises(FileNotFoundError, match="no folder labels/"):
        folder_layout.list_files(tmp_path, "labels")


@pytest.mark.parametrize("name", label_spec.FILE_NAMES)
def test_spec_in_the_folder_is_found(tmp_path, name):
    spec = label_spec.LabelSpec("x", ("a", "b"), void=1)
    spec.save(tmp_path / name)
    assert folder_layout.find_spec(tmp_path) == spec


def test_folder_without_spec_says_what_to_write(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"write label_spec\.toml there, which usis inspect"
    ):
        folder_layout.find_spec(tmp_path)


def test_fingerprint_changes_with_files_and_not_with_place(tmp_path):
    _touch(tmp_path, "one/photos/a.png", "one/photos/b.png")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first, second = (
        folder_layout.fingerprint(folder_layout.list_files(tmp_path / name, "photos"))
        for name in ("one", "two")
    )
    assert first == second
    (tmp_path / "two/photos/a.png").write_bytes(b"changed")
    assert folder_layout.fingerprint(folder_layout.list_files(tmp_path / "two", "photos")) != first
