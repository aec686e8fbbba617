"""What the README tells people to write is understood."""

import importlib
import pathlib
import re

import pytest

from usis_jax import cli, overrides
from usis_jax.data import label_spec

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^usis (?:prepare|train|sample) .*$", README, re.M)


def test_readme_label_spec_is_read(tmp_path):
    file = tmp_path / "label_spec.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", README, re.S).group(1), encoding="utf-8")
    spec = label_spec.LabelSpec.load(file)
    assert (spec.classes, spec.void) == (("sky", "ground", "unknown"), 2)
    assert dict(spec.file_ids) == {0: 0, 1: 1, 2: 1, 255: 2}


def test_readme_has_the_commands():
    assert {command.split()[1] for command in COMMANDS} == {"prepare", "train", "sample"}


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_command_is_understood(command, monkeypatch):
    asked = []
    for name in ("prepare", "train", "sample"):
        module = importlib.import_module(f"usis_jax.commands.{name}")
        monkeypatch.setattr(module, "run", lambda values: asked.append(values) or {})
    words = command.replace("$fields", "--config.data.photos=folder:train").split()
    assert cli.main(words[1:]) == 0
    if getattr(asked[0], "config", None):
        assert overrides.find_config(asked[0].config).is_file()
