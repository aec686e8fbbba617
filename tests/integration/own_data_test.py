"""A user's own folders, from files of different kinds to a trained run, by the command line."""

import json
import shlex
import types

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from tests.support import own_files
from usis_jax.cli import main
from usis_jax.config import loading, settings
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.specs import label_spec
from usis_jax.distributed import mesh
from usis_jax.inference import sampling
from usis_jax.train import periodic_eval

TINY = """
from configs import base

def get_config():
    config = base.get_config()
    config.steps = 2
    config.batch_size = 4
    config.update = "joint"
    config.log_interval = 1
    config.sample_interval = 2
    config.eval_interval = 2
    config.r1_interval = 0
    config.generator.width = 2
    config.generator.multipliers = (2, 2, 1)
    config.generator.z_dim = 4
    config.generator.spade_width = 4
    config.segmenter.down = (4,)
    config.segmenter.up = (4,)
    config.discriminator.channel_base = 64
    config.discriminator.channel_max = 8
    config.discriminator.dense = 8
    config.discriminator.stddev_group = 2
    config.decoder.name = "none"
    return config
"""
COLOURS = ((30, 60, 200), (200, 60, 30))
KINDS = {
    "palette": lambda ids: own_files.palette_image(ids, COLOURS),
    "colour": lambda ids: np.array(COLOURS, np.uint8)[ids],
    "mask": lambda ids: ids * np.uint8(255),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with a tiny configuration, and a place for prepared data in it."""
    (tmp_path / "tiny.py").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Lets the runs of this module share what XLA compiles, which is the same for all."""
    values = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("xla")),
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    before = {name: getattr(jax.config, name) for name in values}
    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def _run(*words):
    assert main.main([*words, "--json=result.json"]) == 0
    with open("result.json", encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_files_of_this_kind_are_drafted_prepared_and_trained_on(here, kind):
    """No photo has the name of a label map: nothing here is a pair."""
    to_file = KINDS[kind]
    own_files.folder(here, 8, to_file=lambda ids: to_file((ids > 1).astype(np.uint8)))
    assert _run("inspect", ".")["spec"]["classes"]
    prepared = _run("prepare", "--photos=photos", "--labels=labels", "--config=tiny.py",
                    "--height=16", "--width=16")  # fmt: skip
    assert prepared["pairs"] == 0
    assert prepared["counts"]["labels"] == {"train": 6, "validation": 2}
    trained = _run(*shlex.split(prepared["next"])[1:])
    assert (trained["step"], trained["interrupted"]) == (2, None)
    assert np.isfinite(trained["swd"])
    assert (here / "runs/own/samples/step_000002.png").is_file()
    if kind == "colour":
        generated = _run("sample", "--workdir=runs/own", "--labels=labels", "--out=out")
        assert generated["photos"] == 32
        assert Image.open(here / "out/map_0_0.png").size == (16, 16)


class Grey:
    """Stands in for sampling.ShardedSampler."""

    def __init__(self, *_):
        """Any generator."""

    def place(self, variables):
        return variables

    def __call__(self, variables, labels, seed=0, samples=(0,), advance=None):
        return np.zeros((len(samples), *labels.shape, 3), np.uint8)


def test_photos_and_label_maps_without_common_names_are_shown_as_unrelated(here, monkeypatch):
    maps = {f"map_{i}": own_files.label(i, size=(16, 16)) for i in range(30)}
    for i in range(9):
        own_files.save(own_files.photo(i), here / f"p/photo_{i}.png")
    for name, ids in maps.items():
        own_files.save(ids, here / f"l/{name}.png")
    _run("prepare", "--photos=p", "--labels=l", "--spec=camvid", "--config=tiny.py",
         "--height=16", "--width=16")  # fmt: skip
    config = loading.load_config("tiny.py")
    config.data.update(
        photos="own:train", labels="own:train", validation="own:validation", height=16, width=16
    )
    run = settings.load(config)
    examples = input_pipeline.validation(run)
    assert (len(examples.photos), len(examples.labels), examples.paired) == (2, 2, False)
    for name, ids in zip(examples.names, examples.labels, strict=True):
        np.testing.assert_array_equal(ids, maps[name])

    shown = []
    monkeypatch.setattr(periodic_eval.image_grid, "grid", shown.extend)
    monkeypatch.setattr(sampling, "ShardedSampler", Grey)
    looks = periodic_eval.Validation(run, input_pipeline.spec(run), mesh.Runner())
    state = types.SimpleNamespace(
        params={"generator": {}}, collections={"generator": {}}, ema_params={}
    )
    looks.grid(state, {})
    assert shown[-1][0] == "real, another place"


def test_ids_of_16_bits_are_drafted_and_prepared(here):
    own_files.folder(here, 3, to_file=lambda ids: ids.astype(np.uint16) * 20_000)
    _run("inspect", ".")
    result = _run("prepare", "--photos=photos", "--labels=labels", "--config=tiny.py",
                  "--height=16", "--width=16")  # fmt: skip
    spec = label_spec.LabelSpec.load(f"{result['datasets'][1]['path']}/label_spec.json")
    assert dict(spec.file_ids) == {0: 0, 20_000: 1, 40_000: 2, 60_000: 3}


def test_default_configuration_and_name_are_printed_in_the_next_command(here, capsys):
    own_files.folder(here, 3)
    label_spec.LabelSpec("x", tuple("abcd")).save(here / "label_spec.toml")
    arguments = ["prepare", "--photos=photos", "--labels=labels", "--config.steps=7"]
    result = _run(*arguments, "--height=64", "--width=128", "--name=my_data")
    command = "usis train --config=configs/folder.py --workdir=runs/my_data "
    command += "--config.data.photos=my_data:train --config.data.labels=my_data:train "
    command += "--config.data.validation=my_data:validation --config.data.height=64 "
    command += "--config.data.width=128 --config.steps=7"
    assert result["next"] == command
    out = capsys.readouterr().out
    assert f"next: {command}" in out
    assert "held out of training, for sample grids and measuring: 1 photos and 1 label maps" in out
    assert "no photo has the name of a label map: training needs no pairs" in out


def test_pairs_by_name_are_counted(here):
    for i in range(20):
        own_files.save(own_files.photo(i), here / f"p/{i}.jpg")
        own_files.save(own_files.label(i), here / f"l/{i}.png")
    result = _run("prepare", "--photos=p", "--labels=l", "--spec=camvid", "--config=tiny.py",
                  "--height=16", "--width=16")  # fmt: skip
    assert (result["pairs"], result["counts"]["photos"]) == (4, {"train": 16, "validation": 4})


def test_bad_files_are_left_out_when_asked(here, capsys):
    own_files.folder(here, 6)
    (here / "photos/photo_2.jpg").write_bytes(b"")
    arguments = ["prepare", "--photos=photos", "--labels=labels", "--spec=camvid", "--height=64",
                 "--width=64"]  # fmt: skip
    assert main.main(arguments) == 2
    assert "photo_2.jpg: photo does not decode (it is empty); --skip_bad" in capsys.readouterr().err
    result = _run(*arguments, "--skip_bad")
    assert [len(entry["skipped"]) for entry in result["datasets"]].count(1) == 1
    assert "1 bad file left out" in capsys.readouterr().out
