"""`usis compile`: what a run needs, for devices here and for TPUs that are not."""

import dataclasses
import importlib.util
import json
import math

import jax
import pytest

from tests.support import tiny_run
from usis_jax.aot import batch_fit, compile_report, hardware
from usis_jax.cli import main
from usis_jax.methods import train_state

CONFIG = """
from configs import base

def get_config():
    config = base.get_config()
    config.update({settings!r})
    return config
"""


@pytest.fixture
def config(tmp_path):
    tiny = tiny_run.settings(r1_interval=4)
    values = {"batch_size": 4, "update": "joint", "r1_interval": 4}
    for section in ("generator", "segmenter", "discriminator", "decoder"):
        values[section] = dataclasses.asdict(getattr(tiny, section))
    values["data"] = {"height": 16, "width": 16}
    file = tmp_path / "tiny.py"
    file.write_text(CONFIG.format(settings=values))
    return file


def run(tmp_path, *arguments):
    code = main.main(["compile", *arguments, f"--json={tmp_path / 'out.json'}"])
    return code, json.loads((tmp_path / "out.json").read_text()) if code == 0 else None


def test_local_compile_reports_what_each_device_needs(config, tmp_path, capsys):
    code, result = run(tmp_path, f"--config={config}", "--num_classes=4")
    assert code == 0
    assert result["devices"] == jax.device_count() and result["fits"]
    assert 0 < result["memory_gib_per_device"] < result["hbm_gib"]
    programs = result["programs"]
    assert set(programs) == {"step", "sample"}
    assert result["flops_per_device"] == programs["step"]["flops"] > programs["sample"]["flops"] > 0
    assert result["collective_bytes"] > 0 and programs["sample"]["collective_bytes"] == 0
    assert result["estimated_seconds"] == 0 and "not known" in result["estimate"]
    assert result["largest_batch_predicted"] % result["devices"] == 0
    assert "fits:" in capsys.readouterr().out


def test_gradients_are_sent_once_and_little_else():
    settings = tiny_run.settings(update="joint", r1_interval=0)
    report = compile_report.report("step", settings, tiny_run.SPEC, jax.devices()[:2])
    state = train_state.shapes(settings, tiny_run.SPEC.num_classes)
    parameters = 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert parameters < report.collective_bytes < 1.35 * parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--topology=v5e:3x3"], "--topology is 'v5e:3x3'"),
        (["--topology=v9"], "v5e:2x2, 2x4"),
        (["--programs", "sample"], "--programs must have step"),
        (["--config.batch_size=6"], "batch_size is 6"),
        (["--config.data.labels=mine:train"], "--num_classes=K"),
    ],
)
def test_bad_use_is_one_line(config, capsys, arguments, words, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert main.main(["compile", f"--config={config}", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1


def test_missing_tpu_compiler_is_said(config, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "libtpu" else found(name, *rest),
    )
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert main.main(["compile", f"--config={config}", "--topology=v5e:2x4"]) == 2
    assert "pip install 'usis_jax[tpu]'" in capsys.readouterr().err


def test_running_out_of_memory_is_a_result(monkeypatch):
    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. "
                "Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G."
            )

    monkeypatch.setattr(compile_report, "lower", lambda *arguments: Lowered())
    report = compile_report.report("step", None, None, [])
    assert not report.fits and report.memory_gib == 20.5


def test_other_faults_of_the_compiler_are_not_hidden(monkeypatch):
    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(compile_report, "lower", lambda *arguments: Lowered())
    with pytest.raises(jax.errors.JaxRuntimeError):
        compile_report.report("step", None, None, [])


def report(gib, fits=True):
    return compile_report.Report("step", fits, gib, fixed_gib=2.0)


def test_trials_go_from_mild_to_harsh_and_stop_where_it_fits():
    settings = tiny_run.settings(batch_size=32)
    said, needed = [], iter((20.0, 17.0, 12.0))

    def measure(changed):
        gib = next(needed)
        return report(gib, gib < 16)

    trials = batch_fit.what_would(settings, 8, measure, said.append)
    assert [trial.changes for trial in trials] == [
        {"remat": "blocks"},
        {"remat": "blocks", "compute_dtype": "bfloat16"},
        {"remat": "blocks", "compute_dtype": "bfloat16", "batch_size": 16},
    ]
    assert [trial.fits for trial in trials] == [False, False, True]
    assert said[0] == "trying --config.remat=blocks"


def test_candidates_keep_the_batch_divisible():
    settings = tiny_run.settings(batch_size=24, remat="blocks", compute_dtype="bfloat16")
    assert batch_fit.candidates(settings, 8) == []
    assert batch_fit.candidates(settings, 4) == [{"batch_size": 12}]


def test_largest_batch_follows_from_what_a_sample_needs():
    # 2 GiB of state and code, 1 GiB a sample, two samples on each of four devices.
    assert batch_fit.largest_batch(report(4.0), 8, 4, 16.0) == 4 * 13
    assert batch_fit.largest_batch(report(4.0), 8, 4, 2.5) == 0


def test_every_kind_of_chip_has_a_slice_of_64():
    for kind, shapes in hardware.TOPOLOGIES.items():
        chips_of = [math.prod(map(int, shape.split("x"))) for shape in shapes]
        assert chips_of == sorted(chips_of) and (chips_of[0], chips_of[-1]) == (4, 64)
        assert hardware.check_topology(f"{kind}:{shapes[-1]}")


NO_TPU_COMPILER = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed"
)


@NO_TPU_COMPILER
def test_every_slice_has_one_device_a_chip_with_known_rates():
    for kind, shapes in hardware.TOPOLOGIES.items():
        for shape in shapes:
            devices = compile_report.devices(f"{kind}:{shape}")
            assert len(devices) == math.prod(map(int, shape.split("x")))
            assert hardware.chip(devices[0]).clock > 0


@NO_TPU_COMPILER
def test_tpu_compile_without_a_tpu(config, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    code, result = run(
        tmp_path,
        f"--config={config}",
        "--topology=v5e:2x2",
        "--num_classes=4",
        "--programs",
        "step",
    )
    assert code == 0 and result["device_kind"] == "TPU v5 lite" and result["hbm_gib"] == 16
    assert result["fits"] and result["collective_bytes"] > 0 and result["flops_per_device"] > 0
    assert 0 < result["estimated_seconds"] < 0.1 and "cycles" in result["estimate"]
