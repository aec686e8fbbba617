"""What a run does beside its steps: saved first, nothing lost when it fails, nothing left owing."""

import json

import jax
import numpy as np
import pytest

from tests.support import tiny_run
from tests.support.compiled_run import final_state, rows
from usis_jax.checkpoint import manager
from usis_jax.data.pipeline import input_pipeline
from usis_jax.diagnostics import step_means
from usis_jax.display import loss_plot
from usis_jax.train import periodic_eval, run

pytest_plugins = ("tests.support.compiled_run",)
pytestmark = pytest.mark.usefixtures("compile_once", "tiny_streams")


def saved(workdir):
    """(step, whether it was measured) of each checkpoint."""
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        return [(step, bool(checkpoints.meta(step)["metrics"])) for step in checkpoints.all_steps()]


def raising(error):
    def act(*args, **kwargs):
        raise error

    return act


def test_run_whose_grids_evaluations_and_plots_fail_goes_on_and_says_so(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(periodic_eval.Validation, "measure", raising(ValueError("no pixel\nmore")))
    monkeypatch.setattr(periodic_eval.Validation, "grid", raising(MemoryError()))
    monkeypatch.setattr(loss_plot, "plot_losses", raising(TypeError("a font")))
    settings = tiny_run.settings(steps=4, eval_interval=2, log_interval=3)
    summary = run.train(settings, tmp_path / "run")
    assert (summary["step"], summary["best_step"], summary["evaluation"]) == (4, None, {})
    assert saved(tmp_path / "run") == [(2, False), (4, False)]
    assert [text.partition("; ")[0] for text in summary["left_out"]] == [
        "step 2: the evaluation failed (ValueError: no pixel)",
        "step 4: the sample grid failed (MemoryError: )",
        "losses.png: failed (TypeError: a font)",
        "step 4: the evaluation failed (ValueError: no pixel)",
    ]
    assert all(text in capsys.readouterr().err for text in summary["left_out"][:1])
    # The last line is of the steps since the one before, though no line was due.
    assert [row["step"] for row in rows(tmp_path / "run")] == [3, 4]


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def test_run_killed_in_its_evaluation_has_its_step_and_makes_up_for_the_rest(
    straight, tmp_path, monkeypatch
):
    settings = tiny_run.settings(sample_interval=3, eval_interval=3, checkpoint_interval=2)
    for step, method in ((3, "measure"), (6, "grid")):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            own = getattr(periodic_eval.Validation, method)

            def killing(self, state, *rest, own=own, step=step):
                if int(state.step) == step:
                    raise Killed
                return own(self, state, *rest)

            patch.setattr(periodic_eval.Validation, method, killing)
            run.train(settings, tmp_path / "run", progress=False)
        assert saved(tmp_path / "run")[-1] == (step, False)
    summary = run.train(settings, tmp_path / "run", progress=False)
    assert (summary["start_step"], summary["step"]) == (6, 6)
    assert summary["best_step"] == straight[1]["best_step"]
    assert saved(tmp_path / "run") == saved(straight[0])
    assert rows(tmp_path / "run") == rows(straight[0])
    assert sorted(path.name for path in (tmp_path / "run/samples").iterdir()) == sorted(
        path.name for path in (straight[0] / "samples").iterdir()
    )
    expected, found = final_state(straight[0])[1], final_state(tmp_path / "run")[1]
    assert [name for name in expected if not np.array_equal(expected[name], found[name])] == []
    # Nothing is owed any more.
    before = (tmp_path / "run/metrics.jsonl").read_text()
    run.train(settings, tmp_path / "run", progress=False)
    assert (tmp_path / "run/metrics.jsonl").read_text() == before


def test_grid_comes_at_the_end_although_its_interval_is_0_and_data_that_fail_lose_no_step(
    tmp_path, monkeypatch
):
    training = input_pipeline.training

    def torn(settings, start, *hosts):
        for number, batch in enumerate(training(settings, start, *hosts)):
            if number == 12:
                raise RuntimeError("record 12 is torn")
            yield batch

    grid = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr(periodic_eval.Validation, "grid", lambda *_: grid)
    monkeypatch.setattr(input_pipeline, "training", torn)
    settings = tiny_run.settings(steps=20)
    with pytest.raises(RuntimeError, match="record 12"):
        run.train(settings, tmp_path / "run", progress=False)
    ((step, measured),) = saved(tmp_path / "run")
    assert step >= 9 and not measured  # batches are fetched a few steps ahead
    assert not (tmp_path / "run/samples").exists()
    monkeypatch.setattr(input_pipeline, "training", training)
    settings = tiny_run.settings(steps=step + 1)
    run.train(settings, tmp_path / "run", progress=False)
    names = [path.name for path in (tmp_path / "run/samples").iterdir()]
    assert names == [f"step_{step + 1:06d}.png"]
    assert saved(tmp_path / "run")[-1] == (step + 1, False)


def test_jump_of_a_loss_is_said_with_its_step(tmp_path, monkeypatch, capsys):

    add = step_means.Means.add

    def jumping(self, step, metrics):
        add(self, step, metrics | ({"loss_segmentation": 47.9} if step == 2 else {}))

    monkeypatch.setattr(step_means.Means, "add", jumping)
    grid = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr(periodic_eval.Validation, "grid", lambda *_: grid)
    run.train(tiny_run.settings(steps=3, log_interval=3), tmp_path / "run")
    said = [line for line in capsys.readouterr().err.splitlines() if "a loss jumps" in line]
    assert len(said) == 1 and said[0].startswith("step 2: a loss jumps: segmentation 47.9, ")
    (line,) = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["highest/segmentation"] == 47.9
    assert "Losses jump" in (tmp_path / "run/report.html").read_text()


def test_metrics_that_are_added_leave_a_whole_checkpoint(straight):
    with manager.Checkpoints(straight[0], read_only=True) as checkpoints:
        meta = checkpoints.meta(best=True)
        assert meta["metrics"]["swd"] > 0 and meta["best"]["measure"] == "swd"
        assert jax.tree.leaves(checkpoints.restore_generator(best=True)[0])
