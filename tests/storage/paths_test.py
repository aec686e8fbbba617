"""Paths that a user gives: what they become, and that every command and field asks one place."""

import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys

import ml_collections
import pytest

import usis_jax
from usis_jax.cli import main
from usis_jax.cli.commands import arguments, completion
from usis_jax.config import constraints, settings
from usis_jax.data.preparation import locations, own_folders
from usis_jax.data.specs import lookup
from usis_jax.errors import UserError
from usis_jax.evaluation.evaluators import pretrained_weights, segmentation_evaluator
from usis_jax.storage import cache_dir, paths
from usis_jax.workdir import layout

# Options that take a text and name no file or folder. A new option is either here or a PathOption.
NO_PATHS = {"config.field", "host", "allow_host", "topology", "perceptual", "name", "pairs",
            "measure", "coordinator_address", "step"}  # fmt: skip


def every_option():
    """(command, action) of each option and positional argument that takes a free text."""
    for command, parser in completion.commands_of(main.parser()).items():
        for action in parser._actions:
            if action.nargs == 0 or action.choices or isinstance(action, argparse._HelpAction):
                continue
            yield command, action


PATHS = [(command, action) for command, action in every_option()
         if isinstance(action, arguments.PathOption)]  # fmt: skip
IDS = [f"{command} {action.dest}" for command, action in PATHS]


def says(capsys, *words):
    """The one line that `usis` says about bad input."""
    capsys.readouterr()
    assert main.main(list(words)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said.removeprefix("usis: ").rstrip("\n")


def words_of(command, action, value):
    """A command line that gives the option or positional argument that value."""
    if action.option_strings:
        return [command, f"{action.option_strings[0]}={value}"]
    first = ["there"] if (command, action.dest) == ("export-torch", "file") else []
    return [command, *first, value]


def name_of(action):
    return action.option_strings[0] if action.option_strings else action.metavar


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "cwd" / "there").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


def test_every_option_of_every_command_is_a_path_or_known_to_be_none():
    texts = {(command, action.dest) for command, action in every_option()
             if not isinstance(action, arguments.PathOption) and action.type is None}  # fmt: skip
    assert {dest for _, dest in texts} <= NO_PATHS
    assert len(PATHS) > 40


def test_every_option_with_the_metavar_of_a_path_is_one():
    for command, action in every_option():
        looks = set((action.metavar or "").split("|")) & {"FILE", "DIR", "PATH", "WORKDIR"}
        assert bool(looks) == isinstance(action, arguments.PathOption), (command, action.dest)


@pytest.mark.parametrize(("command", "action"), PATHS, ids=IDS)
def test_every_path_refuses_what_is_no_path_and_writes_nothing(here, capsys, command, action):
    for value, words in (
        ("", "is empty"),
        ("  ", "is empty"),
        ("gs://bucket/x", "is gs://bucket/x; gs:// is not supported"),
        ("gs:/bucket/x", "gs:// is not supported"),
        ("S3://bucket", "s3:// is not supported"),
        ("hdfs://host/x", "hdfs:// is not supported"),
        ("file:///data/x", "leave out file:// and give /data/x"),
        ("https://host/x.zip", "download it"),
        ("a\0b", r"'a\x00b'"),
        ("x\r", r"'x\r'"),
        ("caf\udce9", r"caf\xe9, which is not UTF-8"),
        ("~no_such_user_here/x", "there is no user no_such_user_here"),
    ):
        said = says(capsys, *words_of(command, action, value))
        assert said.startswith(f"{name_of(action)} is"), (value, said)
        assert words in said
    assert [path.name for path in here.iterdir()] == ["there"]


@pytest.mark.parametrize(("command", "action"), PATHS, ids=IDS)
def test_every_path_expands_the_home_folder(here, command, action):
    parser = completion.commands_of(main.parser())[command]
    own = next(one for one in parser._actions if one.dest == action.dest)
    values = argparse.Namespace()
    many = action.nargs == "+"
    own(parser, values, ["~/x"] if many else "~/x", name_of(action))
    read = getattr(values, action.dest)
    assert (read[0] if many else read) == str(here.parent / "home" / "x")


@pytest.mark.parametrize("field", settings.PATHS)
@pytest.mark.parametrize("value", ["gs://b/x", "gs:/b/x", "a/\0b", "~no_such_user_here/x"])
def test_every_field_that_is_a_path_refuses_what_is_none(here, capsys, field, value):
    others = {"evaluation.evaluator": "swd,evaluator", "evaluation.inception": "swd,fid"}
    more = [f"--config.evaluation.measures={others[field]}"] if field in others else []
    said = says(capsys, "prepare", "--config=configs/small.py", f"--config.{field}={value}", *more)
    assert said.startswith(f"--config.{field} is")
    assert [path.name for path in here.iterdir()] == ["there"]


def test_every_field_whose_name_says_so_is_a_path():
    texts = [name for name, value in settings.flatten(settings.Settings()).items()
             if isinstance(value, str)]  # fmt: skip
    # Sources of data are NAME:SPLIT, the others words of a list.
    assert set(settings.PATHS) == {"data.prepared_dir", "data.label_spec", "evaluation.evaluator",
                                   "evaluation.inception"}  # fmt: skip
    assert {
        name
        for name in texts
        if name.split(".")[-1].endswith(("dir", "evaluator", "inception", "spec"))
    } == set(settings.PATHS)


