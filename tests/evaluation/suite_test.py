"""`usis evaluate`: what is generated, which rows come out, how they are printed."""

import json
import types

import jax
import numpy as np
import pytest
from PIL import Image

import usis_jax
from tests.support import tiny_run
from usis_jax.checkpoint import manager
from usis_jax.cli import main
from usis_jax.evaluation import eval_inputs, suite, tables
from usis_jax.evaluation.evaluators import inception_features
from usis_jax.methods import train_state
from usis_jax.workdir import layout


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A work directory with the checkpoint of an untrained run."""
    folder = tmp_path_factory.mktemp("run")
    settings = tiny_run.settings()
    layout.save_settings(folder, settings)
    initial = train_state.create(settings, tiny_run.SPEC.num_classes)
    with manager.Checkpoints(folder) as checkpoints:
        checkpoints.save(7, initial, settings, tiny_run.SPEC)
    return folder


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    """The cache of the machine's user is not looked into."""
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))


class PerfectEvaluator:
    """Reads from every photo the label map that belongs to it, by its place in the set."""

    name, height, width, spec = "evaluator perfect", 16, 16, tiny_run.SPEC

    def __init__(self, labels):
        self.labels, self.scores = np.maximum(labels, 1), {"miou": 0.9, "accuracy": 0.95}
        self.info = {"pairs": "scenes:test"}

    def predict(self, photos):
        return self.labels

    def features(self, photos):
        return photos.reshape(len(photos), -1)[:, :5].astype(np.float32)


@pytest.fixture
def found():
    """EvalInputs whose generated images are the real ones."""
    pairs = tiny_run.batch(5, 0, 4)
    return eval_inputs.EvalInputs(
        name="run",
        step=7,
        generator=types.SimpleNamespace(spec=tiny_run.SPEC, settings=tiny_run.settings()),
        labels=pairs["label"],
        generated=pairs["photo"],
        real=pairs["photo"],
        paired=True,
        other=tiny_run.batch(6, 0, 4)["photo"],
        samples=np.stack([pairs["photo"][:2]] * 3),
        segmenter=None,
        sizes=eval_inputs.Sizes(),
    )


def by_name(rows):
    return {row.id: row for row in rows}


def test_all_devices_generate_what_one_call_generates_and_padding_is_thrown_away(workdir):
    generator = usis_jax.Generator.load(workdir)
    assert len(jax.local_devices()) == 4
    labels, generated = tiny_run.batch(1, 0, 6)["label"], []
    photos = eval_inputs.generate(
        generator, labels, seed=3, samples=(1, 0), advance=generated.append
    )
    assert sum(generated) == 12 and photos.shape == (2, 6, 16, 16, 3)
    np.testing.assert_allclose(photos, generator(labels, seed=3, num_samples=2)[::-1], atol=1)


def test_photos_that_are_the_real_ones_score_as_well_as_they_can(found):
    rows, left_out = suite.rows_of(found, evaluator=PerfectEvaluator(found.labels))
    rows = by_name(rows)
    for name in ("swd", "spectral_distance", "haar_distance"):
        assert rows[name].value == 0 < rows[name].real
    assert rows["fd_evaluator"].value == pytest.approx(0, abs=1e-6 * rows["fd_evaluator"].real)
    assert rows["miou"].value == rows["miou"].real == rows["pixel_accuracy"].value == 1
    assert rows["ms_ssim"].value == pytest.approx(1)
    assert set(left_out) == {"fid", "kid", "consistency_miou", "perceptual"}
    assert all("seed 0" in row.protocol and "16x16" in row.protocol for row in rows.values())


