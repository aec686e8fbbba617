"""Runs the scripts in launch/ with commands of one's own in the place of what a cluster has."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

from tests.support import places

ROOT = places.REPOSITORY
LAUNCH = ROOT / "launch"
SCRIPTS = ("quickstart.sh", "test.sh", "docs.sh", "local.sh", "slurm.sbatch", "tpu_pod.sh")
NEW = ("local.sh", "slurm.sbatch", "tpu_pod.sh")
TPU = ("--name=usis", "--zone=us-east5-a")


def environment(folder=None, **more):
    """Environment without what a surrounding cluster or machine says; `folder` is first on PATH."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("SLURM", "CUDA", "XLA", "JAX", "COORDINATOR", "NUM_PROC"))
    }
    path = [str(folder)] if folder else []
    path += [str(pathlib.Path(sys.executable).parent), kept["PATH"]]
    return kept | {"PATH": os.pathsep.join(path)} | more


def run(script, *words, folder=None, **more):
    return subprocess.run(
        ["bash", str(LAUNCH / script), *words],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=300,
        env=environment(folder, **more),
    )


def lines_of(script, *words, folder=None, **more):
    """Output lines of a run that succeeds."""
    done = run(script, *words, folder=folder, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def stub(tmp_path):
    """Puts commands of one's own on PATH: stub(name, bash lines)."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(name, text):
        (folder / name).write_text(f"#!/usr/bin/env bash\ncd {tmp_path}\n{text}\n")
        (folder / name).chmod(0o755)
        return folder

    return make


def wait_for(*paths):
    until = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        assert time.monotonic() < until
        time.sleep(0.02)
