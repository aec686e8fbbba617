"""The data set report, and `usis inspect --config`, which shows it."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.support import tiny_data
from usis_jax.cli import main
from usis_jax.data.inspection import dataset_report
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import prepare
from usis_jax.data.specs import label_spec, lookup
from usis_jax.display import image_grid

SPEC = label_spec.LabelSpec(
    "yard",
    ("grass", "path", "pond", "roof", "void"),
    palette=((0, 200, 0), (120, 120, 120), (0, 0, 250), (200, 0, 0), (0, 0, 0)),
    void=4,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Ten photos of "yard", five of "meadow", six maps: a row of void, map 2 with 8 of pond."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    random = np.random.default_rng(0)
    for folder, count in (
        ("yard/photos/train", 10),
        ("yard/photos/val", 2),
        ("meadow/photos/train", 5),
        ("yard/labels/train", 6),
        ("yard/labels/val", 3),
    ):
        (source / folder).mkdir(parents=True)
        for i in range(count):
            image = random.integers(0, 256, (8, 16, 3), np.uint8)
            if "labels" in folder:
                image = np.zeros((8, 16), np.uint8)
                image[:2], image[-1] = 1, 4
                image[4, : 8 * (i == 2)] = 2
            Image.fromarray(image).save(source / folder / f"{i}.png")
    SPEC.save(source / "yard/label_spec.toml")
    prepare.prepare(
        tiny_data.settings(target, photos="yard:train,meadow:train"), source, progress=False
    )
    return target


def test_report_counts_sources_and_shares(out):
    settings = tiny_data.settings(out, photos="yard:train@3,meadow:train@1", class_balance=0.5)
    described = dataset_report.describe(settings, progress=False)
    drawn = settings.steps * 4
    assert described["photos"] == [
        {"source": "yard:train", "count": 10, "share": 0.75, "passes": drawn * 0.75 / 10},
        {"source": "meadow:train", "count": 5, "share": 0.25, "passes": drawn * 0.25 / 5},
    ]
    assert described["labels"][0]["count"] == 6
    assert described["validation"] == {"source": "yard:validation", "photos": 2, "labels": 3}
    pixels = {entry["name"]: entry["pixels"] * 6 * 128 for entry in described["classes"]}
    assert pixels == pytest.approx(
        {"grass": 6 * 80 - 8, "path": 6 * 32, "pond": 8, "roof": 0, "void": 6 * 16}
    )
    assert [entry["maps"] for entry in described["classes"]] == [6, 6, 1, 0, 6]
    trained = {entry["name"]: entry["trained"] for entry in described["classes"]}
    assert sum(trained.values()) == pytest.approx(1)
    assert trained["pond"] > 2 * 8 / (6 * 128)
    assert json.loads(json.dumps(described)) == described


class ReadsTopAsRoof:
    """An evaluator that reads roof in the upper half of every photo and grass below."""

    name, spec = "evaluator yard", SPEC

    def predict(self, photos):
        read = np.zeros(photos.shape[:3], np.int32)
        read[:, : read.shape[1] // 2] = 3
        return read


def test_what_an_evaluator_reads_in_photos_stands_beside_the_label_maps(out):
    settings = tiny_data.settings(out, photos="yard:train,meadow:train")
    described = dataset_report.describe(settings, progress=False, evaluator=ReadsTopAsRoof())
    assert [entry["predicted"] for entry in described["classes"]] == [0.5, 0, 0, 0.5, 0]
    text = "\n".join(dataset_report.lines(described))
    assert "in photos" in text and "as predicted by evaluator yard" in text
    other = ReadsTopAsRoof()
    other.spec = lookup.get("camvid")
    with pytest.raises(ValueError, match="--evaluator knows the classes of 'camvid'"):
        dataset_report.describe(settings, progress=False, evaluator=other)


def test_sources_without_weights_share_by_their_counts(out):
    settings = tiny_data.settings(out, photos="yard:train,meadow:train")
    described = dataset_report.describe(settings, progress=False)
    assert [source["share"] for source in described["photos"]] == pytest.approx([2 / 3, 1 / 3])
    assert described["photos"][0]["passes"] == pytest.approx(described["photos"][1]["passes"])


def test_words_name_sources_classes_void_and_what_is_absent(out):
    settings = tiny_data.settings(out, photos="yard:train@3,meadow:train@1", class_balance=0.5)
    text = "\n".join(dataset_report.lines(dataset_report.describe(settings, progress=False)))
    for words in (
        "data at 8x16, mirrored at random",
        "10, 75% of those drawn, each seen about 30,000 times",
        "2 photos, 3 label maps",
        "when balanced",
        "in no label map: roof",
    ):
        assert words in text
    rows = {line.split()[0]: line for line in text.splitlines() if "%" in line}
    assert "void, does not count" in rows["void"]
    assert rows["pond"].split()[1:4] == ["1.0", "%", "1"]
    plain = "\n".join(
        dataset_report.lines(dataset_report.describe(tiny_data.settings(out), progress=False))
    )
    assert "when balanced" not in plain


def test_picture_shows_the_first_batches_of_training_and_the_classes_that_occur(out):
    settings = tiny_data.settings(out, batch_size=2)
    picture = dataset_report.picture(settings, dataset_report.describe(settings, progress=False))
    stream = input_pipeline.training(settings)
    batches = [next(stream) for _ in range(4)]
    photos = np.concatenate([batch["photo"] for batch in batches])
    labels = SPEC.colour(np.concatenate([batch["label"] for batch in batches]))
    expected = image_grid.grid(
        [("photo", photos[::2]), ("photo", photos[1::2]),
         ("label map", labels[::2]), ("label map", labels[1::2])]
    )  # fmt: skip
    np.testing.assert_array_equal(picture[: len(expected)], expected)
    legend = {tuple(colour) for colour in picture[len(expected) :].reshape(-1, 3).tolist()}
    assert set(SPEC.palette[:3]) <= legend
    assert SPEC.palette[3] not in legend


@pytest.fixture
def config(out, tmp_path, monkeypatch):
    """A configuration file for the data, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yard.py").write_text(
        "from configs import base\n"
        "def get_config():\n"
        "    config = base.get_config()\n"
        "    config.data.photos = config.data.labels = 'yard:train'\n"
        "    config.data.validation = 'yard:validation'\n"
        "    config.data.height, config.data.width = 8, 16\n"
        f"    config.data.prepared_dir = {str(out)!r}\n"
        "    config.generator.multipliers, config.generator.width = (1, 1, 1), 2\n"
        "    config.segmenter.down = config.segmenter.up = (4,)\n"
        "    return config\n"
    )
    return "--config=yard.py"