def settings_of(*overrides, **values):
    """Settings that a command gets of these overrides."""
    given = argparse.Namespace(command="train", workdir="x", config="configs/small.py",
                               overrides=list(overrides), **values)  # fmt: skip
    return arguments.settings_of(given)


def test_fields_expand_the_home_folder(here):
    found = settings_of(("data.prepared_dir", "~/data"), ("data.label_spec", "~/spec.toml"))
    assert found.data.prepared_dir == str(here.parent / "home" / "data")
    assert found.data.label_spec == str(here.parent / "home" / "spec.toml")


def test_name_of_a_built_in_label_spec_stays_although_a_folder_has_it(here):
    (here / "cityscapes").mkdir()
    assert settings_of(("data.label_spec", "cityscapes")).data.label_spec == "cityscapes"


def test_empty_field_is_refused_unless_it_takes_a_value_back(here, tmp_path):
    with pytest.raises(UserError, match=r"--config\.data\.prepared_dir is empty"):
        settings_of(("data.prepared_dir", ""))
    file = here / "mine.py"
    file.write_text("from configs import small\ndef get_config():\n    c = small.get_config()\n"
                    "    c.data.prepared_dir = '~/data'\n    return c\n")  # fmt: skip
    values = argparse.Namespace(command="train", workdir="x", config=str(file), overrides=[])
    assert arguments.settings_of(values).data.prepared_dir == str(here.parent / "home" / "data")
    values.overrides = [("data.prepared_dir", "")]
    assert arguments.settings_of(values).data.prepared_dir == ""


def test_help_shows_no_empty_path_that_would_be_refused():
    for name in settings.PATHS:
        assert f"--config.{name}=\n" not in arguments.fields_help() + "\n"


@pytest.mark.parametrize("words", [
    ["prepare", "--name="], ["demo", "--host="], ["train", "--workdir=x", "--coordinator_address="],
    ["demo", "--allow_host= "], ["compile", "--topology="], ["evaluate", "--perceptual", ""],
])  # fmt: skip
def test_other_options_refuse_an_empty_value(here, capsys, words):
    option = next(word for word in reversed(words) if word.startswith("--")).partition("=")[0]
    assert says(capsys, *words).startswith(f"{option} is empty")
    assert not (here / "x").exists()


@pytest.mark.parametrize(("make", "text", "kind", "words"), [
    (lambda f: f.touch(), "f", paths.FOLDER, "f, which is a file; it must be a folder"),
    (lambda f: f.with_suffix(".zip").touch(), "f.zip", paths.FOLDER, "unpack it first"),
    (lambda f: f.mkdir(), "f", paths.FILE, "f, which is a folder; it must be a file"),
    (lambda f: f.touch(), "f/x/y", paths.ANY, "f is a file, so nothing can lie in it"),
    (lambda f: f.symlink_to("gone"), "f", paths.ANY, "f is a link to gone, which is not there"),
    (lambda f: f.symlink_to("gone"), "f/x", paths.FOLDER, "is a link to gone"),
    (lambda f: f.symlink_to("f"), "f", paths.FOLDER, "leads in a circle"),
    (lambda f: f.touch(), "f", paths.RUN, "f, which is a file; it must be a folder"),
    (lambda f: None, " f", paths.ANY, "must not begin or end with a space"),
    (lambda f: None, 3, paths.ANY, "is 3; it must be a path"),
])  # fmt: skip
def test_what_is_there_must_fit(here, make, text, kind, words):
    make(here / "f")
    with pytest.raises(UserError) as caught:
        paths.of(text, "--option", kind)
    assert str(caught.value).startswith("--option is")
    assert words in str(caught.value)


def test_what_fits_or_is_not_there_is_taken(here):
    (here / " f ").mkdir()
    (here / "g.safetensors").touch()
    for text, kind in (("new/x", paths.FOLDER), (" f ", paths.FOLDER), ("C:/x", paths.ANY),
                       ("a [b] 'c' é", paths.ANY), ("g.safetensors", paths.RUN),
                       (pathlib.Path("x"), paths.FILE), (b"x", paths.FILE)):  # fmt: skip
        assert os.fspath(paths.of(text, "--option", kind)) == os.fsdecode(text)


def test_names_that_would_be_read_otherwise_are_told_by_their_folder(here):
    for text in ("./~x", "./gs:/x"):
        once = paths.of(text, "--option")
        assert once == here / text
        assert paths.of(once, "--option") == once
    twice = paths.of(paths.of("~/x", "--option"), "--option")
    assert twice == here.parent / "home" / "x"


