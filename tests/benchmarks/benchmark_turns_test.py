"""The driver of benchmarks.step and benchmarks.sample: turns, ratios and words."""

import json
import sys
import types

import jax
import jax.numpy as jnp
import pytest

from benchmarks import diagnostics, plans, sample, step, step_report, turns, workers
from usis_jax.config import settings as settings_lib
from usis_jax.models import registry

SILENT = lambda line: None  # noqa: E731


class Fake:
    """A contender whose steps take given times."""

    def __init__(self, name, plain, penalised, log):
        self.name, self.seconds, self.log = name, {False: plain, True: penalised}, log

    def take(self, task, **arguments):
        self.log.append((self.name, task, arguments.get("penalise")))
        if task == "peak":
            return 100.0
        if task == "generate":
            return {"seconds": [self.seconds[False]] * arguments.get("count", 1)}
        seconds = [self.seconds[arguments["penalise"]]] * arguments.get("count", 1)
        return {"seconds": seconds, "processor_seconds": 1.5, "metrics": {"loss": 1.0}}


def test_contenders_take_turns_and_the_penalty_counts_one_step_in_sixteen():
    log = []
    result = step.measure(
        [Fake("joint", 2.0, 18.0, log), Fake("published", 8.0, 24.0, log)], 2, 16, SILENT
    )
    assert [name for name, task, _ in log if task == "step"] == (
        ["joint", "published"] + 2 * (3 * ["joint"] + 3 * ["published"])
    )
    assert result["joint"]["seconds"]["amortised"]["median"] == 2.0 + 16.0 / 16
    own = {name: one | {"start": {}} for name, one in result.items()}
    assert step_report.ratios({"contenders": own}) == {
        "speedup_over_eager": {"joint": 9.0 / 3.0},
        "memory_over_eager": {"joint": 1.0},
    }


class Sleeper(Fake):
    """One whose first step after another's turn is slow."""

    def take(self, task, **arguments):
        rested = not self.log or self.log[-1][0] != self.name
        answer = super().take(task, **arguments)
        if rested and task in ("step", "generate"):
            answer["seconds"] = [10 * seconds for seconds in answer["seconds"]]
        return answer


def test_first_step_after_a_rest_does_not_count():
    log = []
    pair = [Sleeper("joint", 2.0, 18.0, log), Sleeper("published", 8.0, 24.0, log)]
    assert step.measure(pair, 2, 16, SILENT)["joint"]["seconds"]["plain"]["median"] == 2.0
    assert sample.measure(pair, [1, 8], 2, SILENT)["joint"]["8"]["median"] == 2.0


def test_short_steps_are_taken_several_in_a_turn():
    assert turns.in_a_turn(0.3) == 4
    assert turns.in_a_turn(7.0) == 1
    assert turns.in_a_turn(1e-9) == 20


def test_best_tuned_variant_is_chosen_for_each_batch():
    def own(one, eight):
        return {"seconds": {"1": {"median": one}, "8": {"median": eight}}}

    result = {
        "contenders": {
            "usis_jax": own(1.0, 2.0),
            "eager": own(6.0, 20.0),
            "tuned": own(3.0, 12.0),
            "tuned-compiled": own(4.0, 8.0),
        }
    }
    assert sample.ratios(result) == {
        "speedup_over_eager": {"1": 6.0, "8": 10.0},
        "speedup_over_tuned": {"1": 3.0, "8": 4.0},
        "best_tuned": {"1": "tuned", "8": "tuned-compiled"},
    }


def test_generating_takes_turns_with_every_batch():
    log = []
    result = sample.measure([Fake("a", 2.0, 0, log), Fake("b", 3.0, 0, log)], [1, 8], 2, SILENT)
    assert result["b"]["8"] == {"median": 3.0, "min": 3.0, "count": 2}
    assert [name for name, _, _ in log] == ["a", "a", "b", "b"] * 4


def serving(tmp_path, code):
    """A worker that serves tasks of the given code."""
    module = tmp_path / "served.py"
    module.write_text(f"from benchmarks import workers\n{code}\n")
    return workers.Worker(sys.executable, "served", {"PYTHONPATH": str(tmp_path)}, tmp_path / "log")


def test_a_worker_answers_and_what_it_prints_goes_to_its_log(tmp_path):
    worker = serving(tmp_path, "workers.serve({'double': lambda x: print('hello') or 2 * x})")
    assert worker.ask("double", x=21) == 42
    with pytest.raises(workers.WorkerError, match="TypeError"):
        worker.ask("double", x=None)
    assert worker.ask("double", x=1) == 2
    assert worker.processor_seconds() > 0
    worker.close()
    assert "hello" in (tmp_path / "log").read_text()


def test_a_worker_that_dies_says_its_last_words(tmp_path):
    worker = serving(tmp_path, "raise SystemExit('no such device')")
    with pytest.raises(workers.WorkerError, match="no such device"):
        worker.ask("double", x=1)
    worker.close()


