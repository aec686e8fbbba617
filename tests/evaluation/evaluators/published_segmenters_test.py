"""Published networks as evaluators: what they read, which classes count, what is refused."""

import json

import numpy as np
import pytest

from tests.evaluation.suite_test import by_name, found, no_weights, workdir  # noqa: F401
from tests.support import tiny_run
from tests.support.drawn_weights import drawn, stored
from usis_jax.cli import main
from usis_jax.data.specs import lookup
from usis_jax.evaluation import suite
from usis_jax.evaluation.evaluators import published_segmenters
from usis_jax.evaluation.networks import deeplab, drn, upernet
from usis_jax.interop import files

CITYSCAPES, SCORED = lookup.get("cityscapes"), lookup.get("cityscapes19")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """File of DRN-D-105 with drawn weights, as its owners distribute theirs."""
    path = tmp_path_factory.mktemp("weights") / "drn-d-105_ms_cityscapes.pth"
    files.write(path, drawn(stored("drn")["keys"]))
    return path


def evaluator_that_reads(answer, key="drn-d-105"):
    """An evaluator with the classes of `key`, whatever the photos show."""
    published = published_segmenters.KNOWN[key]._replace(reader=lambda: lambda _, photos: answer)
    return published_segmenters.PublishedSegmenter(key, published, {}, "1a2b3c4d" * 8)


def test_photos_are_read_as_the_published_network_reads_them(weights, monkeypatch):
    photo = np.random.RandomState(1).randint(0, 256, (1, 72, 40, 3)).astype(np.uint8)
    # Nearly equal shares may change places.
    first, second = np.sort(stored("drn")["log"], axis=-1)[..., [-1, -2]].transpose(3, 0, 1, 2)
    expected, sure = stored("drn")["log"].argmax(-1), first - second > 1e-3
    monkeypatch.setattr(drn, "SCALES", (1.0,))
    monkeypatch.setattr(published_segmenters, "BATCH", 1)
    batches = []
    for key in published_segmenters.KNOWN:
        if not key.startswith("drn"):
            continue
        evaluator = published_segmenters.load(key, [weights], batches.append)
        labels = evaluator.predict(np.concatenate([photo, photo]))
        assert labels.shape == (2, 72, 40) and labels.dtype == np.int32
        np.testing.assert_array_equal(labels[0], labels[1])
        np.testing.assert_array_equal(labels[:1, ::5, ::5][sure], expected[sure])
    assert sure.mean() > 0.9 and batches == [1] * 4


def test_last_batch_is_filled_up_and_cut_off():
    parts = []

    def read(_, photos):
        parts.append(photos.shape)
        return photos[..., 0]

    published = published_segmenters.KNOWN["drn-d-105"]._replace(reader=lambda: read)
    evaluator = published_segmenters.PublishedSegmenter("drn-d-105", published, {}, "0" * 64)
    photos = np.random.default_rng(0).integers(0, 19, (6, 8, 16, 3), np.uint8)
    np.testing.assert_array_equal(evaluator.predict(photos), photos[..., 0])
    assert parts == [(published_segmenters.BATCH, 8, 16, 3)] * 2


def test_the_35_ids_of_cityscapes_become_its_19_scored_classes():
    table = evaluator_that_reads(None).labels(np.arange(35), CITYSCAPES)
    assert (table == SCORED.void).sum() == 35 - 19
    for train_id, scored in enumerate(table):
        if scored != SCORED.void:
            assert SCORED.classes[scored] == CITYSCAPES.classes[train_id]
    evaluator = evaluator_that_reads(None)
    np.testing.assert_array_equal(evaluator.labels(np.arange(20), SCORED), np.arange(20))


def test_rows_have_the_name_of_the_evaluator_and_void_does_not_count(found):  # noqa: F811
    evaluator = evaluator_that_reads(None)
    right = evaluator.labels(found.labels, tiny_run.SPEC)
    road, car = (SCORED.classes.index(name) for name in ("road", "car"))
    answer = np.where(right == SCORED.void, car, right)
    rows, left_out = suite.rows_of(found, evaluator_that_reads(answer))
    row = by_name(rows)["drn_d_105_miou"]
    assert row.value == row.real == 1 and row.details["num_classes"] == 3
    assert row.details["pixels"] == (found.labels > 0).sum()
    for part in ("drn-d-105 (1a2b3c4d), photos read at their own size", "of 16x16", "cityscapes19"):
        assert part in row.protocol
    assert "miou" not in by_name(rows) and "gives no features" in left_out["fd_evaluator"]
    rows, _ = suite.rows_of(found, evaluator_that_reads(np.full_like(answer, road)))
    is_road, counts = found.labels == tiny_run.SPEC.classes.index("road"), found.labels > 0
    accuracy = by_name(rows)["drn_d_105_pixel_accuracy"].value
    assert accuracy == pytest.approx(is_road.sum() / counts.sum())


