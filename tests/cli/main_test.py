"""Command line: overrides, help, exit codes and one-line errors."""

import errno
import importlib
import json
import subprocess
import sys
import types

import pytest

from usis_jax.cli import main
from usis_jax.config import loading, settings


def run_in_process(*arguments):
    """Exit code of `usis`, whether main returns it or argparse exits with it."""
    try:
        return main.main(list(arguments))
    except SystemExit as stop:
        return stop.code


def fake_module(monkeypatch, name, **functions):
    """Puts a module in the place of one that a command imports when it needs it."""
    module = types.ModuleType(name)
    module.__dict__.update(functions)
    package, _, last = name.rpartition(".")
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.import_module(package), last, module, raising=False)


@pytest.fixture
def trained(monkeypatch):
    """Replaces training by a note of what it was asked."""
    calls = []

    def train(run, workdir, accept_config_change=False):
        calls.append((run, workdir, accept_config_change))
        return {"step": run.steps}

    fake_module(monkeypatch, "usis_jax.train.run", train=train)
    return calls


@pytest.mark.parametrize(
    ("text", "current", "value"),
    [
        ("20", 1, 20),
        ("1_000", 1, 1000),
        ("1e5", 1, 100_000),
        ("1e-3", 0.0, 1e-3),
        ("3", 0.5, 3.0),
        ("true", False, True),
        ("False", True, False),
        ("0", True, False),
        ("(1,2,3)", (9,), (1, 2, 3)),
        ("1,2,3", (9,), (1, 2, 3)),
        ("[1, 2]", (9,), (1, 2)),
        ("7", (9, 9), (7,)),
        ("camvid:train[:50%]", "scenes:train", "camvid:train[:50%]"),
        ("123", "text", "123"),
    ],
)
def test_override_is_read_as_the_type_of_the_field(text, current, value):
    parsed = loading.parse("field", text, current)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "current", "words"),
    [
        ("x", 1, "field is 'x'; it must be a whole number"),
        ("1.5", 1, "field is '1.5'; it must be a whole number"),
        ("1.25e1", 1, "field is '1.25e1'; it must be a whole number"),
        ("x", 1.0, "field is 'x'; it must be a number"),
        ("maybe", True, "field is 'maybe'; it must be true or false"),
        ("1,x", (1,), "field is '1,x'; it must be numbers such as 1,2,3"),
    ],
)
def test_override_of_the_wrong_type_says_what_it_must_be(text, current, words):
    with pytest.raises(ValueError) as caught:
        loading.parse("field", text, current)
    assert str(caught.value) == words


def test_every_field_can_be_overridden_with_its_own_default():
    defaults = settings.flatten(settings.Settings())
    config = loading.load_config("base")
    loading.apply(config, [(name, str(value)) for name, value in defaults.items()])
    assert settings.load(config) == settings.Settings()


def test_config_is_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("configs/quickstart.py", "quickstart.py", "quickstart"):
        assert loading.find_config(name).name == "quickstart.py"


