"""What is tried before the first step: held-out data, measures, grids."""

import numpy as np
import pytest

from tests.support import tiny_run
from tests.support.own_files import folder
from tests.train.periodic_eval_test import settings, stand_in, watch
from usis_jax import errors
from usis_jax.data.inspection import inspect_folders
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.evaluation.evaluators import inception_features
from usis_jax.evaluation.metrics import fid, sliced_wasserstein
from usis_jax.train import periodic, rehearsal

ONE = LabelSpec("one", ("void", "thing"), ((0, 0, 0), (9, 9, 9)), 0, ((0, 0), (1, 1)))


@pytest.fixture(autouse=True)
def tiny_streams(tmp_path, monkeypatch):
    tiny_run.install(monkeypatch)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def void_only(monkeypatch):
    """Held-out label maps without a pixel of a class."""
    pairs = tiny_run.batch(99, 0, 3)
    examples = input_pipeline.Examples(pairs["photo"], 0 * pairs["label"], ["a", "b", "c"], True)
    monkeypatch.setattr(input_pipeline, "validation", lambda settings, count=0: examples)


def test_void_only_label_maps_leave_out_what_is_read_by_pixel_and_say_so(void_only):
    given = settings("swd,consistency", "swd")
    (note,) = watch(given).rehearse()
    assert note == (
        "the 3 held-out label maps of data.validation=scenes:validation are void only: "
        "mIoU and pixel accuracy are left out of every evaluation"
    )


@pytest.mark.parametrize(
    ("measures", "instead"),
    [("consistency,swd", "set evaluation.best to swd"), ("consistency", "add a measure")],
)
def test_best_that_will_not_exist_is_refused(void_only, measures, instead):
    with pytest.raises(errors.UserError, match=f"void only, so it cannot be measured: {instead}"):
        watch(settings(measures, "consistency_miou")).rehearse()


def test_measures_are_tried_on_the_real_photos_and_their_part_is_kept(monkeypatch):
    monkeypatch.setattr(inception_features, "inception", stand_in)
    own = watch(settings("swd,spectrum,consistency,ms_ssim,fid,kid"))
    assert own.rehearse() == []
    assert {"fid", "fid floors", "spectra"} == own._real_cache.keys() - {"training"}


def test_measure_that_fails_is_refused_by_name(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a plane")

    monkeypatch.setattr(sliced_wasserstein, "distance", fail)
    with pytest.raises(
        errors.UserError,
        match=r"swd cannot be taken of the 3 photos of data\.val"
        r".*ZeroDivisionError: a plane; leave swd out",
    ):
        watch(settings()).rehearse()


def test_single_class_is_said_when_training_and_by_inspect(tmp_path):
    labels = np.ones((2, 16, 16), np.int32)
    photos = np.zeros((2, 16, 16, 3), np.uint8)
    notes = rehearsal.rehearse(settings(), ONE, photos, labels, (), None)
    assert notes == [rehearsal.ONE_CLASS]
    assert rehearsal.rehearse(settings(), tiny_run.SPEC, photos, labels, (), None) == []
    folder(tmp_path, 3, to_file=lambda ids: 0 * ids + 7)
    found = inspect_folders.inspect(tmp_path)["findings"]
    (finding,) = [one for one in found if one["what"] == "single_class"]
    assert finding["level"] == "warning" and "learns nothing" in finding["text"]


def test_one_photo_has_no_distance_of_features():
    assert fid.too_few(np.zeros((1, 4)), np.zeros((9, 4)))
    assert fid.too_few(np.zeros((2, 4)), np.zeros((2, 4))) is None


@pytest.mark.parametrize(
    ("changes", "step", "number"),
    [
        ({}, 0, 1),
        ({}, 6, 0),
        ({"checkpoint_interval": 2}, 0, 3),
        ({"checkpoint_interval": 4}, 0, 2),
        ({"checkpoint_interval": 2, "eval_interval": 3}, 2, 3),
        ({"checkpoint_interval": 1, "keep_checkpoints": 1}, 0, 3),
        ({"checkpoint_interval": 1, "keep_checkpoints": 1}, 5, 1),
    ],
)
def test_number_of_checkpoints_that_need_room_at_once(changes, step, number):
    assert periodic.checkpoints_to_come(tiny_run.settings(**changes), step) == number


def test_evaluator_is_not_trained_on_pairs_of_void_only(monkeypatch):
    from usis_jax.evaluation.evaluators import train_evaluator

    batches = [{"label": np.zeros((2, 8, 8), np.int32)}, {"label": np.zeros((1, 8, 8), np.int32)}]
    monkeypatch.setattr(train_evaluator.pairs_lib, "in_order", lambda *_: iter(batches))

    class Pairs(list):
        spec, source = tiny_run.SPEC, "own:validation"

    with pytest.raises(errors.UserError, match="own:validation: all its 3 label maps are void"):
        train_evaluator._check_classes(Pairs([0, 1, 2]), (8, 8))
    batches[1]["label"][0, 0, 0] = 1
    train_evaluator._check_classes(Pairs([0, 1, 2]), (8, 8))


@pytest.mark.parametrize("option", ["--markdown=none/x.md", "--plot=none/x.png", "--markdown=."])
def test_files_of_an_evaluation_are_tried_before_it(option, tmp_path, monkeypatch, capsys):
    from usis_jax.cli import main

    monkeypatch.chdir(tmp_path)
    assert main.main(["evaluate", "--workdir=run", option]) == 2
    said = capsys.readouterr().err
    assert option.partition("=")[0] in said and "file in a folder that exists" in said


def test_runs_that_cannot_be_compared_are_found_before_the_first_is_measured(tmp_path, capsys):
    from usis_jax.cli import main
    from usis_jax.workdir import layout

    layout.save_settings(tmp_path, tiny_run.settings())
    assert main.main(["evaluate", "--compare", str(tmp_path), str(tmp_path / "none")]) == 2
    assert "no checkpoint in" in capsys.readouterr().err