def test_missing_home_is_named(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user that is unknown
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    with pytest.raises(UserError, match=r"TFDS_DATA_DIR.*home folder is not known, set HOME"):
        locations.directory(settings.Settings())


def test_environment_variables_are_read_as_options_are(here, monkeypatch):
    home = here.parent / "home"
    for variable, directory in (
        ("USIS_CACHE", cache_dir.directory),
        ("TFDS_DATA_DIR", lambda: locations.directory(settings.Settings())),
    ):
        monkeypatch.setenv(variable, "~/kept")
        assert directory() == home / "kept"
        monkeypatch.setenv(variable, "s3://bucket")
        with pytest.raises(UserError, match=rf"\${variable} is s3://bucket"):
            directory()
        monkeypatch.setenv(variable, "")
        assert home in directory().parents


def test_current_folder_that_is_gone_or_not_utf8_is_named(here):
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    with pytest.raises(UserError, match="current folder was deleted"):
        paths.of("x", "--option")
    os.mkdir(os.fsencode(here) + b"/caf\xe9")
    os.chdir(os.fsencode(here) + b"/caf\xe9")
    with pytest.raises(UserError, match=r"caf\\xe9/x, which is not UTF-8"):
        paths.of("x", "--option")
    os.chdir(here)


@pytest.mark.parametrize("value", ["", "gs://bucket/run", "gs:/bucket/run", "a\0b"])
def test_functions_of_the_package_refuse_what_options_refuse(here, value):
    from usis_jax.evaluation import eval_inputs
    from usis_jax.export import export, torch_export, torch_import
    from usis_jax.report import reporting
    from usis_jax.train import run

    for call in (
        lambda: usis_jax.Generator.load(value),
        lambda: run.train(settings.Settings(), value),
        lambda: segmentation_evaluator.Evaluator.load(value),
        lambda: segmentation_evaluator.check_free(value),
        lambda: reporting.write(value),
        lambda: eval_inputs.collect(value),
        lambda: export.export(None, "stablehlo", value),
        lambda: torch_export.export_checkpoint(value, "x.pth"),
        lambda: torch_import.import_checkpoint("x.pth", "usis", value),
        lambda: torch_import.import_checkpoint(value, "usis", "new"),
        lambda: own_folders.find("own", value, "labels"),
        lambda: pretrained_weights.get("inception", cache=value or "  "),
    ):
        with pytest.raises(UserError):
            call()
    assert [path.name for path in here.iterdir()] == ["there"]


def test_arguments_that_are_not_utf8_are_refused_in_a_line(capsys):
    said = says(capsys, "prepare", "--config=configs/small.py", "--config.wandb.project=\udcff")
    assert said.startswith(r"--config.wandb.project is \xff, which is not UTF-8")


def test_python_that_reads_names_otherwise_is_told_so(here):
    code = "from usis_jax.storage import paths; import sys; paths.of(sys.argv[1], '--labels')"
    done = subprocess.run([sys.executable, "-c", code, "caf\u00e9"], capture_output=True, text=True,
                          env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0",
                                            "PYTHONCOERCECLOCALE": "0"})  # fmt: skip
    assert "reads names as ascii here; set PYTHONUTF8=1" in done.stderr


def test_fields_of_a_group_are_found_by_their_dotted_names():
    assert constraints.paths_of(settings.Settings)["data.prepared_dir"] == paths.FOLDER
    config = ml_collections.ConfigDict(settings.to_dict(settings.Settings()))
    assert set(settings.PATHS) <= set(constraints.flatten(config.to_dict()))


def test_relative_fields_are_kept_as_absolute_ones_and_an_old_run_goes_on(here):
    found = settings_of(("data.prepared_dir", "data"), ("data.label_spec", "./spec.toml"))
    assert found.data.prepared_dir == str(here / "data")
    assert found.data.label_spec == str(here / "spec.toml")
    (here / "run").mkdir()
    old = dataclasses.replace(found.data, label_spec="spec.toml", prepared_dir="data")
    layout.save_settings("run", dataclasses.replace(found, data=old))
    layout.check(found, "run")
    other = dataclasses.replace(found.data, label_spec=str(here / "other.toml"))
    with pytest.raises(ValueError, match=r"data\.label_spec: 'spec\.toml' -> .*other\.toml"):
        layout.check(dataclasses.replace(found, data=other), "run")


def test_folder_of_a_run_that_is_a_link_to_nothing_is_named(here):
    (here / "run").mkdir()
    (here / "run" / "checkpoints").symlink_to("/mnt/not/mounted")
    with pytest.raises(UserError, match=r"checkpoints is a link to /mnt/not/mounted, which is not"):
        layout.check(settings.Settings(), here / "run")


def test_functions_of_the_package_expand_the_home_folder(here):
    from usis_jax.data.preparation import folder_layout
    from usis_jax.evaluation import eval_inputs
    from usis_jax.inference import label_folders
    from usis_jax.report import reporting

    for call in (
        lambda: usis_jax.Generator.load("~/x"),
        lambda: segmentation_evaluator.Evaluator.load("~/x"),
        lambda: reporting.write("~/x"),
        lambda: eval_inputs.collect("~/x"),
        lambda: label_folders.list_labels("~/x"),
        lambda: lookup.find("~/x/spec.toml"),
        lambda: folder_layout.list_files("~/x", "photos"),
        lambda: own_folders.find("own", "~/x", "labels"),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert str(here.parent / "home" / "x") in str(caught.value)
