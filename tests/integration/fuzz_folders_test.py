"""Damaged prepared data, evaluators, checkpoints and imported networks; see damages.py."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import damages, own_files, published_files, tiny_data, tiny_run
from tests.support.damages import Kind
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.cli import main
from usis_jax.data.datasets import base
from usis_jax.data.pipeline import record_source
from usis_jax.data.preparation import locations, prepare, prepared_sets
from usis_jax.data.specs import label_spec
from usis_jax.evaluation.evaluators import segmentation_evaluator
from usis_jax.export import torch_import
from usis_jax.interop import recognise, torch
from usis_jax.methods import train_state

SPEC = label_spec.LabelSpec("four", tuple("abcd"), file_ids=((0, 0), (1, 1), (2, 2), (3, 3)))


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    """A prepared data set of five training maps."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for split, count in (("train", 5), ("val", 2)):
        for number in range(count):
            own_files.save(own_files.photo(number), source / f"photos/{split}/{number}.png")
            own_files.save(own_files.label(number), source / f"labels/{split}/{number}.png")
    SPEC.save(source / "label_spec.toml")
    settings = tiny_data.settings(target)
    prepare.prepare(settings, source, progress=False)
    return locations.location(settings, "yard", "labels")


def _read_prepared(path):
    """Everything that training reads of a prepared data set."""
    records = record_source.open_split(path, "train")
    images = record_source.Encoded(records, "label")
    return {
        "images": [images[number] for number in range(len(images))],
        "names": [records[number]["name"] for number in range(len(records))],
        "spec": label_spec.LabelSpec.load(path / base.SPEC_FILE),
        "splits": prepared_sets.splits(path),
    }


# ArrayRecord has checksums. The files of JSON beside it have none.
def test_damaged_prepared_data_are_an_error_or_read_right(yard, tmp_path):
    damages.fuzz("prepared data", Kind(None, _read_prepared), tmp_path, source=yard)


def test_damaged_records_are_never_other_images(yard, tmp_path):
    kind = Kind(None, _read_prepared, True)
    damages.fuzz("records", kind, tmp_path, source=yard, only="*train.array_record*")


def _evaluator(folder):
    """An evaluator with drawn weights."""
    network = segmentation_evaluator.EvaluatorNetwork(SPEC.num_classes, (4, 6), None)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
    info = {"height": 16, "width": 16, "widths": [4, 6], "scores": {"miou": 0.5}}
    segmentation_evaluator.Evaluator(jax.tree.map(np.asarray, variables), SPEC, info).save(
        folder / "evaluator"
    )
    return folder / "evaluator"


def _read_evaluator(path):
    found = segmentation_evaluator.Evaluator.load(path)
    return {
        "weights": flat_trees.flatten(found.variables),
        "spec": found.spec,
        "sizes": found.height,
    }


def test_damaged_evaluator_is_an_error_or_read_right(tmp_path):
    damages.fuzz("evaluator", Kind(_evaluator, _read_evaluator), tmp_path)


def _saved(folder):
    """The checkpoint of a run that has taken no step."""
    settings = tiny_run.settings()
    shapes = train_state.shapes(settings, tiny_run.SPEC.num_classes)
    random = np.random.default_rng(0)
    made = jax.tree.map(lambda leaf: random.standard_normal(leaf.shape).astype(leaf.dtype), shapes)
    with manager.Checkpoints(folder / "run") as checkpoints:
        checkpoints.save(3, made.replace(step=np.int32(3)), settings, tiny_run.SPEC)
        checkpoints.wait()
    return folder / "run"


def _read_checkpoint(path):
    with manager.Checkpoints(path, read_only=True) as checkpoints:
        variables, meta = checkpoints.restore_generator()
        return {
            "generator": flat_trees.flatten(variables),
            "state": {k: np.asarray(v) for k, v in checkpoints.restore_arrays().items()},
            "meta": meta,
        }


def test_damaged_checkpoint_is_an_error_or_read_right(tmp_path):
    damages.fuzz("checkpoint", Kind(_saved, _read_checkpoint, True), tmp_path)


def _change(arrays, random):
    """A state dict with one tensor gone, renamed, reshaped, of another type, or not finite."""
    names = [name for name in arrays if not name.endswith("num_batches_tracked")]  # not used
    name = names[random.integers(len(names))]
    value = arrays.pop(name)
    kind = random.integers(9)
    if kind == 1:
        arrays[name + "x"] = value
    elif kind == 2:
        arrays[name] = value[..., None]
    elif kind == 3:
        arrays[name] = value.ravel()[:-1]
    elif kind == 4:
        arrays[name] = value.astype(np.float16)  # read, less exactly
    elif kind == 5:
        arrays[name] = np.full_like(value, np.nan) if value.dtype.kind == "f" else value[None]
    elif kind == 6:
        arrays[name] = np.zeros((0,), np.float32)
    elif kind == 7:
        arrays[name] = "text"
    elif kind == 8:
        arrays[name] = {"more": value}
    return arrays


def test_networks_with_a_wrong_tensor_are_refused(tmp_path):
    whole = published_files.generator(1, 4 + SPEC.num_classes)
    path, refused = tmp_path / "a.pth", 0
    for number in range(2 * damages.NUMBER):
        random = np.random.default_rng([damages.SEED, number])
        arrays = _change(dict(whole), random)
        same = arrays.keys() == whole.keys() and all(
            isinstance(v, np.ndarray) and v.shape == whole[k].shape and np.isfinite(v).all()
            for k, v in arrays.items())  # fmt: skip
        try:
            found = recognise.choose(arrays, "spade_generator", path)
            width, channels = torch_import._sizes(found, "spade_generator", path)
            torch_import._check_finite(found, path)
            torch.load(
                "spade_generator",
                found,
                semantic_nc=SPEC.num_classes,
                channels_G=width,
                z_dim=channels - SPEC.num_classes,
            )
            assert same, (damages.SEED, number)
        except ValueError as error:
            assert main.is_bad_input(error), (damages.SEED, number, repr(error))
            refused += 1
    assert refused


def test_command_line_ends_damaged_files_with_one_line(tmp_path, monkeypatch, capsys):
    """Whole commands, in this process: no traceback, exit code 2, one line."""
    monkeypatch.chdir(tmp_path)
    own_files.folder(tmp_path)
    whole = (tmp_path / "labels/map_0.png").read_bytes()
    published_files.save(published_files.generator(1, 12), tmp_path / "a.pth")
    weights = pathlib.Path("a.pth").read_bytes()
    SPEC.save(tmp_path / "spec.json")
    spec = pathlib.Path("spec.json").read_text()
    for number, damage in itertools.product(range(3), (damages._cut, damages._flip)):
        random = np.random.default_rng([damages.SEED, number])
        pathlib.Path("labels/map_0.png").write_bytes(damage(whole, random, b""))
        pathlib.Path("b.pth").write_bytes(damage(weights, random, b""))
        pathlib.Path("bad.json").write_text(json.dumps(json.loads(spec) | {"classes": number}))
        for words in (
            ["prepare", "--photos=photos", "--labels=labels", "--spec=spec.json",
             "--config=configs/small.py", "--height=64", "--width=64"],
            ["prepare", "--photos=photos", "--labels=labels", "--spec=bad.json"],
            ["import-torch", "--arch=usis", "--num_classes=4", "--out=out", "b.pth"],
        ):  # fmt: skip
            assert main.main(words) == 2, (damages.SEED, number, damage.__name__, words)
            said = capsys.readouterr().err.rpartition("usis: ")[2]
            assert said.count("\n") == 1 and "Traceback" not in said
