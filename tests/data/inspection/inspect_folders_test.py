"""Tests of usis_jax.data.inspection.inspect_folders and of `usis inspect DIR`."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from tests.support import own_files
from tests.support.own_files import label, photo, save
from usis_jax.cli import main
from usis_jax.data.inspection import folder_report, inspect_folders, scan
from usis_jax.data.specs import label_spec

COLOURS = np.array([(70, 10, 180), (128, 64, 28), (220, 20, 60), (0, 0, 0)], np.uint8)


def _inspect(*folders, **options):
    return inspect_folders.inspect(*folders, progress=False, **options)


def _whats(report):
    return [finding["what"] for finding in report["findings"]]


@pytest.mark.parametrize(
    ("photos", "labels"), [("photos", "labels"), ("images", "masks"), ("Images", "annotations")]
)
def test_folders_of_usual_names_are_found(tmp_path, photos, labels):
    own_files.folder(tmp_path, photos=photos, labels=labels)
    report = _inspect(tmp_path)
    assert report["photos"]["folder"] == str(tmp_path / photos)
    assert report["labels"]["folder"] == str(tmp_path / labels)
    assert (report["photos"]["count"], report["labels"]["count"], report["pairs"]) == (6, 6, 0)
    assert report["findings"] == []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["inspect.png", "label_spec.toml", photos, labels]
    )


def test_shares_and_splits_are_those_of_the_files(tmp_path):
    maps = [label(i) for i in range(5)]
    for i, ids in enumerate(maps):
        split = "train" if i else "val"
        save(ids, tmp_path / "labels" / split / f"{i}.png")
        save(photo(i), tmp_path / "images" / split / f"{i}.jpg")
    report = _inspect(tmp_path)
    assert report["labels"]["splits"] == {"train": 4, "validation": 1} == report["photos"]["splits"]
    assert report["pairs"] == 5
    assert report["labels"]["sizes"] == {"48x32": 5}
    shares = {row["id"]: row["share"] for row in report["labels"]["values"]}
    assert shares == {k: pytest.approx(np.mean([m == k for m in maps])) for k in range(4)}


def test_bare_folders_are_told_apart(tmp_path):
    own_files.folder(tmp_path, photos="a", labels="b")
    only_photos, only_labels = _inspect(tmp_path / "a"), _inspect(tmp_path / "b")
    assert (only_photos["labels"], only_photos["spec"]) == (None, None)
    assert only_photos["photos"]["count"] == 6
    assert only_labels["photos"] is None
    assert only_labels["spec"]["file"] == str(tmp_path / "b" / "label_spec.toml")
    # No picture goes into a folder of files, where it would be taken for one of them.
    assert only_labels["picture"] == str(tmp_path / "b_inspect.png")
    assert not list((tmp_path / "b").glob("*inspect*"))


def test_folders_may_lie_anywhere(tmp_path):
    own_files.folder(tmp_path, photos="x/far", labels="y/away")
    report = _inspect(
        photos=tmp_path / "x/far", labels=tmp_path / "y/away",
        out=tmp_path / "spec.yaml", picture=tmp_path / "p.png",
    )  # fmt: skip
    assert report["spec"]["file"] == str(tmp_path / "spec.yaml")
    assert label_spec.LabelSpec.load(tmp_path / "spec.yaml").num_classes == 4
    assert f"--photos={tmp_path}/x/far --labels={tmp_path}/y/away" in report["next"]


def test_photos_and_label_maps_in_one_folder_are_refused(tmp_path):
    own_files.folder(tmp_path, photos="all", labels="all")
    with pytest.raises(ValueError, match=r"seems to hold label maps \(map_.*\) and photos \(photo"):
        _inspect(tmp_path / "all")


def test_spec_that_is_there_stays_and_is_compared(tmp_path):
    own_files.folder(tmp_path)
    old = label_spec.LabelSpec("old", ("a", "b", "c"))
    old.save(tmp_path / "label_spec.toml")
    report = _inspect(tmp_path)
    assert label_spec.LabelSpec.load(tmp_path / "label_spec.toml") == old
    assert report["spec"]["file"] == str(tmp_path / "label_spec.draft.toml")
    assert label_spec.LabelSpec.load(report["spec"]["file"]).num_classes == 4
    assert "label_spec.toml is as it was" in folder_report.text(report)
    (finding,) = report["findings"]
    assert (finding["level"], finding["what"]) == ("error", "unknown")
    assert "does not know: 3" in finding["text"]


@pytest.mark.parametrize(
    ("what", "level", "spoil"),
    [
        ("lossy", "error", lambda root: save(COLOURS[label()], root / "x.jpg")),
        ("unreadable", "error", lambda root: (root / "x.png").write_text("no image")),
        ("like_photo", "error", lambda root: save(photo(), root / "x.png")),
        ("single", "warning", lambda root: save(label(classes=5), root / "x.png")),
        ("layout", "error", lambda root: save(label(), root / "val/x.png")),
        ("layout", "error", lambda root: save(label(), root / "map_0.tif")),
        ("mixed", "warning", lambda root: save(COLOURS[label()], root / "x.png")),
        (
            "proportions", "warning",
            lambda root: save(label(size=(32, 90)), root / "x.png"),
        ),
    ],
)  # fmt: skip
def test_suspicious_label_map_is_found(tmp_path, what, level, spoil):
    own_files.folder(tmp_path)
    spoil(tmp_path / "labels")
    report = _inspect(tmp_path)
    (finding,) = report["findings"]
    assert (finding["what"], finding["level"]) == (what, level)
    assert any(
        name in word for word in [*finding["files"], finding["text"]] for name in ("x.", "map_0")
    )
    assert report["spec"]


def test_masks_palettes_and_smoothed_maps_are_said(tmp_path):
    masks, palettes, smooth = tmp_path / "m", tmp_path / "p", tmp_path / "s"
    own_files.folder(masks, to_file=lambda ids: (ids > 1) * np.uint8(255))
    assert _whats(_inspect(masks)) == ["mask"]
    own_files.folder(palettes, to_file=lambda ids: own_files.palette_image(ids, COLOURS))
    swapped = own_files.palette_image(label(), COLOURS[::-1])
    save(swapped, palettes / "labels" / "x.png")
    assert _whats(_inspect(palettes)) == ["palettes"]
    own_files.folder(
        smooth,
        to_file=lambda ids: Image.fromarray(COLOURS[ids.repeat(2, 0).repeat(2, 1)]).resize(
            (48, 32), Image.Resampling.LANCZOS
        ),
    )
    assert _whats(_inspect(smooth)) == ["smoothed"]


def test_pairs_of_other_proportions_are_found(tmp_path):
    own_files.folder(tmp_path)
    save(photo(size=(32, 40)), tmp_path / "photos" / "map_2.jpg")
    report = _inspect(tmp_path)
    assert report["pairs"] == 1
    assert _whats(report) == ["pair_proportions"]
    assert report["findings"][0]["files"] == ["map_2"]


def test_picture_shows_photos_and_label_maps_in_the_colours_of_the_draft(tmp_path):
    own_files.folder(tmp_path, to_file=lambda ids: np.full_like(ids, 9))
    for i in range(6):
        save(np.full((32, 48, 3), 40 * i, np.uint8), tmp_path / f"photos/photo_{i}.jpg")
    report = _inspect(tmp_path)
    picture = np.asarray(Image.open(report["picture"]))
    (colour,) = label_spec.LabelSpec.load(report["spec"]["file"]).colours.tolist()
    height, width = round(256 * 32 / 48), 256
    for row in range(6):
        middle = 24 + row * (height + 4) + height // 2
        assert abs(int(picture[middle, 4 + width // 2, 0]) - 40 * row) < 5
        assert picture[middle, 8 + width + width // 2].tolist() == colour


def test_processes_give_what_one_gives_in_order():
    items = [str(i) for i in range(50)]
    assert list(scan.scan(len, items, processes=2)) == [len(item) for item in items]
    assert list(scan.scan(int, items, processes=1)) == list(range(50))


def test_only_a_few_results_wait(monkeypatch):
    import concurrent.futures

    asked = []

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, count, context):
            super().__init__(count)

        def submit(self, function, *arguments):
            asked.append(len(arguments[1]))
            return super().submit(function, *arguments)

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    results = scan.scan(str, list(range(1000)), processes=2)
    assert next(results) == "0"
    assert sum(asked) <= 80
    assert list(results) == [str(i) for i in range(1, 1000)]


def test_command_prints_the_report_and_writes_json(tmp_path, capsys):
    own_files.folder(tmp_path / "my files")
    code = main.main(["inspect", str(tmp_path / "my files"), f"--json={tmp_path / 'r.json'}"])
    captured = capsys.readouterr()
    assert code == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["command"] == "inspect"
    assert [row["class"] for row in report["labels"]["values"]] == [
        f"class_{row['id']}" for row in report["labels"]["values"]
    ]
    for words in ("6 photos", "6 label maps", "48x32", "class_3", "label_spec.toml", "inspect.png"):
        assert words in captured.out
    assert f"'--photos={tmp_path}/my files/photos'" in captured.out
    assert "file/s" in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a folder of your own files, or --config=FILE"),
        (["own", "--config=base"], "DIR and --config do not go together"),
        (["--labels=own/labels", "--config.steps=3"], "--labels and --config do not go together"),
        (["nothing"], "DIR nothing does not exist or is no folder"),
        (["--photos=nothing"], "--photos nothing does not exist"),
        (["empty"], "empty has no image files, and no folder photos/ or labels/"),
        (["own", "--labels=empty"], "empty has no image files; it must hold label maps"),
        (["own", "--labels=own"], "lie in each other"),
        (["own", "--out=spec.txt"], "must end in .toml, .yaml, .yml or .json"),
        (["own", "--out=no/such.toml"], "--out is no/such.toml; it must be a file in a folder"),
        (["own", "--picture=p.jpg"], "--picture is p.jpg; its name must end in .png"),
    ],
)
def test_bad_use_is_one_line_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, arguments, words
):
    own_files.folder(tmp_path / "own", count=1)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main.main(["inspect", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usis: ") and captured.err.count("\n") == 1
    assert words in captured.err
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_that_cannot_be_written_is_said_before_scanning(tmp_path, monkeypatch):
    own_files.folder(tmp_path, count=1)
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    monkeypatch.setattr(inspect_folders, "_scan", None)
    with pytest.raises(ValueError, match=r"no permission to write .*; give --picture=FILE"):
        _inspect(tmp_path)
