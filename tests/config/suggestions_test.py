"""Commands that messages suggest: they are understood as they are printed, and they help."""

import ast
import re
import shlex

import pytest

from tests.support import own_files, places, tiny_data
from usis_jax.cli import main
from usis_jax.cli.commands import completion
from usis_jax.config import loading, settings, suggestions
from usis_jax.data.preparation import advice, locations, prepared_sets
from usis_jax.data.specs import label_spec
from usis_jax.doctor import holdings

ROOT = places.REPOSITORY
SOURCES = sorted((ROOT / "usis_jax").rglob("*.py"))
SCRIPTS = sorted((ROOT / "launch").iterdir())
PARSERS = completion.commands_of(main.parser())
FIELDS = settings.flatten(settings.Settings())
# A command with the options right behind it, up to where the sentence goes on.
COMMAND = re.compile(r"(?<![=\w])usis ([a-z][a-z-]+)((?: --[A-Za-z_.]+(?:=[^\s;,)`]+)?)*)")
# What follows "usis" in sentences that name no command.
WORDS = {"does", "generates", "itself", "uses", "on", "is", "command", "needs", "has", "can", "or"}
TINY = """
from configs import small
def get_config():
    config = small.get_config()
    config.data.height = config.data.width = 16
    config.generator.multipliers = (1, 1)
    config.segmenter.down = config.segmenter.up = (4,)
    config.decoder.name = "none"
    config.discriminator.name = "whole"
    return config
"""


def texts_of(path):
    """Texts in a module that are printed: all but docstrings, with X for what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "X" for p in node.values)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (id(node) not in left_out)
        ):
            yield node.value


TEXTS = [(path.relative_to(ROOT), text) for path in SOURCES for text in texts_of(path)]


def parse(line):
    """What the real parser makes of a line; it exits where it refuses."""
    words, changes = main.split_overrides(shlex.split(line)[1:])
    return main.parser().parse_args(words), changes


def test_every_command_named_in_a_message_exists_with_its_options():
    found, bad = 0, []
    for path, text in TEXTS:
        for name, options in COMMAND.findall(text):
            found += 1
            known = PARSERS.get(name)
            if known is None:
                if options or name not in WORDS:
                    bad.append((path, f"usis {name}"))
                continue
            there = {option for action in known._actions for option in action.option_strings}
            for option in options.split():
                word = option.partition("=")[0]
                field = word.removeprefix("--config.")
                if word not in there and field not in FIELDS:
                    bad.append((path, f"usis {name} {option}"))
    assert found > 40 and bad == []


def test_no_message_says_to_run_a_command_that_needs_more_than_it_shows():
    """What follows "run" is written out by `suggestions`, unless it needs no arguments."""
    bad = []
    stands_for = {"usis get-weights X": "usis get-weights inception"}
    for path, text in TEXTS:
        for line in re.findall(r"run:? (usis [^;,(]+)", text):
            for short, full in stands_for.items():
                line = line.replace(short, full)
            try:
                parse(line.strip())
            except (SystemExit, ValueError):
                bad.append((path, line))
    assert bad == []


@pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if path.suffix != ".png"], ids=lambda path: path.name
)
def test_commands_in_launch_scripts_exist(script):
    for name, options in COMMAND.findall(script.read_text(encoding="utf-8")):
        if name not in PARSERS:
            assert not options
            continue
        there = {o for action in PARSERS[name]._actions for o in action.option_strings}
        words = {option.partition("=")[0] for option in options.split()} - {"--help"}
        assert {word for word in words if not word.startswith("--config.")} <= there


@pytest.mark.parametrize(
    "config", sorted((ROOT / "configs").rglob("[!_]*.py")), ids=lambda path: path.stem
)
def test_commands_in_configurations_are_understood(config):
    head = ast.get_docstring(ast.parse(config.read_text(encoding="utf-8")))
    for line in re.findall(r"(?:Command:|or:|^) *(usis .*)$", head, re.M):
        values, changes = parse(line)
        if values.config:
            loading.apply(loading.load_config(values.config), changes)


def test_every_extra_that_a_message_installs_exists():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    extras = set(re.findall(r'^        "(\w+)": \[', setup, re.M))
    named = {name for _, text in TEXTS for name in re.findall(r"usis_jax\[(\w+)\]", text)}
    named -= {"X"}  # what `suggestions.install` puts in
    called = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    named |= set(re.findall(r'install\("(\w+)"\)', called))
    assert named and named <= extras and {"export", "tpu", "cuda"} <= extras


def test_command_line_is_quoted_and_names_each_field_once():
    line = suggestions.command_line(
        "prepare",
        config="my config.py",
        photos="a b/'c'",
        overwrite=True,
        skip_bad=False,
        data_dir=None,
        overrides=[
            ("steps", "1"),
            ("data.photos", "x:train[:50%]"),
            ("steps", "2"),
            ("generator.multipliers", (2, 1)),
        ],
    )
    values, changes = parse(line)
    assert (values.config, values.photos) == ("my config.py", "a b/'c'")
    assert values.overwrite and not values.skip_bad
    assert changes == [
        ("steps", "2"),
        ("data.photos", "x:train[:50%]"),
        ("generator.multipliers", "2,1"),
    ]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a space in its name as the current one, with a configuration and own files."""
    folder = tmp_path / "a b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    (folder / "my config.py").write_text(TINY)
    own_files.folder(folder / "my files", count=4)
    colours = [{"name": f"c{k}", "ids": [k]} for k in range(4)]
    label_spec.LabelSpec.from_dict({"name": "own", "classes": colours}).save(
        folder / "my files/labels/label_spec.toml"
    )
    return folder


