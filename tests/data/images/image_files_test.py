"""Image files of folders: every command takes the same ones."""

import os
import shutil
import unicodedata

import numpy as np
import pytest

from tests.support import own_files, tiny_run
from usis_jax.data.images import image_files
from usis_jax.data.inspection import inspect_folders
from usis_jax.data.preparation import folder_layout, own_folders
from usis_jax.errors import UserError
from usis_jax.evaluation import eval_inputs
from usis_jax.inference import label_folders


class Grey:
    """Stands in for a generator: every photo is grey."""

    settings, spec, step = tiny_run.settings(), tiny_run.SPEC, 3

    def __call__(self, label, seed=0, num_samples=1, first=0):
        return np.full((num_samples, *np.shape(label), 3), 128, np.uint8)


def label_map(path):
    """Writes a label map of file ids of the tiny spec."""
    return own_files.save(np.full((16, 16), 10, np.uint8), path)


@pytest.fixture
def own(tmp_path):
    """Folder with photos/, labels/ and a label spec."""
    for i in range(6):
        own_files.save(own_files.photo(i, (16, 16)), tmp_path / "photos" / f"m{i}.png")
        label_map(tmp_path / "labels" / f"m{i}.png")
    tiny_run.SPEC.save(tmp_path / "label_spec.toml")
    return tmp_path


def taken(own):
    """How many label maps and photos each command takes."""
    found = own_folders.find("own", own / "photos", own / "labels")
    prepared = {kind: sum(map(len, splits.values())) for kind, splits in found.files.items()}
    folders = inspect_folders.find_folders(None, own / "photos", own / "labels")
    looked = {kind: len(image_files.find(getattr(folders, kind))) for kind in ("photos", "labels")}
    measured = {"photos": len(eval_inputs._photo_files(own / "photos")),
                "labels": len(label_folders.list_labels(own / "labels"))}  # fmt: skip
    assert prepared == looked == measured
    return prepared


def test_hidden_files_and_those_of_the_system_are_no_images(own):
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "._m0.png",
        ".hidden/m9.png",
        "__MACOSX/labels/m9.png",
        "@eaDir/m0.png/SYNOPHOTO_THUMB_M.png",
        "$RECYCLE.BIN/m8.png",
        "notes.txt",
    ):
        for kind in ("photos", "labels"):
            path = own / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0\5\x16\7")
    (own / "labels" / "folder.png").mkdir()
    assert taken(own) == {"photos": 6, "labels": 6}


def test_every_suffix_is_taken_in_small_and_large_letters(own):
    for suffix in image_files.SUFFIXES:
        shutil.copy(own / "photos" / "m0.png", own / "photos" / f"s{suffix[1:]}{suffix}")
        upper = suffix.upper()
        shutil.copy(own / "labels" / "m0.png", own / "labels" / f"s{suffix[1:]}{upper}")
    more = len(image_files.SUFFIXES)
    assert {".pgm", ".ppm", ".bmp", ".tif", ".webp", ".png"} < set(image_files.SUFFIXES)
    assert taken(own) == {"photos": 6 + more, "labels": 6 + more}


def test_splits_are_sampled_into_folders_of_their_names(own):
    for kind in ("photos", "labels"):
        for i in range(6):
            split = own / kind / ("Train" if i < 4 else "val")
            split.mkdir(exist_ok=True)
            (own / kind / f"m{i}.png").rename(split / f"m{i}.png")
    assert taken(own) == {"photos": 6, "labels": 6}
    result = label_folders.sample_folder(Grey(), own / "labels", own / "out", num_samples=2)
    names = [f"{'Train' if i < 4 else 'val'}/m{i}_{n}.png" for i in range(6) for n in range(2)]
    assert result["files"] == sorted([*names, "contact_sheet.png"])
    assert (
        sorted(str(path.relative_to(own / "out")) for path in image_files.find(own / "out"))
        == result["files"]
    )


def test_two_files_of_one_name_are_refused_everywhere(own):
    shutil.copy(own / "labels" / "m0.png", own / "labels" / "m0.bmp")
    shutil.copy(own / "photos" / "m0.png", own / "photos" / "m0.jpg")
    for call in (
        lambda: folder_layout.split_files(own / "labels", "labels"),
        lambda: label_folders.list_labels(own / "labels"),
        lambda: eval_inputs._photo_files(own / "photos"),
    ):
        with pytest.raises(UserError, match=r"m0\.\w+ and m0\.\w+ have the same name; rename one"):
            call()