def test_file_in_the_current_folder_comes_before_the_bundled_one(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.py").write_text("raise SystemError('not this one')\n")
    mine = tmp_path / "configs" / "quickstart.py"
    mine.write_text(
        "from configs import base\n"
        "def get_config():\n    config = base.get_config()\n    config.steps = 3\n"
        "    return config\n"
    )
    monkeypatch.chdir(tmp_path)
    assert loading.load_config("configs/quickstart.py").steps == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module_here\n", "ModuleNotFoundError"),
        ("def get_config(:\n", "SyntaxError"),
        ("x = 1\n", "must have get_config()"),
        ("def get_config():\n    return {}\n", "ml_collections.ConfigDict"),
    ],
)
def test_broken_config_file_is_one_line(tmp_path, capsys, source, words):
    file = tmp_path / "mine.py"
    file.write_text(source)
    assert run_in_process("prepare", f"--config={file}") == 2
    error = capsys.readouterr().err
    assert words in error and str(file) in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["generate"], "invalid choice: 'generate'"),
        (["train"], "--workdir"),
        (["train", "--workdir=w", "--config=nowhere.py"], "configs/quickstart.py"),
        (["train", "--workdir=w"], "--config is missing"),
        (["train", "--workdir=w", "--config=base", "--config.stepz=1"], "did you mean steps?"),
        (["train", "--workdir=w", "--config=base", "--config.data.hight=1"], "data.height"),
        (["train", "--workdir=w", "--config=base", "--config.height=1"], "data.height"),
        (["train", "--workdir=w", "--config=base", "--config.steps=many"], "whole number"),
        (["train", "--workdir=w", "--config=base", "--config.steps"], "no value"),
        (["train", "--workdir=w", "--config=base", "--config.data=1"], "group of fields"),
        (["train", "--workdir=w", "--config=base", "--config.data.height=99"], "multiple of"),
        (["train", "--workdir=w", "--config=base", "--json=no/such/r.json"], "--json"),
        (["train", "--workdir=w", "--config=base", "--speed=3"], "--speed"),
        (["sample", "--workdir=w", "--labels=l"], "--out"),
        (["sample", "--workdir=w", "--labels=l", "--out=o", "--num_samples=0"], "1 or more"),
        (["sample", "--workdir=w", "--labels=l", "--out=o", "--seed=-1"], "0 or more"),
        (["sample", "--workdir=w", "--labels=l", "--out=o", "--config.steps=1"], "leave it out"),
        (["demo", "--workdir=w"], "w is not a work directory"),
        (["demo", "--workdir=w", "--step=last"], "best, latest or the number"),
        (["evaluate", "--workdir=w", "--step=-1"], "best, latest or the number"),
        (["demo", "--workdir=w", "--port=70000"], "0 to 65535"),
    ],
)
def test_bad_use_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run_in_process(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usis: ") and captured.err.count("\n") == 1
    assert words in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [[], ["prepare"], ["train"], ["sample"], ["demo"], ["train-evaluator"]]
)
def test_help_exits_0_and_names_every_option(capsys, command):
    assert run_in_process(*command, "--help") == 0
    text = capsys.readouterr().out
    options = {
        (): ["prepare", "train", "sample", "demo", "train-evaluator"],
        ("prepare",): [
            "--config",
            "--data_dir",
            "--overwrite",
            "--json",
            "--photos",
            "--labels",
            "--spec",
            "--name",
            "--height",
            "--width",
            "--skip_bad",
        ],
        ("train",): ["--config", "--workdir", "--accept_config_change", "--json"],
        ("sample",): ["--workdir", "--labels", "--out", "--num_samples", "--seed", "--step"],
        ("demo",): ["--workdir", "--step", "--host", "--port", "--allow_host", "--open", "--json"],
        ("train-evaluator",): [
            "--config",
            "--pairs",
            "--measure",
            "--height",
            "--width",
            "--out",
            "--steps",
            "--batch_size",
            "--seed",
            "--json",
        ],
    }[tuple(command)]
    configured = command and command[0] not in ("sample", "demo")
    fields = settings.flatten(settings.Settings()) if configured else {}
    for option in [*options, *(f"--config.{name}=" for name in fields)]:
        assert option in text


