"""Tests of usis_jax.data.folder."""

import shutil

import pytest

from usis_jax.data import folder, label_spec


def _touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_files_without_split_folders_are_train(tmp_path):
    _touch(tmp_path, "photos/b.jpg", "photos/a.PNG", "photos/readme.txt", "photos/.hidden.png")
    files = folder.list_files(tmp_path, "photos")
    assert {split: list(paths) for split, paths in files.items()} == {"train": ["a", "b"]}


@pytest.mark.parametrize("photos", ["photos", "images"])
@pytest.mark.parametrize("val", ["val", "validation"])
def test_split_folders_become_splits_at_any_depth(tmp_path, photos, val):
    _touch(tmp_path, f"{photos}/train/x/a.png", f"{photos}/{val}/b.png", f"{photos}/test/c.png")
    files = folder.list_files(tmp_path, "photos")
    names = {split: list(paths) for split, paths in files.items()}
    assert names == {"train": ["x/a"], "validation": ["b"], "test": ["c"]}


def test_photo_and_label_map_have_one_name(tmp_path):
    _touch(tmp_path, "photos/a.jpg", "labels/a.png")
    names = [list(folder.list_files(tmp_path, k)["train"]) for k in ("photos", "labels")]
    assert names == [["a"], ["a"]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["photos/readme.txt"], "photos has no image files; it must hold photos"),
        (["photos/train/a.txt"], "train has no image files"),
        (["photos/a.png", "photos/train/b.png"], "beside folders"),
        (["photos/holiday/a.png"], "holiday is not a split; .* train, val, validation, test"),
        (["photos/val/a.png", "photos/validation/b.png"], "both val/ and validation/"),
        (["photos/a.png", "photos/a.jpg"], "the same name"),
    ],
)
def test_unclear_layout_is_refused(tmp_path, files, message):
    _touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        folder.list_files(tmp_path, "photos")


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        folder.list_files(tmp_path / "none", "photos")
    with pytest.raises(FileNotFoundError, match="no folder photos/ or images/"):
        folder.list_files(tmp_path, "photos")
    with pytest.raises(FileNotFoundError, match="no folder labels/"):
        folder.list_files(tmp_path, "labels")


@pytest.mark.parametrize("name", label_spec.FILE_NAMES)
def test_spec_in_the_folder_is_found(tmp_path, name):
    spec = label_spec.LabelSpec("x", ("a", "b"), void=1)
    spec.save(tmp_path / name)
    assert folder.find_spec(tmp_path) == spec


def test_folder_without_spec_says_what_to_write(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"write label_spec\.toml there, or give"):
        folder.find_spec(tmp_path)


def test_fingerprint_changes_with_files_and_not_with_place(tmp_path):
    _touch(tmp_path, "one/photos/a.png", "one/photos/b.png")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first, second = (
        folder.fingerprint(folder.list_files(tmp_path / name, "photos")) for name in ("one", "two")
    )
    assert first == second
    (tmp_path / "two/photos/a.png").write_bytes(b"changed")
    assert folder.fingerprint(folder.list_files(tmp_path / "two", "photos")) != first


def test_builder_class_has_the_name_of_its_data_set():
    assert folder.named("my_streets").name == "my_streets"
    assert folder.named("my_streets") is not folder.named("my_streets")
