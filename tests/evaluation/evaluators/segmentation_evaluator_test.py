"""The evaluator: what it reads, its folder, its training, and usis train-evaluator."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.support import hosts, paired_data
from usis_jax.checkpoint import flat_trees
from usis_jax.cli import main
from usis_jax.data.pipeline import pairs
from usis_jax.evaluation.evaluators import segmentation_evaluator, train_evaluator
from usis_jax.evaluation.evaluators.segmentation_evaluator import Evaluator
from usis_jax.interop import files

SHORT = train_evaluator.Training(steps=60, batch_size=8, widths=(8, 12, 16))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return paired_data.make(tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def trained(out, tmp_path_factory):
    """(folder, result) of an evaluator of sixty steps."""
    folder = tmp_path_factory.mktemp("evaluators") / "new" / "yard"
    result = train_evaluator.train_evaluator(
        paired_data.settings(out), folder, training=SHORT, progress=False
    )
    return folder, result


@pytest.fixture
def evaluator(trained):
    return Evaluator.load(trained[0])


def _photos(count, start=300):
    return np.stack([paired_data.photo(start + i) for i in range(count)])


def _labels(count, start=300):
    return np.stack([paired_data.label(start + i) for i in range(count)])


def test_trained_evaluator_reads_photos_it_has_never_seen(trained, evaluator):
    read, label = evaluator.predict(_photos(20)), _labels(20)
    assert read.shape == (20, *paired_data.SIZE) and read.dtype == np.int32
    assert (read == label)[label != 3].mean() > 0.9
    assert trained[1]["accuracy"] > 0.9 and trained[1]["miou"] > 0.8


def test_score_is_that_of_a_loop_over_the_measured_pairs(trained, evaluator, out):
    right, counted, unions, both = 0, 0, np.zeros(3), np.zeros(3)
    for pair in pairs.Pairs(paired_data.settings(out), "yard:validation"):
        (read,) = evaluator.predict(pair["photo"][None])
        for (row, column), true in np.ndenumerate(pair["label"]):
            if true == 3:
                continue
            found = read[row, column]
            counted, right = counted + 1, right + (found == true)
            both[true] += found == true
            unions[true] += 1
            unions[found] += found != true
    result = trained[1]
    assert result["accuracy"] == pytest.approx(right / counted)
    assert result["miou"] == pytest.approx((both / unions).mean())
    assert result["iou"] == pytest.approx(
        dict(zip(("left", "right", "sky"), both / unions, strict=True))
    )
    assert evaluator.scores == {key: result[key] for key in ("miou", "accuracy", "iou")}


def test_folder_holds_weights_label_spec_settings_scores_and_picture(trained, evaluator):
    folder, result = trained
    assert sorted(path.name for path in folder.iterdir()) == [
        "evaluator.json",
        "evaluator.png",
        "evaluator.safetensors",
        "label_spec.json",
    ]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    info = json.loads((folder / "evaluator.json").read_text())
    assert info["training"] == {
        "steps": 60,
        "batch_size": 8,
        "seed": 0,
        "rate": 3e-3,
        "weight_decay": 1e-2,
        "widths": [8, 12, 16],
    }
    assert (info["pairs"], info["num_pairs"]) == ("yard:train", 20)
    assert (info["measure"], info["num_measured"]) == ("yard:validation", 10)
    assert evaluator.spec == paired_data.SPEC
    assert evaluator.name == result["name"] == f"evaluator yard 16x32 {info['sha256'][:8]}"
    with Image.open(folder / "evaluator.png") as picture:
        assert picture.width > 3 * 128


@pytest.mark.slow
def test_same_seed_gives_the_same_evaluator_and_another_seed_another(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    made = []
    for seed in (1, 1, 2):
        training = train_evaluator.Training(steps=3, batch_size=2, seed=seed, widths=(4, 4))
        variables, _ = train_evaluator.fit(own, paired_data.SIZE, True, training, progress=False)
        info = {"height": 16, "width": 32, "widths": [4, 4], "scores": {}}
        made.append(Evaluator(variables, own.spec, info).sha256)
    assert made[0] == made[1] != made[2]


def test_reading_does_not_depend_on_what_else_is_in_the_batch(evaluator):
    photos = _photos(segmentation_evaluator.BATCH + 3)
    for method in (evaluator.predict, evaluator.features):
        whole = method(photos)
        assert len(whole) == len(photos)
        np.testing.assert_allclose(whole[-2:], method(photos[-2:]), rtol=1e-5, atol=1e-6)


def test_floats_are_read_as_the_bytes_they_stand_for(evaluator):
    photos = _photos(3)
    np.testing.assert_array_equal(
        evaluator.predict(photos.astype(np.float32) / 127.5 - 1), evaluator.predict(photos)
    )


def test_features_are_the_mean_of_the_deepest_layer(evaluator):
    photos = _photos(2)
    levels = evaluator.network.apply(
        evaluator.variables, photos.astype(np.float32) / 127.5 - 1, method="levels"
    )
    assert [level.shape for level in levels] == [(2, 8, 16, 8), (2, 4, 8, 12), (2, 2, 4, 16)]
    features = evaluator.features(photos)
    assert features.dtype == np.float32
    np.testing.assert_allclose(
        features, np.asarray(levels[-1], np.float64).mean((1, 2)), rtol=1e-5, atol=1e-6
    )


def test_features_of_blurred_photos_lie_farther_than_those_of_other_real_ones(evaluator):
    real, other = evaluator.features(_photos(16)), evaluator.features(_photos(16, 500))
    flat = np.broadcast_to(_photos(16).mean((1, 2), keepdims=True), (16, 16, 32, 3))
    far = evaluator.features(flat.astype(np.uint8))
    assert np.linalg.norm(real.mean(0) - far.mean(0)) > 3 * np.linalg.norm(
        real.mean(0) - other.mean(0)
    )


def test_void_is_never_read_and_does_not_train(evaluator):
    assert (evaluator.predict(np.zeros((2, 16, 32, 3), np.uint8)) != 3).all()
    random = np.random.default_rng(0)
    logits = random.standard_normal((2, 4, 4, 4)).astype(np.float32)
    label = random.integers(0, 4, (2, 4, 4))
    label[0] = 3
    changed = logits.copy()
    changed[label == 3] += random.standard_normal(((label == 3).sum(), 4)) * 5
    loss = train_evaluator.loss_of(jnp.array(logits), jnp.array(label), 3)
    assert loss == train_evaluator.loss_of(jnp.array(changed), jnp.array(label), 3)
    assert loss != train_evaluator.loss_of(jnp.array(changed), jnp.array(label), None)


@pytest.mark.parametrize("void", [None, 2])
def test_loss_is_that_of_a_loop(void):
    random = np.random.default_rng(1)
    logits = random.standard_normal((2, 3, 5, 4))
    label = random.integers(0, 3, (2, 3, 5))
    total = weights = 0.0
    for place in itertools.product(range(2), range(3), range(5)):
        if label[place] == void:
            continue
        weight = 1 / np.sqrt((label == label[place]).sum())
        exp = np.exp(logits[place])
        total -= weight * np.log(exp[label[place]] / exp.sum())
        weights += weight
    loss = train_evaluator.loss_of(jnp.array(logits, jnp.float32), jnp.array(label), void)
    assert float(loss) == pytest.approx(total / weights, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (16, 32, 3), (1, 16, 32, 1), (0, 16, 32, 3)])
def test_photos_of_another_shape_are_an_error(evaluator, shape):
    with pytest.raises(ValueError, match=r"trained and measured at \[N, 16, 32, 3\]"):
        evaluator.predict(np.zeros(shape, np.uint8))


def test_what_fails_while_writing_leaves_nothing(evaluator, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segmentation_evaluator.atomic, "write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        evaluator.save(tmp_path / "evaluator")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_holds_something_is_left_alone(evaluator, out, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="is there already; choose another folder"):
        evaluator.save(tmp_path)
    with pytest.raises(ValueError, match="is there already; choose another folder"):
        train_evaluator.train_evaluator(paired_data.settings(out), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_folder_that_cannot_be_written_is_found_before_training(out, tmp_path, monkeypatch):
    monkeypatch.setattr(segmentation_evaluator.os, "access", lambda *_: False)
    monkeypatch.setattr(train_evaluator, "fit", lambda *_: pytest.fail("trained in vain"))
    with pytest.raises(PermissionError, match="no permission to write --out"):
        train_evaluator.train_evaluator(paired_data.settings(out), tmp_path / "a" / "b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file, so nothing can lie in it"):
        train_evaluator.train_evaluator(paired_data.settings(out), tmp_path / "file" / "b")


def _other_weights(folder):
    arrays = dict(files.read(folder / "evaluator.safetensors"))
    name = next(iter(arrays))
    files.write(folder / "evaluator.safetensors", arrays | {name: arrays[name] + 1})


def _fewer_weights(folder):
    arrays = dict(files.read(folder / "evaluator.safetensors"))
    arrays.pop(next(iter(arrays)))
    files.write(folder / "evaluator.safetensors", arrays)


def _newer(folder):
    info = json.loads((folder / "evaluator.json").read_text())
    (folder / "evaluator.json").write_text(json.dumps(info | {"format_version": 9}))


def _other_order(folder):
    content = json.loads((folder / "label_spec.json").read_text())
    content["classes"] = content["classes"][1:] + content["classes"][:1]
    (folder / "label_spec.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda folder: (folder / "evaluator.json").unlink(), FileNotFoundError, "give the folder"),
        (lambda folder: (folder / "evaluator.json").write_text("{"), ValueError, "is damaged"),
        (lambda folder: (folder / "evaluator.json").write_text("[]"), ValueError, "is damaged"),
        (lambda folder: (folder / "label_spec.json").unlink(), FileNotFoundError, "label_spec"),
        (
            lambda folder: (folder / "evaluator.safetensors").write_bytes(b""),
            ValueError,
            "no safetensors file",
        ),
        (_newer, ValueError, "has format 9, this version reads 1"),
        (_other_weights, ValueError, "is not the file that evaluator.json was written with"),
        (_fewer_weights, ValueError, "1 arrays missing"),
        (_other_order, ValueError, "was changed since the evaluator was trained: class 0 is '"),
    ],
)
def test_damaged_evaluator_says_what_is_wrong(evaluator, tmp_path, damage, error, words):
    evaluator.save(tmp_path / "copy")
    assert Evaluator.load(tmp_path / "copy").sha256 == evaluator.sha256
    damage(tmp_path / "copy")
    with pytest.raises(error, match=words):
        Evaluator.load(tmp_path / "copy")


def test_size_that_is_no_multiple_of_the_stride_is_an_error(out):
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    with pytest.raises(ValueError, match="multiples of 8, not 16x36"):
        train_evaluator.fit(own, (16, 36), True, SHORT, progress=False)


def test_command_trains_an_evaluator_and_writes_its_scores(out, tmp_path, capsys):
    folder, result = tmp_path / "evaluator", tmp_path / "result.json"
    code = main.main([
        "train-evaluator", "--pairs=garden:test", "--measure=garden:validation", "--height=16",
        "--width=32", f"--config.data.prepared_dir={out}", f"--out={folder}", "--steps=2",
        "--batch_size=3", "--seed=7", f"--json={result}",
    ])  # fmt: skip
    written = json.loads(result.read_text())
    assert code == 0 and written["command"] == "train-evaluator" and written["steps"] == 2
    assert [written[key] for key in ("pairs", "num_pairs", "num_measured")] == ["garden:test", 5, 4]
    evaluator = Evaluator.load(folder)
    assert evaluator.scores["miou"] == written["miou"] and evaluator.info["training"]["seed"] == 7
    printed = capsys.readouterr().out
    assert f"mIoU {100 * written['miou']:.1f} %" in printed and "sky" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--pairs is missing; without --config give --pairs"),
        (["--config=quickstart", "--pairs=yard"], "--pairs is 'yard'; it must be NAME:SPLIT"),
        (["--config=quickstart", "--measure=yard"], "data.validation is 'yard'"),
        (["--config=quickstart", "--height=16", "--config.data.height=16"], "are the same"),
        (["--config=quickstart", "--measure=garden:train"], "garden:train holds no pairs"),
        (["--config=quickstart", "--pairs=yard:train", "--measure=yard:train"], "share 20 pairs"),
        (["--config=quickstart", "--steps=0"], "1 or more"),
    ],
)
def test_bad_use_is_one_line_and_leaves_nothing(out, tmp_path, capsys, arguments, words):
    size = [] if "--height=16" in arguments or not arguments else ["--height=16"]
    size += ["--width=32", f"--config.data.prepared_dir={out}"] if arguments else []
    try:
        code = main.main(["train-evaluator", f"--out={tmp_path / 'evaluator'}", *arguments, *size])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and words in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def _fitted(out, batch_size=8):
    training = train_evaluator.Training(steps=3, batch_size=batch_size, widths=(4, 6), rate=1e-2)
    own = pairs.Pairs(paired_data.settings(out), "yard:train")
    return train_evaluator.fit(own, paired_data.SIZE, True, training, progress=False)[0]


def check_same(some, others):
    for one, other in zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_four_devices_train_the_evaluator_that_one_trains(out, monkeypatch):
    four = _fitted(out)
    assert len(train_evaluator._devices(8)) == 4 and len(train_evaluator._devices(6)) == 2
    monkeypatch.setattr(train_evaluator, "_devices", lambda _: jax.devices()[:1])
    one = _fitted(out)
    check_same(one, four)
    moved = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(one["batch_stats"])])
    assert np.abs(moved).max() > 0.01


def fit_on_hosts(folder):
    """Trains on one of several hosts and saves the weights there."""
    variables = _fitted(folder / "out")
    np.savez(folder / f"{jax.process_index()}.npz", **flat_trees.flatten(variables))
    with pytest.raises(ValueError, match="--batch_size is 3; on several hosts it must be a mult"):
        train_evaluator._devices(3)


@pytest.mark.slow
def test_two_hosts_train_the_evaluator_that_one_trains(out, tmp_path):
    (tmp_path / "out").symlink_to(out)
    hosts.run(fit_on_hosts, tmp_path)
    expected = flat_trees.flatten(_fitted(out))
    for number in range(2):
        found = np.load(tmp_path / f"{number}.npz")
        assert set(found) == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