def test_help_fits_a_screen_and_shows_the_path(capsys):
    assert run_in_process("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80  # a line is left for the prompt
    words = [line.split()[0] for line in lines if line.startswith("  ")]
    assert words[:5] == ["prepare", "train", "evaluate", "sample", "demo"]
    known = {name.replace("_", "-") for name in (m.__name__.split(".")[-1] for m in main.COMMANDS)}
    assert set(words) == known and all(line.split()[1:] for line in lines if line[:2] == "  ")


def test_help_imports_neither_jax_nor_tensorflow():
    code = (
        "import sys, usis_jax, usis_jax.cli.main\n"
        "try: usis_jax.cli.main.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'jax', 'flax', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_public_names_are_there_and_others_are_not():
    import usis_jax

    assert usis_jax.ops.haar.forward and usis_jax.losses and usis_jax.interop.torch.load
    assert usis_jax.Generator.__name__ == "Generator"
    assert {"ops", "losses", "Generator"} <= set(dir(usis_jax))
    with pytest.raises(AttributeError, match="nothing"):
        _ = usis_jax.nothing


def test_module_runs_as_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "usis_jax", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("usis_jax ")
    done = subprocess.run([sys.executable, "-m", "usis_jax"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_train_gets_the_overridden_settings_and_writes_json(tmp_path, trained):
    result = tmp_path / "result.json"
    code = run_in_process(
        "train", "--config=quickstart", "--workdir=w", "--config.steps", "5",
        "--config.data.flip=no", "--accept_config_change", f"--json={result}",
    )  # fmt: skip
    assert code == 0
    [(run, workdir, accepted)] = trained
    assert (run.steps, run.data.flip, workdir, accepted) == (5, False, "w", True)
    assert json.loads(result.read_text()) == {"command": "train", "workdir": "w", "step": 5}


@pytest.mark.parametrize(
    ("interrupted", "code"),
    [(None, 0), ("SIGTERM", 75), ("SIGUSR1", 75), ("preemption", 75), ("SIGINT", 130)],
)
def test_exit_code_of_train_says_whether_to_start_it_again(monkeypatch, interrupted, code):
    def train(*_, **__):
        return {"step": 3, "interrupted": interrupted}

    fake_module(monkeypatch, "usis_jax.train.run", train=train)
    assert run_in_process("train", "--config=base", "--workdir=w") == code


def test_train_without_config_goes_on_with_the_one_in_the_workdir(tmp_path, trained, monkeypatch):
    old = settings.load({"steps": 9, "batch_size": 2})
    fake_module(monkeypatch, "usis_jax.workdir.layout", load_settings=lambda workdir: old)
    assert run_in_process("train", f"--workdir={tmp_path}", "--config.steps=11") == 0
    run = trained[0][0]
    assert settings.differences(old, run) == ["steps: 9 -> 11"]


def test_prepare_and_sample_pass_their_options_on(monkeypatch):
    calls = []

    def prepare(run, data_dir, **options):
        calls.append((run.steps, data_dir, options))
        return {"prepared_dir": "p", "datasets": []}

    def sample_folder(*arguments):
        calls.append(arguments)
        return {"labels": 1, "photos": 4, "contact_sheet": "o/contact_sheet.png"}

    fake_module(monkeypatch, "usis_jax.data.preparation.prepare", prepare=prepare)
    assert run_in_process("prepare", "--config=base", "--data_dir=d", "--overwrite") == 0

    class Loader:
        @staticmethod
        def load(workdir, step, best):
            return workdir, step, best

    fake_module(monkeypatch, "usis_jax.inference.sampling", Generator=Loader)
    fake_module(monkeypatch, "usis_jax.inference.label_folders", sample_folder=sample_folder)
    fake_module(monkeypatch, "usis_jax.serving.examples")
    arguments = ["sample", "--workdir=w", "--labels=l", "--out=o", "--seed=3", "--step=best"]
    assert run_in_process(*arguments) == 0
    options = {"overwrite": True, "own": None, "skip_bad": False, "allow_partial": False}
    assert calls == [(100_000, "d", options), (("w", None, True), "l", "o", 4, 3)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError("no data; run: usis prepare"), "no data; run: usis prepare"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.png"), "No such file: a.png"),
        (PermissionError(errno.EACCES, "Permission denied", "/w"), "Permission denied: /w"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)
def test_file_error_is_one_line_and_exit_code_2(monkeypatch, capsys, error, words):
    def train(*_, **__):
        raise error

    fake_module(monkeypatch, "usis_jax.train.run", train=train)
    assert run_in_process("train", "--config=base", "--workdir=w") == 2
    assert capsys.readouterr().err == f"usis: {words}\n"


def test_value_error_of_another_library_keeps_its_traceback(monkeypatch):
    def train(*_, **__):
        json.loads("{")

    fake_module(monkeypatch, "usis_jax.train.run", train=train)
    with pytest.raises(ValueError):
        run_in_process("train", "--config=base", "--workdir=w")


def test_non_finite_loss_and_interrupt_are_one_line(monkeypatch, capsys):
    endings = ((FloatingPointError("loss is nan at step 3"), 1), (KeyboardInterrupt(), 130))
    for error, code in endings:

        def train(*_, error=error, **__):
            raise error

        fake_module(monkeypatch, "usis_jax.train.run", train=train)
        assert run_in_process("train", "--config=base", "--workdir=w") == code
    assert capsys.readouterr().err == "usis: loss is nan at step 3\nusis: interrupted\n"