def test_accents_make_pairs_whatever_way_they_are_written(own):
    for kind, form in (("photos", "NFC"), ("labels", "NFD")):
        for i in range(6):
            name = unicodedata.normalize(form, f"Stra\u00dfe \u00e9{i}.png")
            (own / kind / f"m{i}.png").rename(own / kind / name)
    found = own_folders.find("own", own / "photos", own / "labels")
    assert found.pairs == len(found.files["photos"]["validation"]) > 0
    report = inspect_folders.inspect(own, out=own / "d.toml", picture=own / "p.png", progress=False)
    assert report["pairs"] == 6
    both = own / "labels" / unicodedata.normalize("NFC", "Stra\u00dfe \u00e90.png")
    label_map(both)
    with pytest.raises(UserError, match="same name"):
        folder_layout.split_files(own / "labels", "labels")


def test_names_that_differ_in_capital_letters_are_no_pairs_and_inspect_says_so(own):
    (own / "labels" / "m0.png").rename(own / "labels" / "M0.png")
    report = inspect_folders.inspect(own, out=own / "d.toml", picture=own / "p.png", progress=False)
    assert report["pairs"] == 5
    (finding,) = [one for one in report["findings"] if "capital letters" in one["text"]]
    assert "m0" in str(finding)


def test_name_that_is_not_utf8_is_refused_in_a_line(own):
    os.rename(own / "labels" / "m0.png", os.fsencode(own) + b"/labels/m\xe9.png")
    for call in (
        lambda: taken(own),
        lambda: label_folders.list_labels(own / "labels"),
        lambda: inspect_folders.inspect(own, progress=False),
    ):
        with pytest.raises(UserError, match=r"m\\xe9\.png has a name that is not UTF-8"):
            call()


def test_links_are_followed_but_not_in_circles_or_upwards(own):
    (own / "elsewhere").mkdir()
    (own / "labels" / "m0.png").rename(own / "elsewhere" / "m0.png")
    (own / "labels" / "m0.png").symlink_to("../elsewhere/m0.png")
    label_map(own / "elsewhere" / "more" / "m7.png")
    (own / "labels" / "more").symlink_to("../elsewhere/more")
    (own / "labels" / "again").symlink_to("../elsewhere/more")
    (own / "labels" / "up").symlink_to("..")
    (own / "labels" / "here").symlink_to(".")
    (own / "labels" / "ring").symlink_to("ring")
    assert taken(own) == {"photos": 6, "labels": 7}


@pytest.mark.parametrize("target", ["gone.png", "zz.png"])
def test_link_to_nothing_or_in_a_circle_is_a_bad_file_with_its_name(own, target):
    (own / "labels" / "zz.png").symlink_to(target)
    assert folder_layout.fingerprint(
        {"train": folder_layout.split_files(own / "labels", "labels")["train"]}
    )
    with pytest.raises(ValueError, match=rf"zz\.png: .* is a link to {target}, which is not there"):
        label_folders.sample_folder(Grey(), own / "labels", own / "out")
    report = inspect_folders.inspect(own, out=own / "d.toml", picture=own / "p.png", progress=False)
    assert "zz.png" in str(report["findings"])


def test_folder_that_cannot_be_read_is_not_left_out(own, monkeypatch):
    (own / "labels" / "more").mkdir()
    scan = os.scandir

    def denied(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(PermissionError, match="more"):
        image_files.find(own / "labels")


@pytest.mark.parametrize("place", ["in the folder", "beside the link", "beside its target"])
def test_label_spec_is_found_beside_a_link_and_beside_what_it_leads_to(own, place):
    elsewhere = own / "elsewhere"
    elsewhere.mkdir()
    (own / "labels").rename(elsewhere / "maps")
    (own / "labels").symlink_to("elsewhere/maps")
    spec = own / "label_spec.toml"
    if place != "beside the link":
        folder = elsewhere / "maps" if place == "in the folder" else elsewhere
        spec = spec.rename(folder / "label_spec.toml")
    assert folder_layout.spec_beside(own / "labels").samefile(spec)
    assert (
        own_folders.find("own", own / "photos", own / "labels").spec.classes
        == tiny_run.SPEC.classes
    )
    spec.unlink()
    assert folder_layout.spec_beside(own / "labels") is None


def test_folder_with_photos_and_labels_in_it_is_neither(own):
    for call in (
        lambda: label_folders.sample_folder(Grey(), own, own / "out"),
        lambda: own_folders.find("own", own / "photos", own / "labels" / ".."),
        lambda: folder_layout.split_files(own, "labels"),
    ):
        with pytest.raises(ValueError, match=r"give .*labels for the labels|lie in each other"):
            call()
    with pytest.raises(UserError, match=r"photos/ and labels/; give .*photos for the photos"):
        eval_inputs._photo_files(own)
    assert not (own / "out").exists()


def test_folders_of_a_data_set_may_have_capital_letters(own):
    (own / "photos").rename(own / "Images")
    (own / "labels").rename(own / "Labels")
    assert len(folder_layout.list_files(own, "photos")["train"]) == 6
    assert len(folder_layout.list_files(own, "labels")["train"]) == 6
