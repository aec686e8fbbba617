"""Controls: what they are made of, and what is said where a measure orders them wrongly."""

import dataclasses
import json
import types

import jax
import numpy as np
import pytest
import scipy.ndimage

from tests.support import tiny_run
from usis_jax.checkpoint import manager
from usis_jax.cli import main
from usis_jax.evaluation import baselines, eval_inputs, suite
from usis_jax.inference import sampling as sampling_lib
from usis_jax.methods import train_state
from usis_jax.models import registry
from usis_jax.ops import latents
from usis_jax.workdir import layout


def subject(**changes):
    pairs = tiny_run.batch(5, 0, 4)
    generator = types.SimpleNamespace(spec=tiny_run.SPEC, settings=tiny_run.settings())
    found = eval_inputs.EvalInputs(
        name="run",
        step=7,
        generator=generator,
        labels=pairs["label"],
        generated=pairs["photo"],
        real=tiny_run.batch(7, 0, 4)["photo"],
        paired=True,
        other=tiny_run.batch(6, 0, 3)["photo"],
        samples=np.stack([pairs["photo"][:2]] * 3),
        segmenter=None,
        sizes=eval_inputs.Sizes(),
    )
    return dataclasses.replace(found, **changes)


def row(better="lower", value=2.0, real=1.0, **values):
    names = {name.replace(" ", "_"): name for name in baselines.NAMES}
    found = dict.fromkeys(baselines.NAMES) | {names[k]: v for k, v in values.items()}
    return suite.Row("fid", "FID", value, real, better, "p", controls=found)


@pytest.mark.parametrize("deviation", [0.7, 3.0])
@pytest.mark.parametrize("size", [(64, 80), (32, 24)])
def test_blur_is_a_gaussian_filter_in_proportion_to_the_photo(deviation, size):
    photos = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    sigma = deviation * min(size) / 64
    expected = [
        scipy.ndimage.gaussian_filter(
            photo.astype(float), (sigma, sigma, 0), radius=(max(1, round(4 * sigma)),) * 2 + (0,)
        )
        for photo in photos
    ]
    found = baselines.blurred(photos, deviation)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_flat_colours_are_the_mean_of_each_class():
    labels = np.array([[[0, 0, 1, 1]], [[1, 0, 3, 3]]])
    real = np.arange(2 * 4 * 3).reshape(2, 1, 4, 3).astype(np.uint8) * 10
    found = baselines.flat_colours(subject(labels=labels, real=real))
    for k in (0, 1, 3):
        np.testing.assert_array_equal(
            found[labels == k], np.rint(real[labels == k].mean(0)) + 0 * found[labels == k]
        )
    unpaired = baselines.flat_colours(subject(labels=labels, real=real, paired=False))
    np.testing.assert_array_equal(unpaired, np.array(tiny_run.SPEC.palette)[labels])


def test_disorder_names_what_a_measure_prefers_against_a_person():
    assert baselines.disorder(row(untrained=9, faint_blur=1.5, strong_blur=3, flat=5)) == []
    assert baselines.disorder(row(untrained=2, faint_blur=0.5, strong_blur=3, flat=1.5)) == [
        "untrained before generated",
        "faint blur before real",
        "flat before generated",
    ]
    assert baselines.disorder(
        row("higher", 0.5, 0.4, untrained=0.1, strong_blur=0.3, faint_blur=0.2)
    ) == ["generated before real", "strong blur before faint blur"]
    diversity = dataclasses.replace(row(untrained=0.1), id="ms_ssim")
    assert baselines.disorder(diversity) == []


@pytest.mark.slow
def test_untrained_generator_generates_by_its_own_statistics(monkeypatch):
    tiny_run.install(monkeypatch)
    settings = tiny_run.settings()
    network = registry.build(settings, tiny_run.SPEC.num_classes, axis_name=None).generator
    given = sampling_lib.Generator(
        network,
        network.init(
            jax.random.key(9), np.zeros((1, 16, 16), np.int32), np.zeros((1, 4), np.float32)
        ),
        settings,
        tiny_run.SPEC,
        40,
    )
    found = baselines.untrained(given)
    assert found.step == 0
    labels = np.concatenate(
        [b["label"] for b, _ in zip(tiny_run.training(settings), range(8), strict=False)]
    )
    # Batch norm in training mode on all those maps at once is what re-estimation stands for.
    z = latents.draw(jax.random.split(jax.random.key(1), len(labels)), 16, 16, 4, "image")
    live, _ = network.apply(
        found.variables, labels, z, train=True, mutable=["batch_stats", "spectral"]
    )
    generated = network.apply(found.variables, labels, z, train=False)
    initial = {
        **found.variables,
        "batch_stats": jax.tree.map(lambda x: x * 0 + 1, found.variables["batch_stats"]),
    }
    plain = network.apply(initial, labels, z, train=False)
    assert np.abs(generated - live).mean() < 0.3 * np.abs(plain - live).mean()


