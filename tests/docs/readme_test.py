"""What the README tells people to write is understood."""

import importlib
import re
import shlex

import pytest

from tests.support import own_files, places
from usis_jax.cli import main
from usis_jax.config import loading
from usis_jax.data.specs import label_spec

ROOT = places.REPOSITORY
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = (
    "inspect",
    "prepare",
    "train",
    "sample",
    "demo",
    "import-torch",
    "export-torch",
    "get-weights",
)
COMMANDS = re.findall(rf"^usis (?:{'|'.join(NAMES)}) .*$", README, re.M)


def test_label_spec_of_the_page_on_own_data_is_read(tmp_path):
    page = (ROOT / "docs/own_data.md").read_text(encoding="utf-8")
    file = tmp_path / "label_spec.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", page, re.S).group(1), encoding="utf-8")
    spec = label_spec.LabelSpec.load(file)
    assert (spec.classes, spec.void) == (("sky", "ground", "unknown"), 2)
    assert dict(spec.file_ids) == {0: 0, 1: 1, 2: 1, 255: 2}


def test_readme_has_the_commands():
    assert {command.split()[1] for command in COMMANDS} == set(NAMES)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_command_is_understood(command, monkeypatch):
    asked = []
    for name in NAMES:
        module = importlib.import_module(f"usis_jax.cli.commands.{name.replace('-', '_')}")
        monkeypatch.setattr(module, "run", lambda values: asked.append(values) or {})
    words = shlex.split(command, comments=True)
    assert main.main(words[1:]) == 0
    if getattr(asked[0], "config", None):
        assert loading.find_config(asked[0].config).is_file()


def test_readme_trains_with_the_command_that_prepare_prints(tmp_path, monkeypatch, capsys):
    for kind, array in (("photos", own_files.photo()), ("labels", own_files.label())):
        for name in "ab":
            own_files.save(array, tmp_path / f"my_data/{kind}/{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "prepared")
    for start in ("usis inspect my_data", "usis prepare --photos="):
        command = next(command for command in COMMANDS if command.startswith(start))
        assert main.main(shlex.split(command, comments=True)[1:]) == 0
    printed = capsys.readouterr().out.rpartition("next: ")[2].strip()
    assert printed in COMMANDS
