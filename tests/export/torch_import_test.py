"""usis import-torch: work directories of published checkpoints, and the errors of other files."""

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import usis_jax
from tests.support import places, published_files
from usis_jax.checkpoint import manager, metadata
from usis_jax.cli import main
from usis_jax.cli.commands import export_torch, import_torch
from usis_jax.data.specs import builtin_specs
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.export import torch_export, torch_import
from usis_jax.inference import sampling
from usis_jax.interop import files, torch
from usis_jax.workdir import layout

ARRAYS = published_files.generator(1, 64 + 35)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "best_EMA.pth"
    published_files.save(ARRAYS, path)
    return path


def run(*words):
    return main.main(["import-torch", *map(str, words)])


def failure(capsys, *words):
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("usis: ") and error.count("\n") == 1
    return error


def generate(workdir, height, width, num_classes):
    random = np.random.default_rng(0)
    label = random.integers(0, num_classes, (1, height // 16, width // 16))
    return usis_jax.Generator.load(workdir)(label.repeat(16, 1).repeat(16, 2))


def test_imported_generator_gives_the_images_of_the_module(tmp_path, saved):
    out = tmp_path / "run"
    assert (
        run(
            "--arch=usis",
            "--dataset=cityscapes",
            "--height=64",
            "--width=64",
            f"--out={out}",
            saved,
        )
        == 0
    )
    generator = usis_jax.Generator.load(out)
    module, variables = torch.load("spade_generator", ARRAYS, semantic_nc=35, channels_G=1)
    label = np.random.default_rng(1).integers(0, 35, (1, 64, 64))
    image, other = generator(label, num_samples=2)
    noise = sampling.map_noise(
        generator.settings.generator, jax.random.fold_in(jax.random.key(0), 0), label.shape
    )
    expected = jax.jit(functools.partial(module.apply, train=False))(variables, label, noise)
    assert np.abs(image - (np.asarray(expected) + 1) * 127.5).max() < 0.51
    assert image.std() > 0 and not np.array_equal(image, other)


@pytest.mark.parametrize(
    ("dataset", "size", "num_classes"),
    [("cityscapes", (256, 512), 35), ("ade20k", (256, 256), 151), ("coco_stuff", (256, 256), 183)],
)
def test_data_set_decides_classes_and_size(tmp_path, dataset, size, num_classes):
    published_files.save(published_files.generator(1, 64 + num_classes), tmp_path / "a.pth")
    out = tmp_path / "run"
    assert (
        run(
            "--arch=oasis",
            f"--dataset={dataset}",
            f"--out={out}",
            tmp_path / "a.pth",
            f"--json={tmp_path / 'a.json'}",
        )
        == 0
    )
    settings = layout.load_settings(out)
    assert (settings.data.height, settings.data.width) == size
    assert settings.data.labels == f"{dataset}:train"
    generator = settings.generator
    assert (generator.name, generator.width, generator.z_dim, generator.noise) == (
        "spade",
        1,
        64,
        "image",
    )
    with manager.Checkpoints(out, read_only=True) as checkpoints:
        meta = checkpoints.meta()
    assert metadata.restore_spec(meta) == builtin_specs.SPECS[dataset]
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["num_classes"] == num_classes and result["z_dim"] == 64
    assert meta["imported"] == {key: result[key] for key in ("arch", "file", "sha256")}


def test_coco_stuff_has_the_order_of_classes_that_published_networks_have():
    """The published code adds 1 to a file's ids, and 255 becomes 0."""
    spec = builtin_specs.SPECS["coco_stuff"]
    ids = np.array([[0, 91, 181, 255]])
    np.testing.assert_array_equal(spec.to_train_ids(ids, "a.png"), [[1, 92, 182, 0]])
    assert spec.void == 0


def test_wavelet_generator_is_imported(tmp_path):
    published_files.save(published_files.generator(1, 12, wavelet=True), tmp_path / "a.pth")
    out = tmp_path / "run"
    assert (
        run(
            "--arch=usis-wavelet",
            "--num_classes=4",
            "--height=64",
            "--width=64",
            f"--out={out}",
            tmp_path / "a.pth",
        )
        == 0
    )
    settings = layout.load_settings(out)
    assert (settings.generator.name, settings.generator.width, settings.generator.z_dim) == (
        "wavelet",
        1,
        8,
    )
    assert generate(out, 64, 64, 4).shape == (1, 1, 64, 64, 3)


def test_classes_of_a_label_spec_travel_with_the_generator(tmp_path, saved):
    spec = LabelSpec("streets", tuple(f"thing {i}" for i in range(35)), void=3)
    spec.save(tmp_path / "spec.toml")
    out = tmp_path / "run"
    assert (
        run(
            "--arch=usis",
            f"--spec={tmp_path / 'spec.toml'}",
            "--height=64",
            "--width=64",
            f"--out={out}",
            saved,
        )
        == 0
    )
    assert usis_jax.Generator.load(out).spec == spec


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_moving_average_is_taken_from_a_file_of_several_networks(tmp_path, suffix):
    other = published_files.generator(1, 12, seed=1)
    average = published_files.generator(1, 12)
    content = {f"module.netG.{key}": value for key, value in other.items()}
    content |= {f"module.netEMA.{key}": value for key, value in average.items()}
    if suffix == ".pth":
        published_files.save({"model": content, "epoch": 9}, tmp_path / f"a{suffix}", legacy=True)
    else:
        files.write(tmp_path / f"a{suffix}", content)
    out = tmp_path / "run"
    assert (
        run(
            "--arch=usis",
            "--num_classes=4",
            "--height=64",
            "--width=64",
            f"--out={out}",
            tmp_path / f"a{suffix}",
        )
        == 0
    )
    bias = usis_jax.Generator.load(out).variables["params"]["to_rgb"]["bias"]
    np.testing.assert_array_equal(bias, average["conv_img.bias"])


@pytest.mark.slow
def test_command_line_samples_from_a_whole_published_checkpoint(tmp_path):
    """Real keys and shapes for Cityscapes at width 64; 17 s of computing on two cores.

    The networks are too wide to be faster: one image takes 550 GFLOP. In processes of their own,
    so that the code is optimised, which conftest.py does without.
    """
    published_files.save(published_files.generator(64, 64 + 35), tmp_path / "best_EMA.pth")
    labels = np.random.default_rng(0).integers(0, 34, (8, 16), np.uint8)
    (tmp_path / "labels").mkdir()
    Image.fromarray(labels.repeat(32, 0).repeat(32, 1)).save(tmp_path / "labels" / "a.png")
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    for words in (
        [
            "import-torch",
            "--arch=usis",
            "--dataset=cityscapes",
            "--out=run",
            "best_EMA.pth",
            "--json=import.json",
        ],
        ["sample", "--workdir=run", "--labels=labels", "--out=generated", "--num_samples=1"],
    ):
        subprocess.run(
            [sys.executable, "-m", "usis_jax", *words],
            cwd=tmp_path,
            check=True,
            env=environment | {"PYTHONPATH": str(places.REPOSITORY)},
        )
    result = json.loads((tmp_path / "import.json").read_text())
    assert result["parameters"] == 71_107_523
    assert (result["channels_G"], result["num_classes"], result["z_dim"]) == (64, 35, 64)
    with Image.open(tmp_path / "generated" / "a_0.png") as image:
        assert image.size == (512, 256) and np.asarray(image).std() > 0


def test_command_offers_what_importing_knows():
    assert tuple(torch_import.ARCHITECTURES) == import_torch._ARCHITECTURES
    assert import_torch._DATASETS == torch_import.DATASETS
    assert export_torch._NETWORKS == torch_export.NETWORKS


def test_missing_classes_are_asked_for_with_what_is_known(tmp_path, saved, capsys):
    error = failure(capsys, "--arch=usis", f"--out={tmp_path / 'run'}", saved)
    assert "takes 99 channels" in error and "--num_classes=K (35 with" in error


def test_missing_size_is_asked_for(tmp_path, saved, capsys):
    words = ("--arch=usis", "--num_classes=35", f"--out={tmp_path / 'run'}", saved)
    assert "--height and --width are missing" in failure(capsys, *words)
    assert "given together" in failure(capsys, "--height=64", *words)


def test_size_must_fit_the_strides(tmp_path, saved, capsys):
    error = failure(
        capsys,
        "--arch=usis",
        "--num_classes=35",
        "--height=100",
        "--width=64",
        f"--out={tmp_path / 'run'}",
        saved,
    )
    assert "data.height is 100" in error and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset=ade20k"], "64 and the 35 of cityscapes, not the 151 of ade20k"),
        (["--num_classes=99", "--height=64", "--width=64"], "trained without noise"),
        (["--num_classes=120", "--height=64", "--width=64"], "fewer than 120 classes"),
    ],
)
def test_channels_that_the_classes_do_not_explain_are_refused(tmp_path, saved, capsys, words, said):
    assert said in failure(capsys, "--arch=usis", *words, f"--out={tmp_path / 'run'}", saved)