def said(capsys):
    """The command at the end of the one line that the last call printed as its error."""
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "; run: usis " in line
    return line.partition("; run: ")[2]


def run(line):
    """Runs a line in this process."""
    return main.main(shlex.split(line)[1:])


def test_data_that_training_misses_are_there_after_the_command_that_it_says(here, capsys):
    train = [
        "train",
        "--config=my config.py",
        "--config.data.width=32",
        "--workdir=w",
        "--config.data.num_scenes=2",
        "--config.data.num_validation",
        "1",
    ]
    assert main.main(train) == 2
    line = said(capsys)
    assert run(line) == 0
    values, changes = parse(line)
    config = loading.load_config(values.config)
    loading.apply(config, changes)
    run_settings = settings.load(config)
    for kind in ("photos", "labels"):
        assert locations.is_prepared(locations.location(run_settings, "scenes", kind))
    assert (run_settings.data.width, run_settings.data.num_scenes) == (32, 2)


def test_own_folders_are_remembered_for_another_size(here, capsys):
    own = ["--photos=my files/photos", "--labels=my files/labels", "--name=yard"]
    assert main.main(["prepare", "--config=my config.py", *own]) == 0
    printed = capsys.readouterr().out.rpartition("next: ")[2].strip()
    values, changes = parse(printed)
    assert (values.config, values.workdir) == ("my config.py", "runs/yard")
    sources = [f"--config.{name}={text}" for name, text in changes]
    assert (
        main.main(
            ["train", "--config=my config.py", "--workdir=w", *sources, "--config.data.height=32"]
        )
        == 2
    )
    line = said(capsys)
    assert parse(line)[0].photos == "my files/photos"
    assert run(line) == 0
    printed = capsys.readouterr().out.rpartition("next: ")[2].strip()
    assert dict(parse(printed)[1])["data.height"] == "32"


def test_next_command_of_prepare_takes_a_folder_that_no_run_has(here, capsys):
    (here / "runs/yard").mkdir(parents=True)
    assert (
        main.main(
            [
                "prepare",
                "--config=my config.py",
                "--photos=my files/photos",
                "--labels=my files/labels",
                "--name=yard",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out.rpartition("next: ")[2].strip()
    assert parse(printed)[0].workdir == "runs/yard_2"


def test_missing_label_spec_is_cured_by_the_command_that_the_message_says(here, capsys):
    (here / "my files/labels/label_spec.toml").unlink()
    prepare = [
        "prepare",
        "--config=my config.py",
        "--photos=my files/photos",
        "--labels=my files/labels",
    ]
    assert main.main(prepare) == 2
    line = said(capsys).partition(" (it ")[0]
    assert run(line) == 0 and main.main(prepare) == 0


def test_damaged_data_are_built_again_by_the_command_that_the_message_says(here, capsys):
    own = ["--photos=my files/photos", "--labels=my files/labels", "--name=yard"]
    assert main.main(["prepare", "--config=my config.py", *own]) == 0
    train = capsys.readouterr().out.rpartition("next: ")[2].strip()
    place = here.parent / "prepared/yard/labels_16x16/1.0.0"
    (place / "dataset_info.json").write_text("{")
    assert run(train) == 2
    assert run(said(capsys)) == 0
    assert prepared_sets.splits(place) == {"train": 3, "validation": 1}


def test_doctor_says_how_to_build_damaged_data_again(here, capsys):
    own = ["--photos=my files/photos", "--labels=my files/labels", "--name=yard"]
    assert main.main(["prepare", "--config=my config.py", *own]) == 0
    place = here.parent / "prepared/yard/labels_16x16/1.0.0"
    (place / "dataset_info.json").write_text("{")
    (finding,) = [
        one for one in holdings.data_sets(here.parent / "prepared") if one.state == "wrong"
    ]
    capsys.readouterr()
    assert run(finding.advice) == 0
    assert prepared_sets.splits(place) == {"train": 3, "validation": 1}
    for shard in place.glob("*.array_record*"):
        shard.unlink()
    (finding,) = [
        one for one in holdings.data_sets(here.parent / "prepared") if one.state == "wrong"
    ]
    assert main.main(["prepare", "--config=my config.py", *own]) == 0  # sees that files are gone
    assert {one.state for one in holdings.data_sets(here.parent / "prepared")} == {"ok"}


def test_settings_without_a_caller_get_a_configuration_that_takes_them(tmp_path):
    run_settings = tiny_data.settings(tmp_path)
    values, changes = parse(advice.command(run_settings, "yard"))
    config = loading.load_config(values.config)
    loading.apply(config, changes)
    found = settings.load(config).data
    for field in ("photos", "labels", "validation", "height", "width", "prepared_dir"):
        assert getattr(found, field) == getattr(run_settings.data, field)
    assert values.photos == "YOUR_DIR/photos"


def test_run_is_prepared_for_with_its_work_directory(tmp_path):
    run_settings = tiny_data.settings(tmp_path)
    (tmp_path / "config.json").write_text(settings.to_json(run_settings))
    with suggestions.of_run(tmp_path):
        values, _ = parse(advice.command(run_settings, "yard"))
    assert values.workdir == str(tmp_path) and values.config is None


def test_folder_around_runs_names_them(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/config.json").write_text("{}")
    assert main.main(["evaluate", f"--workdir={tmp_path}"]) == 2
    assert f"the runs in it are {tmp_path / 'a'}" in capsys.readouterr().err