def test_unpaired_photos_have_the_evaluators_own_scores_as_the_bound(found):
    unpaired = eval_inputs.dataclasses.replace(found, paired=False)
    rows, _ = suite.rows_of(unpaired, evaluator=PerfectEvaluator(found.labels))
    assert by_name(rows)["miou"].real == 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 32}, "--evaluator reads photos of 32x16 and this run generates 16x16"),
        ({"info": {"pairs": "scenes:validation"}}, "trained on scenes:validation, the photos that"),
        (
            {"spec": types.SimpleNamespace(classes=("a",), name="other")},
            "knows the classes of 'other'",
        ),
    ],
)
def test_evaluator_of_another_size_other_classes_or_the_same_photos_is_refused(
    found, change, message
):
    evaluator = PerfectEvaluator(found.labels)
    evaluator.__dict__.update(change)
    with pytest.raises(ValueError, match=message):
        suite.rows_of(found, evaluator=evaluator)


def test_command_measures_a_run_and_writes_json_and_markdown(
    workdir, tmp_path, monkeypatch, capsys
):
    tiny_run.install(monkeypatch)
    assert (
        main.main(
            [
                "evaluate",
                f"--workdir={workdir}",
                "--num_samples=2",
                f"--json={tmp_path / 'e.json'}",
                f"--markdown={tmp_path / 'e.md'}",
                f"--plot={tmp_path / 'e.png'}",
            ]
        )
        == 0
    )
    assert Image.open(tmp_path / "e.png").size == (1200, 450)
    result = json.loads((tmp_path / "e.json").read_text())
    assert (result["step"], result["label_maps"]) == (7, 3)
    rows = {row["id"]: row for row in result["rows"]}
    assert set(rows) == {
        "swd",
        "consistency_miou",
        "consistency_pixel_accuracy",
        "ms_ssim",
        "spectral_distance",
        "haar_distance",
    }
    assert result["measures"] == {
        name: {"generated": row["value"], "real": row["real"]} for name, row in rows.items()
    }
    # Noise against noise is nearer than the grey of an untrained generator.
    assert rows["swd"]["value"] > rows["swd"]["real"]
    printed = capsys.readouterr().out
    for row in rows.values():
        assert row["measure"] in printed and row["protocol"] in printed
        assert row["protocol"] in (tmp_path / "e.md").read_text()
        assert row["protocol"] in (workdir / "report.html").read_text()


def test_command_measures_fid_where_the_weights_are(workdir, tmp_path, monkeypatch, capsys):
    """A network of drawn weights stands in for Inception, whose own tests are elsewhere."""
    tiny_run.install(monkeypatch)
    asked = []

    def network(path):
        matrix = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
        return inception_features.Network(
            "net", 4, matrix, lambda w, x: x.mean((1, 2)) @ w, "f", "0" * 64
        )

    monkeypatch.setattr(
        inception_features, "inception", lambda path: asked.append(path) or network(path)
    )
    options = ["evaluate", f"--workdir={workdir}", "--num_samples=2", "--inception=a.pth"]
    values = []
    assert set(inception_features.PRESETS) == {"fid-published", "fid-clean"}
    for preset in ("fid-published", "fid-clean", "fid-published"):
        assert main.main([*options, f"--preset={preset}", f"--json={tmp_path / 'e.json'}"]) == 0
        rows = {row["id"]: row for row in json.loads((tmp_path / "e.json").read_text())["rows"]}
        assert all(
            rows[name]["protocol"].startswith(f"net (00000000), {preset}; 3 generated against")
            for name in ("fid", "kid")
        )
        assert "fewer than 2048" in rows["fid"]["warning"] and rows["fid"]["real"] is not None
        values.append(rows["fid"]["value"])
    assert values[0] == values[2] != values[1] and asked == ["a.pth"] * 3
    # Features of real photos, validation and training, once a preset; none of generated images.
    assert len(list((tmp_path / "cache/features").iterdir())) == 4