def _inspect(*arguments):
    return main.main(["inspect", *arguments])


def test_command_prints_the_report_and_never_overwrites_a_picture(config, tmp_path, capsys):
    assert _inspect(config, "--json=a.json") == 0
    assert "in no label map: roof" in capsys.readouterr().out
    first = (tmp_path / "inspect.png").read_bytes()
    assert _inspect(config, "--json=b.json", "--config.seed=1") == 0
    assert (tmp_path / "inspect.png").read_bytes() == first
    results = [json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab"]
    assert [result["picture"] for result in results] == ["inspect.png", "inspect_2.png"]
    assert results[0]["data"]["labels"][0]["count"] == 6
    for given, words in (
        ("inspect.png", "is there already"),
        ("no/such/p.png", "in a folder that exists"),
        ("p.jpg", "must be a .png file"),
    ):
        assert _inspect(config, f"--picture={given}") == 2
        assert words in capsys.readouterr().err


def test_command_says_what_to_run_where_data_are_not_prepared(config, tmp_path, capsys):
    fields = ("--config.data.labels=camvid:train", f"--config.data.prepared_dir={tmp_path}")
    assert _inspect(config, *fields, "--json=a.json") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].startswith("data set 'camvid' (labels, 8x16) is not prepared")
    assert "run: usis prepare" in shown[-1]
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["data"], result["picture"]) == (None, None)
    assert result["networks"]