class Reader:
    """Stands in for an evaluator: features are the mean colours, classes the darkest channel."""

    name, height, width, spec = "evaluator reader", 16, 16, tiny_run.SPEC
    scores, info = {"miou": 0.9, "accuracy": 0.95}, {"pairs": "scenes:test"}

    def features(self, photos):
        return photos.reshape(len(photos), -1)[:, :5].astype(np.float32)

    def predict(self, photos):
        return photos.argmin(-1).astype(np.int32) + 1


def test_each_control_is_measured_where_it_has_a_meaning(monkeypatch):
    found = subject()
    grey = np.full_like(found.generated, 128)
    monkeypatch.setattr(baselines, "untrained", lambda generator: "untrained generator")
    monkeypatch.setattr(
        eval_inputs,
        "generate_all",
        lambda generator, maps, sizes, progress=None: (grey, np.stack([grey[:2]] * 3)),
    )
    rows, _ = suite.rows_of(found, evaluator=Reader())
    seen = []
    rows = {
        row.id: row for row in baselines.add(rows, found, advance=seen.append, evaluator=Reader())
    }
    assert sum(seen) > 0
    for name in ("swd", "fd_evaluator", "miou", "spectral_distance"):
        assert list(rows[name].controls) == list(baselines.NAMES)
        assert None not in rows[name].controls.values()
    # Distances are of the training photos blurred, scores of the validation photos blurred.
    blurred = baselines.blurred(found.other, baselines.BLURS["strong blur"])
    direct, _ = suite.take(
        dataclasses.replace(found, generated=blurred), suite.DISTANCES, evaluator=Reader()
    )
    assert rows["fd_evaluator"].controls["strong blur"] == pytest.approx(
        {row.id: row for row in direct}["fd_evaluator"].value
    )
    blurred = baselines.blurred(found.real, baselines.BLURS["strong blur"])
    direct, _ = suite.take(
        dataclasses.replace(found, generated=blurred), suite.SCORES, evaluator=Reader()
    )
    assert rows["miou"].controls["strong blur"] == {r.id: r for r in direct}["miou"].value
    diversity = rows["ms_ssim"]
    assert diversity.controls == {
        "untrained": pytest.approx(1),
        "faint blur": None,
        "strong blur": None,
        "flat": None,
    }
    assert diversity.real < 0.9 and "pairs of different validation photos" in diversity.protocol
    assert "puts" in rows["swd"].warning and "before" in rows["swd"].warning


def test_command_prints_controls_in_a_table_that_fits_a_screen(tmp_path, monkeypatch, capsys):
    tiny_run.install(monkeypatch)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))
    settings = tiny_run.settings()
    layout.save_settings(tmp_path, settings)
    with manager.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(
            7, train_state.create(settings, tiny_run.SPEC.num_classes), settings, tiny_run.SPEC
        )
    assert (
        main.main(
            [
                "evaluate",
                f"--workdir={tmp_path}",
                "--num_samples=2",
                "--controls",
                f"--json={tmp_path / 'e.json'}",
                f"--markdown={tmp_path / 'e.md'}",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out.split("\n\n")[0].split("\n")
    assert printed[0].split("  ")[0] == "measure" and max(map(len, printed)) <= 100
    for name in ("generated", "real", *baselines.NAMES):
        assert name in printed[0] and name in (tmp_path / "e.md").read_text()
    rows = {row["id"]: row for row in json.loads((tmp_path / "e.json").read_text())["rows"]}
    assert rows["consistency_miou"]["real"] is not None
    assert set(rows["swd"]["controls"]) == set(baselines.NAMES)
    assert main.main(["evaluate", "--compare", "a", "b", "--controls"]) == 2
    assert "--controls is of one run" in capsys.readouterr().err