def test_command_measures_with_a_published_segmenter(weights, workdir, tmp_path, monkeypatch):  # noqa: F811
    tiny_run.install(monkeypatch)
    assert (
        main.main(
            [
                "evaluate",
                f"--workdir={workdir}",
                "--num_samples=2",
                "--evaluator=drn-d-105",
                f"--evaluator_weights={weights}",
                f"--json={tmp_path / 'e.json'}",
            ]
        )
        == 0
    )
    rows = {row["id"]: row for row in json.loads((tmp_path / "e.json").read_text())["rows"]}
    row = rows["drn_d_105_miou"]
    assert 0 <= row["value"] <= 1 and 0 <= row["real"] <= 1 and len(row["details"]["iou"]) == 20
    assert "3 generated images of 16x16" in row["protocol"]


def test_no_bound_without_label_maps_of_the_real_photos(found):  # noqa: F811
    unpaired = type(found)(**{**vars(found), "paired": False})
    rows, _ = suite.rows_of(unpaired, evaluator_that_reads(np.zeros((4, 16, 16), np.int32)))
    assert by_name(rows)["drn_d_105_miou"].real is None


def test_classes_without_a_counterpart_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'cityscapes19' has no counterpart for 'background'"):
        evaluator_that_reads(None).labels(np.zeros((1, 8, 8), int), lookup.get("faces"))
    with pytest.raises(ValueError, match="multiples of 8 and at least 1, and these are 8x12"):
        evaluator_that_reads(None).predict(np.zeros((1, 8, 12, 3), np.uint8))
    with pytest.raises(ValueError, match="at least 16, and these are 8x16"):
        evaluator_that_reads(None, "drn-d-105-ms").predict(np.zeros((1, 8, 16, 3), np.uint8))
    with pytest.raises(ValueError, match=r"must be uint8 \[N, H, W, 3\], got float32"):
        evaluator_that_reads(None).predict(np.zeros((1, 8, 16, 3), np.float32))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    files.write(path, {"seg.weight": np.zeros((19, 512, 1, 1), np.float32)})
    with pytest.raises(ValueError, match=r"other\.pth has no 'base\.0\.0\.weight'; give the pub"):
        published_segmenters.load("drn-d-105", [path])
    with pytest.raises(
        ValueError, match="evaluator is 'resnet'; it must be one of drn-d-105, drn-d"
    ):
        published_segmenters.load("resnet", [path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--evaluator=drn-d-105"],
            "needs 1 of --evaluator_weights, not 0: drn-d-105_ms_cityscapes.pth, to",
        ),
        (
            ["--evaluator=drn-d-105-ms", "--evaluator_weights", "a", "b"],
            "needs 1 of --evaluator_weights, not 2",
        ),
        (["--evaluator=drn-d-105", "--evaluator_weights=nowhere.pth"], "nowhere.pth"),
        (
            ["--evaluator=evaluators/mine", "--evaluator_weights=a.pth"],
            "belongs to a published segmenter",
        ),
        (["--evaluator_weights=a.pth"], "give --evaluator=drn-d-105 or drn-d-105-ms"),
    ],
)
def test_bad_use_is_one_line(options, message, capsys):
    assert main.main(["evaluate", "--workdir=a", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.strip().count("\n") == 0


def test_deeplab_is_loaded_and_its_outputs_begin_behind_void(tmp_path, monkeypatch):
    path = tmp_path / "deeplab.pth"
    files.write(path, drawn(stored("deeplab")["keys"]))
    evaluator = published_segmenters.load("deeplabv2-resnet101-msc", [path])
    seen = []

    def read(variables, photos):
        seen.append(variables["params"]["base"]["rate_24"]["conv"]["bias"])
        return photos[..., 0].astype(np.int32)

    monkeypatch.setattr(deeplab, "read", read)
    photos = np.random.default_rng(0).integers(0, 182, (1, 32, 40, 3), np.uint8)
    np.testing.assert_array_equal(evaluator.predict(photos), photos[..., 0] + 1)
    key = "base.aspp.c3.bias"
    np.testing.assert_array_equal(seen[0], drawn([f"{key} 182"])[key])
    coco = lookup.get("coco_stuff")
    assert evaluator.spec.num_classes == 183 and evaluator.labels([[0, 182]], coco).tolist() == [
        [0, 182]
    ]
    with pytest.raises(ValueError, match="at least 32"):
        evaluator.predict(photos[:, :31])


def test_upernet_is_loaded_from_two_files_in_their_order(tmp_path, monkeypatch):
    paths = [tmp_path / f"{part}.pth" for part in ("encoder", "decoder")]
    for path in paths:
        files.write(path, drawn(stored("upernet")[f"{path.stem}_keys"]))
    evaluator = published_segmenters.load("upernet101", paths)
    monkeypatch.setattr(upernet, "read", lambda variables, photos: photos[..., 0].astype(np.int32))
    photos = np.random.default_rng(0).integers(0, 150, (1, 40, 32, 3), np.uint8)
    np.testing.assert_array_equal(evaluator.predict(photos), photos[..., 0] + 1)
    assert evaluator.spec.num_classes == 151 and "300, 375, 450, 525, 600" in evaluator.name
    with pytest.raises(ValueError, match=r"decoder\.pth has no 'conv1\.weight'"):
        published_segmenters.load("upernet101", paths[::-1])
    with pytest.raises(ValueError, match="needs 2 of --evaluator_weights, not 1"):
        published_segmenters.load("upernet101", paths[:1])