def test_other_network_is_named_and_nothing_is_written(tmp_path, saved, capsys):
    error = failure(
        capsys, "--arch=usis-wavelet", "--dataset=cityscapes", f"--out={tmp_path / 'run'}", saved
    )
    assert "expected a wavelet generator" in error and "found a SPADE generator" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"body.2.conv_1.weight_orig": None}, "keys missing: body.2.conv_1.weight_orig"),
        ({"body.2.extra": np.zeros(2, np.float32)}, "keys left over: body.2.extra"),
        ({"conv_img.bias": np.zeros(4, np.float32)}, "of another shape: conv_img.bias"),
        ({"conv_img.bias": np.float32([0, np.nan, 1])}, "conv_img.bias holds numbers that are not"),
        ({"fc.weight": None}, "fc.weight is ()"),
        ({"fc.weight": np.zeros((17, 99, 3, 3), np.float32)}, "fc.weight is (17, 99, 3, 3)"),
        ({"body.6.conv_0.bias": np.zeros(1, np.float32)}, "has 7 blocks"),
    ],
)
def test_generator_that_is_not_whole_is_refused(tmp_path, capsys, change, said):
    arrays = {key: value for key, value in (ARRAYS | change).items() if value is not None}
    published_files.save(arrays, tmp_path / "a.pth")
    error = failure(
        capsys,
        "--arch=usis",
        "--dataset=cityscapes",
        f"--out={tmp_path / 'run'}",
        tmp_path / "a.pth",
    )
    assert said in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_folder_that_is_not_empty_stays_as_it_is(tmp_path, saved, capsys):
    (tmp_path / "note").write_text("mine")
    error = failure(capsys, "--arch=usis", "--dataset=cityscapes", f"--out={tmp_path}", saved)
    assert "is not empty" in error
    assert "is a file" in failure(
        capsys, "--arch=usis", "--dataset=cityscapes", f"--out={tmp_path / 'note'}", saved
    )
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_empty_folder_is_used_and_missing_file_is_named(tmp_path, saved, capsys):
    out = tmp_path / "run"
    out.mkdir()
    words = ("--arch=usis", "--dataset=cityscapes", f"--out={out}")
    assert "nowhere.pth" in failure(capsys, *words, tmp_path / "nowhere.pth")
    assert run(*words, saved) == 0
    assert sorted(path.name for path in out.iterdir()) == ["checkpoints", "config.json"]
