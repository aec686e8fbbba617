"""Environment variables that JAX or XLA do not take: one line that names them."""

import os
import subprocess
import sys

import jax
import pytest

from usis_jax import errors
from usis_jax.cli import main
from usis_jax.distributed import jax_environment


def test_platform_that_is_not_there_is_named_with_those_that_are(monkeypatch):
    find = jax.devices

    def devices(kind=None):
        if kind is None or kind in ("tpu", "cuda", "rocm"):
            raise RuntimeError("Unable to initialize backend 'foo': no such (set JAX_PLATFORMS='')")
        return find(kind)

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "foo")
    before = jax.config.jax_platforms
    with pytest.raises(errors.UserError) as raised:
        jax_environment.check_devices()
    assert str(raised.value) == (
        "JAX_PLATFORMS is 'foo', and JAX finds no such device here (Unable to initialize backend "
        "'foo': no such); here are: cpu; set JAX_PLATFORMS to one of them or unset it, and see "
        "usis doctor"
    )
    assert jax.config.jax_platforms == before


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("libtpu is in use")])
def test_devices_that_cannot_be_used_are_no_traceback(monkeypatch, capsys, error):
    def devices(kind=None):
        raise error

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert main.main(["sample", "--out=nowhere"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("usis: JAX cannot use its devices") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "JAX_ENABLE_X64",
            "maybe",
            "JAX_ENABLE_X64=maybe in the environment: JAX does not take it",
        ),
        (
            "XLA_FLAGS",
            "--xla_no_such_flag=1",
            "XLA refuses it (Unknown flag in XLA_FLAGS: --xla_no_s",
        ),
        ("JAX_PLATFORMS", "CPU", "JAX_PLATFORMS is 'CPU', and JAX finds no such device here"),
    ],
)
def test_wrong_variable_is_one_line(tmp_path, variable, value, words):
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    root = os.path.dirname(os.path.dirname(os.path.abspath(main.__file__)))
    done = subprocess.run(
        [sys.executable, "-m", "usis_jax", "sample", f"--out={tmp_path / 'out'}"],
        capture_output=True, text=True,
        env={**environment, "PYTHONPATH": root, variable: value})  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith(f"usis: {variable}")
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