def test_peak_memory_counts_anew_after_forgetting():
    ballast = bytearray(64 << 20)
    ballast[::4096] = b"1" * len(ballast[::4096])
    before = workers.peak_mib()
    del ballast
    workers.forget_peak()
    assert workers.peak_mib() < before


def test_missing_pytorch_leaves_its_contenders_out_and_says_what_to_do():
    said = []
    names, missing = turns.present(["joint", "tuned"], step.TWINS, None, said.append)
    assert (names, missing) == (["joint"], ["tuned"])
    assert "pip install -e '.[torch]'" in said[0] and "--torch_python" in said[0]
    assert turns.twin_version("/no/such/python") is None


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--contenders=joint,fast"], "'fast'"),
        (["--rounds=-1"], "--rounds"),
        (["--parts=-1"], "--parts"),
    ],
)
def test_wrong_options_are_named(arguments, word, capsys):
    with pytest.raises(SystemExit) as caught:
        step.main(arguments)
    assert caught.value.code == 2
    assert word in capsys.readouterr().err


def test_small_setting_is_the_documented_one():
    settings, plan = plans.load("small")
    assert (plan["height"], plan["width"], plan["batch"], plan["classes"]) == (64, 128, 4, 35)
    assert (settings.generator.width, settings.update) == (16, "alternating")
    assert settings.segmenter.down == (128, 128, 256, 256, 512, 512)
    assert plan["discriminator"]["widths"] == [256, 512, 512, 512, 512]
    assert plans.load("full", batch=2)[1]["batch"] == 2
    assert plans.load("small", decoder="none")[1]["decoder"] is None


def test_networks_that_the_twin_lacks_are_named():
    settings = settings_lib.load({"generator": {"name": "wavelet"}})
    with pytest.raises(ValueError, match=r"generator\.name=wavelet"):
        plans.plan(settings, 3, None)


TINY = {
    "batch_size": 2, "data": {"height": 16, "width": 16},
    "generator": {"width": 2, "multipliers": (2, 2, 1), "z_dim": 4, "spade_width": 4},
    "segmenter": {"down": (4,), "up": (4,)},
    "discriminator": {"channel_base": 32, "channel_max": 8, "dense": 8},
    "decoder": {"width_max": 4},
}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    """A setting small enough to run, on one device, compiled in little time."""
    pytest.importorskip("torch")
    settings = settings_lib.load(TINY)
    monkeypatch.setattr(plans, "load", lambda *_: (settings, plans.plan(settings, 5, 0)))
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.mark.slow
def test_a_whole_run_compares_both(tmp_path, tiny, capsys):
    path = tmp_path / "step.json"
    assert (
        step.main(
            [
                "--contenders=joint,published",
                "--rounds=1",
                f"--cache={tmp_path / 'cache'}",
                f"--json={path}",
            ]
        )
        == 0
    )
    result = json.loads(path.read_text())
    assert result["failed"] == {} and result["speedup_over_eager"]["joint"] > 0
    joint, published = (result["contenders"][name] for name in ("joint", "published"))
    assert joint["flops"]["r1"] > joint["flops"]["plain"] > 0
    assert set(published["metrics"]) >= {"r1", "loss_reconstruction"}
    assert "times as fast as published" in capsys.readouterr().out


def test_parts_have_the_same_names_on_both_sides(tiny):
    from benchmarks import jax_worker
    from benchmarks.pytorch_baseline import flops

    settings, plan = plans.load("tiny")
    networks = registry.build(settings, plan["classes"], axis_name=None)
    ours = {*jax_worker.part_functions(networks, 0), "update"}
    assert ours == flops.count(plan)["parts"].keys()


def test_a_whole_run_of_generating_compares_both(tmp_path, tiny, capsys):
    path = tmp_path / "sample.json"
    assert (
        sample.main(
            [
                "--contenders=usis_jax,tuned",
                "--rounds=1",
                "--batches=1,2",
                f"--cache={tmp_path / 'cache'}",
                f"--json={path}",
            ]
        )
        == 0
    )
    result = json.loads(path.read_text())
    assert result["failed"] == {}
    assert result["speedup_over_tuned"].keys() == {"1", "2"}
    assert "batch 2:" in capsys.readouterr().out


def test_step_without_diagnostics_computes_its_losses_only():
    def train_step(state, batch, **_):
        hits = jnp.sin(batch @ batch).sum()
        return state + 1, {"loss_real": state * 2, "right_real": hits, "score_real": hits + 1}

    state, batch = jnp.float32(0), jnp.ones((20, 20))
    training = types.SimpleNamespace(
        method=types.SimpleNamespace(step=train_step),
        settings=None,
        networks=None,
        void=None,
        state=state,
        batch=batch,
        runner=types.SimpleNamespace(compile=jax.jit),
        compiled=jax.jit(train_step).lower(state, batch).compile(),
    )
    result = diagnostics.measure(training, 3)
    assert result["diagnostics"] == ["right_real", "score_real"] and int(training.state) == 8
    assert (result["with"]["count"], result["without"]["count"]) == (3, 3)
    assert result["with"]["mflop"] > 2 * 20**3 / 1e6 > 1e-3 > result["without"]["mflop"]