def test_learned_distances_between_samples_have_rows_of_their_own_names(found):
    class Distance:
        id, title, name = "some", "some distance", "some distance (12345678)"

        def pairs(self, photos):
            assert photos.shape == (3, 16, 16, 3)
            return np.float32([1, 2, 6])

    rows, left_out = suite.rows_of(found, perceptual=[Distance()])
    row = by_name(rows)["some"]
    assert (row.value, row.better, row.details) == (3, "higher", {"each": [3.0, 3.0]})
    assert row.protocol.startswith("some distance (12345678); all pairs of 3 samples of each of 2")
    assert "perceptual" not in left_out


def test_folders_take_the_place_of_validation_data(workdir, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for kind, number in (("labels", 2), ("photos", 3)):
        (tmp_path / kind).mkdir()
        for i in range(number):
            shape = (16, 16) if kind == "labels" else (20, 24, 3)
            pixels = (
                np.full(shape, 10 * (i + 1)) if kind == "labels" else random.integers(0, 256, shape)
            )
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / kind / f"{i}.png")
    monkeypatch.setattr(eval_inputs.input_pipeline, "validation", None)
    found = eval_inputs.collect(
        workdir, tmp_path / "labels", tmp_path / "photos", eval_inputs.Sizes(samples=2)
    )
    assert found.generated.shape == (2, 16, 16, 3) and found.real.shape == (3, 16, 16, 3)
    assert found.other is None and not found.paired
    np.testing.assert_array_equal(found.labels[:, 0, 0], [1, 2])
    rows, _ = suite.rows_of(found, measures=["swd"])
    assert by_name(rows)["swd"].real is None
    # Other folders make other measures, which must not take each other's place.
    protocols = {rows[0].protocol}
    assert "validation" not in rows[0].protocol
    for kind in ("labels", "photos"):
        (tmp_path / kind / "0.png").rename(tmp_path / f"{kind}.png")
        (tmp_path / kind / "1.png").replace(tmp_path / kind / "0.png")
        (tmp_path / f"{kind}.png").rename(tmp_path / kind / "1.png")
        other = eval_inputs.collect(
            workdir, tmp_path / "labels", tmp_path / "photos", eval_inputs.Sizes(samples=2)
        )
        protocols.add(suite.rows_of(other, measures=["swd"])[0][0].protocol)
    assert len(protocols) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--workdir=DIR for one run"),
        (["--workdir=a", "--compare", "b", "c"], "--workdir=DIR for one run"),
        (["--compare", "a", "b", "--markdown=x.md"], "--markdown is of one run"),
        (["--compare", "a", "b", "--plot=x.png"], "--plot is of one run"),
        (["--workdir=nowhere"], "nowhere is not a work directory"),
        (["--workdir=a", "--evaluator=nowhere"], "nowhere holds no evaluator"),
        (
            ["--workdir=a", "--perceptual=lpips"],
            "--perceptual is 'lpips'; it must be one of st-lpips",
        ),
        (["--workdir=a", "--perceptual=st-lpips-vgg16"], "usis get-weights st-lpips-vgg16"),
        (
            ["--workdir=a", "--inception=nowhere"],
            "nowhere has no weights of inception; run usis get",
        ),
    ],
)
def test_bad_use_is_one_line(options, message, capsys):
    assert main.main(["evaluate", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.strip().count("\n") == 0


def test_comparison_says_where_protocols_differ():
    def result(name, value, protocol):
        return {
            "name": name,
            "rows": [
                {
                    "id": "swd",
                    "measure": "SWD",
                    "value": value,
                    "real": 1.5,
                    "better": "lower",
                    "protocol": protocol,
                }
            ],
        }

    lines, notes = tables.comparison([result("a", 20.0, "p"), result("b", 3.25, "p")])
    assert lines[0].split() == ["measure", "a", "b", "real"]
    assert lines[1].split()[:4] == ["SWD", "20", "3.25", "1.5"] and notes == []
    _, notes = tables.comparison([result("a", 20.0, "p"), result("b", 3.25, "q")])
    assert notes == ["SWD was not measured alike: p; or q"]
