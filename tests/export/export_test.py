"""Exported generators give the same images as ours, in their own runtimes and in NumPy."""

import importlib.util
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import usis_jax
from tests.support import places, tiny_run
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.cli import main
from usis_jax.config import loading
from usis_jax.config import settings as settings_lib
from usis_jax.export import export, model_card, onnx_model, programs, stablehlo
from usis_jax.inference import generator_file, sampling
from usis_jax.methods import train_state
from usis_jax.models import registry
from usis_jax.ops import pixel_range
from usis_jax.serving import examples
from usis_jax.workdir import eval_records, layout

EXAMPLES = places.REPOSITORY / "docs/examples"
FILES = {
    "stablehlo": "g.stablehlo",
    "saved_model": "g_saved",
    "onnx": "g.onnx",
    "safetensors": "g.safetensors",
}
NEEDS = {
    "stablehlo": "flatbuffers",
    "saved_model": "tensorflow",
    "onnx": "onnxruntime",
    "safetensors": "safetensors",
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The checkpoint of an untrained run whose weights and statistics are drawn, so all count."""
    folder = tmp_path_factory.mktemp("run")
    run = tiny_run.settings(
        generator={
            "width": 2,
            "multipliers": (2, 2, 1),
            "z_dim": 4,
            "spade_width": 4,
            "noise": "mixed",
        },
        data={"height": 16, "width": 16, "prepared_dir": "/somewhere"},
    )
    layout.save_settings(folder, run)
    initial = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype), train_state.shapes(run, tiny_run.SPEC.num_classes)
    )
    random = np.random.default_rng(0)
    drawn = {
        name: random.normal(size=value.shape).astype(np.float32)
        if name.startswith("params") or "mean" in name
        else value + random.random(value.shape).astype(np.float32)
        for name, value in flat_trees.flatten(
            {"params": initial.ema_params, **initial.ema_collections}
        ).items()
    }
    nested = flat_trees.nest(drawn)
    initial = initial.replace(ema_params=nested.pop("params"), ema_collections=nested)
    with manager.Checkpoints(folder) as checkpoints:
        checkpoints.save(7, initial, run, tiny_run.SPEC, metrics={"swd": 12.5})
    return folder


@pytest.fixture(scope="module")
def exported(workdir, tmp_path_factory):
    """Every format of it, and the results that the command wrote."""
    folder, results = tmp_path_factory.mktemp("exports"), {}
    for form, name in FILES.items():
        if form == "onnx" and importlib.util.find_spec("onnx") is None:
            continue
        arguments = [f"--workdir={workdir}", f"--format={form}", f"--out={folder / name}"]
        assert main.main(["export", *arguments, f"--json={folder / 'result.json'}"]) == 0
        results[form] = json.loads((folder / "result.json").read_text())
    return folder, results


def module(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_images_of_each_format_are_within_a_ten_thousandth_of_ours(exported):
    _, results = exported
    for form, result in results.items():
        if form != "safetensors" and (form != "onnx" or importlib.util.find_spec("onnxruntime")):
            assert result["largest_difference"] < 1e-4, form
        assert result["step"] == 7 and result["bytes"] > 1000


@pytest.mark.parametrize("form", FILES)
@pytest.mark.slow
def test_example_runs_without_this_package(exported, workdir, form, tmp_path):
    pytest.importorskip(NEEDS[form])
    folder, _ = exported
    label = tiny_run.batch(0, 0, 1)["label"][0]
    Image.fromarray(np.array([255, 10, 20, 30], np.uint8)[label]).save(tmp_path / "map.png")
    photo_file = tmp_path / "photo.png"
    code = (
        "import sys, runpy; sys.modules['usis_jax'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            EXAMPLES / f"generate_{form}.py",
            folder / FILES[form],
            tmp_path / "map.png",
            photo_file,
            "5",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    noise = np.random.default_rng(5).standard_normal((1, 16, 16, 4), np.float32)
    noise[..., :2] = noise[:, :1, :1, :2]
    generator = usis_jax.Generator.load(workdir)
    ours = pixel_range.to_uint8(generator.network.apply(generator.variables, label[None], noise))[0]
    difference = np.asarray(Image.open(photo_file)).astype(int) - np.asarray(ours).astype(int)
    assert np.abs(difference).max() <= 1 and np.asarray(ours).std() > 5


def test_numpy_generator_of_the_docs_gives_our_images(workdir):
    pytest.importorskip("safetensors")
    generator = usis_jax.Generator.load(workdir)
    (label, noise), ours = programs.trial(generator, 16, 24, "noise")
    options = settings_lib.to_dict(generator.settings)["generator"]
    flat = flat_trees.flatten(generator.variables)
    generated = module("generate_safetensors").generate(flat, options, label, noise)
    np.testing.assert_allclose(generated, ours, atol=1e-5)


def test_wavelet_generator_with_one_noise_an_image_is_the_same_in_onnx():
    pytest.importorskip("onnxruntime")
    run = tiny_run.settings(
        generator={
            "name": "wavelet",
            "width": 1,
            "multipliers": (2, 1, 1),
            "z_dim": 3,
            "spade_width": 4,
        }
    )
    network = registry.build(run, 4, axis_name=None).generator
    shapes = jax.eval_shape(
        network.init, jax.random.key(0), np.zeros((1, 16, 16), np.int32), np.zeros((1, 3))
    )
    random = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda x: np.abs(random.normal(size=x.shape)).astype(np.float32), shapes
    )
    generator = sampling.Generator(network, variables, run, tiny_run.SPEC)
    arguments, ours = programs.trial(generator, 32, 16, "noise", maps=3)
    values = programs.inputs(generator, 32, 16, "noise")
    content = onnx_model.model(generator, 32, 16, {}).SerializeToString()
    np.testing.assert_allclose(onnx_model.run(content, values, arguments), ours, atol=1e-4)
    assert ours.std() > 0.05


def test_seed_gives_the_generators_own_images(workdir):
    generator = usis_jax.Generator.load(workdir)
    label = tiny_run.batch(0, 0, 3)["label"]
    content = stablehlo.serialised(generator, 16, 16, "seed")
    generated = stablehlo.run(content, (label, np.int32(4), np.int32(1)))
    ours = generator(label, seed=4, num_samples=2)[1].astype(int)
    assert np.abs(np.asarray(pixel_range.to_uint8(generated)).astype(int) - ours).max() <= 1
    assert set(jax.export.deserialize(bytearray(content)).platforms) == {"cpu", "cuda", "tpu"}


def test_weights_come_back_bit_by_bit_and_in_half_precision_nearly(workdir, tmp_path):
    variables, meta = sampling.read(workdir)
    label = tiny_run.batch(0, 0, 2)["label"]
    for dtype in generator_file.DTYPES:
        generator_file.write(tmp_path / "w.safetensors", variables, meta, dtype)
        back, said = generator_file.read(tmp_path / "w.safetensors")
        for name, value in flat_trees.flatten(variables).items():
            found = flat_trees.flatten(back)[name]
            assert np.abs(found - value).max() <= (0 if dtype == "float32" else 2e-3), name
    assert said["step"] == 7 and '"/somewhere"' not in said["settings"]
    generator = usis_jax.Generator.load(tmp_path / "w.safetensors")
    assert generator.spec == tiny_run.SPEC and generator(label).shape == (1, 2, 16, 16, 3)
    with pytest.raises(ValueError, match=r"w.safetensors holds one generator, that of step 7"):
        usis_jax.Generator.load(tmp_path / "w.safetensors", step=8)


def test_weights_of_another_program_or_shape_are_refused(workdir, tmp_path):
    variables, meta = sampling.read(workdir)
    file = tmp_path / "w.safetensors"
    export.atomic.write_with(file, lambda f: generator_file.safetensors.write(f, {"a": np.ones(3)}))
    with pytest.raises(ValueError, match="was not written by usis export"):
        usis_jax.Generator.load(file)
    del variables["params"]["start"]
    generator_file.write(file, variables, meta)
    with pytest.raises(ValueError, match="2 arrays missing"):
        usis_jax.Generator.load(file)


def test_weights_that_half_precision_cannot_hold_are_named_and_not_written(workdir, tmp_path):
    variables, meta = sampling.read(workdir)
    name = next(iter(flat_trees.flatten(variables["params"])))
    flat = flat_trees.flatten(variables)
    flat[f"params/{name}"] = np.full_like(flat[f"params/{name}"], 1e5)
    with pytest.raises(ValueError, match=rf"cannot hold the values of params/{name} \(up to 1e"):
        generator_file.write(tmp_path / "g.safetensors", flat_trees.nest(flat), meta, "float16")
    assert list(tmp_path.iterdir()) == []
    generator_file.write(tmp_path / "g.safetensors", variables, meta)
    with pytest.raises(ValueError, match=f"does not read back as it was written: params/{name}"):
        generator_file.check_written(tmp_path / "g.safetensors", flat_trees.nest(flat))


def test_scores_of_another_run_are_refused_by_class(workdir, tmp_path):
    found = {
        "step": 7,
        "label_maps": 3,
        "real_photos": {"number": 5},
        "rows": [],
        "classes": [{"name": name} for name in ("void", "road", "sky", "car")],
    }
    (tmp_path / "s.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="of another run: class 1 is 'road' there and 'sky' here"):
        export.export(
            workdir, "safetensors", tmp_path / "g.safetensors", scores=tmp_path / "s.json"
        )


def test_card_has_data_training_scores_and_places_to_fill(exported, workdir, tmp_path):
    folder, _ = exported
    text = (folder / "g.onnx.md").read_text()
    for words in (
        "| label | int32 | [batch, 16, 16] |",
        "| 3 | car | 30 | (200, 0, 0) |",
        "| swd | 12.5 |",
        "Licence of these weights:",
        "7 steps of batch 4",
    ):
        assert words in text
    row = {"id": "fid", "measure": "FID", "value": 61.0, "real": 20.0, "better": "lower"}
    row["protocol"] = "test"
    scores = {"step": 7, "label_maps": 3, "real_photos": {"number": 5}, "rows": [row]}
    (tmp_path / "s.json").write_text(json.dumps(scores))
    export.export(workdir, "safetensors", tmp_path / "g.safetensors", scores=tmp_path / "s.json")
    text = (tmp_path / "g.safetensors.md").read_text()
    assert "on 3 label maps and 5 real images" in text and "| FID " in text
    kept = {
        "command": "evaluate",
        "time": "",
        "step": 7,
        "label_maps": 4,
        "real_photos": {"number": 9},
    }
    for more in ({"command": "train"}, {"step": 6}, {"real_photos": 3}, {}):
        rows = [row | {"value": 59.5, "protocol": str(more)}]
        eval_records.write(workdir, kept | more | {"rows": rows})
    export.export(workdir, "safetensors", tmp_path / "k.safetensors")
    text = (tmp_path / "k.safetensors.md").read_text()
    assert "on 4 label maps and 9 real images" in text and "59.5" in text
    (tmp_path / "s.json").write_text(json.dumps(scores | {"step": 6}))
    with pytest.raises(ValueError, match="of step 6"):
        export.export(
            workdir, "safetensors", tmp_path / "h.safetensors", scores=tmp_path / "s.json"
        )
    assert not (tmp_path / "h.safetensors").exists()


def test_card_names_the_preset_and_what_differs():
    preset = settings_lib.load(loading.load_config("quickstart"))
    run = settings_lib.load(settings_lib.to_dict(preset) | {"steps": 9, "log_interval": 3})
    assert model_card.training_command(run) == (
        "usis train --config=configs/quickstart.py --workdir=DIR --config.steps=9"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format=onnx", "--out=no/g.onnx"], "its folder does not exist"),
        (["--format=onnx", "--out=g.onnx", "--input=seed"], "is of stablehlo and saved_model"),
        (["--format=onnx", "--out=g.onnx", "--height=15"], "multiple of the generator's stride 2"),
        (["--format=onnx", "--out=g.onnx", "--dtype=float16"], "only --format=safetensors"),
        (["--format=safetensors", "--out=g.bin"], "must end with .safetensors"),
        (
            ["--format=safetensors", "--out=g.safetensors", "--width=32"],
            "weights generate images of every size",
        ),
        (["--format=saved_model", "--out=."], "which is there and no SavedModel"),
        (["--format=stablehlo", "--out=g", "--step=3"], "3"),
    ],
)
def test_bad_use_is_one_line_and_writes_nothing(
    workdir, tmp_path, monkeypatch, capsys, options, words
):
    monkeypatch.chdir(tmp_path)
    assert main.main(["export", f"--workdir={workdir}", *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_missing_package_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'usis_jax\[export\]'"):
        programs.need("onnx", "--format=onnx")


def test_packaged_generator_draws_scenes_without_training(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))
    assert usis_jax.inference.generator_file.pretrained.FILE.stat().st_size < 5e6
    assert main.main(["sample", f"--out={tmp_path / 'out'}", "--num_samples=1"]) == 0
    labels = sorted((tmp_path / "out/labels").iterdir())
    images = [np.asarray(Image.open(tmp_path / f"out/{path.stem}_0.png")) for path in labels]
    assert len(images) == 6 and all(image.shape == (64, 128, 3) for image in images)
    generator = usis_jax.Generator.load()
    maps = [generator.read(path) for path in labels]
    np.testing.assert_array_equal(
        np.sort(maps, axis=0),
        np.sort([label for _, label in examples.label_maps(generator)], axis=0),
    )
    # Trained: the sky is brighter than the road in every image that has both.
    both = [(p, m) for p, m in zip(images, maps, strict=True) if {0, 2} <= set(np.unique(m))]
    assert both and all(p[m == 0].mean() > p[m == 2].mean() + 10 for p, m in both)


def test_programs_too_new_for_tensorflow_are_said(workdir, tmp_path, capsys, monkeypatch):
    tf = pytest.importorskip("tensorflow")

    def load(folder):
        raise tf.errors.InvalidArgumentError(None, None, "Cannot deserialize computation: ...")

    monkeypatch.setattr(tf.saved_model, "load", load)
    arguments = ["--format=saved_model", f"--out={tmp_path / 'g'}"]
    assert main.main(["export", f"--workdir={workdir}", *arguments]) != 0
    assert f"TensorFlow {tf.__version__} cannot read programs of JAX" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
