"""`usis completion`: what the shells themselves offer after Tab."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from usis_jax.cli import main
from usis_jax.cli.commands import completion
from usis_jax.config import settings

FIELDS = {f"--config.{name}" for name in settings.flatten(settings.Settings())}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in completion.SHELLS:
        (folder / shell).write_text(completion.script(main.parser(), shell), encoding="utf-8")
    return folder


def in_bash(scripts, *words):
    """What bash would offer for the last of the words, which it has cut at each `=`."""
    listed = " ".join(f"'{word}'" for word in words)
    code = (
        f". '{scripts / 'bash'}'; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}\n"
        '$(complete -p usis | sed "s/.*-F //; s/ usis//") 2>/dev/null; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=scripts, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def in_fish(scripts, line):
    """What fish offers at the end of a line, without the descriptions."""
    code = f"source '{scripts / 'fish'}'; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], capture_output=True, text=True, cwd=scripts, check=True
    )
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


def in_zsh(scripts, line, wanted):
    """What zsh shows for a line after Tab, typed at a real prompt; waits until `wanted` came."""
    terminal, other = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i", "+m"],
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env=os.environ | {"TERM": "dumb"},
    )
    os.close(other)
    try:
        os.write(
            terminal,
            b"PS1=; stty cols 100 rows 100; autoload -U compinit; compinit -u -D; "
            b"LISTMAX=1000; eval \"$(cat %s)\"; printf 're%%s\\n' ady\n"
            % str(scripts / "zsh").encode(),
        )
        _read(terminal, "ready\r")
        os.write(terminal, line.encode() + b"\t\t")
        return _read(terminal, wanted)
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


def _read(terminal, until):
    """What comes from a terminal, to the text awaited or for half a minute."""
    text, end = b"", time.monotonic() + 30
    while until.encode() not in text and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 1 << 16)
    return text.decode()


def test_bash_offers_every_command(scripts):
    assert in_bash(scripts, "usis", "") == set(completion.commands_of(main.parser()))
    assert in_bash(scripts, "usis", "get") == {"get-weights"}


def test_bash_offers_every_field_of_the_configuration(scripts):
    assert in_bash(scripts, "usis", "train", "--config.") == FIELDS
    assert {"--workdir", "--config", "--json"} <= in_bash(scripts, "usis", "train", "--")
    assert not FIELDS & in_bash(scripts, "usis", "sample", "--")


@pytest.mark.parametrize(
    "words",
    [("--config.generator.name", ""), ("--config.generator.name", "="),
     ("--config.generator.name", "=", "w")],
)  # fmt: skip
def test_bash_offers_the_values_of_a_field(scripts, words):
    wanted = {"wavelet"} if words[-1] == "w" else {"spade", "wavelet"}
    assert in_bash(scripts, "usis", "train", *words) == wanted


def test_bash_offers_files_and_folders_after_an_equals_sign(scripts):
    (scripts / "photos").mkdir(exist_ok=True)
    (scripts / "photo.txt").touch()
    assert in_bash(scripts, "usis", "prepare", "--photos", "=", "pho") == {"photos"}
    assert in_bash(scripts, "usis", "prepare", "--config", "=", "pho") == {"photos", "photo.txt"}
    after = in_bash(scripts, "usis", "train", "--workdir", "=", "x", "--config.remat", "=", "b")
    assert after == {"blocks"}


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_offers_commands_fields_and_values(scripts):
    assert in_fish(scripts, "usis ") == set(completion.commands_of(main.parser()))
    assert in_fish(scripts, "usis train --config.") >= FIELDS
    values = in_fish(scripts, "usis train --config.generator.name=")
    assert {value.rpartition("=")[2] for value in values} == {"spade", "wavelet"}


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_offers_commands_fields_and_values(scripts):
    assert "train-evaluator " in in_zsh(scripts, "usis ", "train-evaluator ")
    assert "--config.data.height=" in in_zsh(scripts, "usis train --config.data.h", "height=")
    assert "spade" in in_zsh(scripts, "usis train --config.generator.name=", "wavelet")


def test_script_goes_to_standard_output(capsys):
    assert main.main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == completion.script(main.parser(), "bash")
