"""The scripts in launch/: lint, help, bad use; and launch/local.sh, whose processes are real."""

import json
import re
import shutil
import signal
import subprocess
import sysconfig

import numpy as np
import pytest

from tests.support import launching, own_files
from tests.support.launching import (
    LAUNCH,
    NEW,
    ROOT,
    SCRIPTS,
    TPU,
    environment,
    lines_of,
    run,
    wait_for,
)
from usis_jax.data.specs import label_spec

stub = launching.stub  # a fixture


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script):
    here = shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    checker = here or shutil.which("shellcheck")
    assert checker, "shellcheck is missing: pip install -e '.[test]'"
    subprocess.run(["bash", "-n", LAUNCH / script], check=True)
    done = subprocess.run([checker, "-x", f"launch/{script}"], cwd=ROOT, capture_output=True)
    assert done.stdout.decode() == "" and done.returncode == 0


@pytest.mark.parametrize("script", NEW)
def test_help_says_how_to_use_the_script(script):
    text = "\n".join(lines_of(script, "--help"))
    assert "Use" in text and "Exit code" in text and "set -e" not in text


BAD_USE = {
    "local.sh without command": ("local.sh", [], "no command; for example: train"),
    "local.sh with an unknown option": ("local.sh", ["--gpus=2"], "unknown option --gpus=2"),
    "local.sh with no processes": (
        "local.sh",
        ["--processes=0", "train"],
        "--processes is '0'; it must be 1 to 64",
    ),
    "local.sh with a word for a number": (
        "local.sh",
        ["--devices=two", "train"],
        "--devices is 'two'; it must be 1 to 256",
    ),
    "local.sh with a port that cannot be": (
        "local.sh",
        ["--port=99999", "train"],
        "--port is '99999'; it must be 1 to 65535",
    ),
    "slurm.sbatch without command": ("slurm.sbatch", [], "no command; for example"),
    "slurm.sbatch outside Slurm": ("slurm.sbatch", ["train"], "this is no Slurm job"),
    "slurm.sbatch with an option": ("slurm.sbatch", ["--nodes=2"], "unknown option --nodes=2"),
    "tpu_pod.sh without name": ("tpu_pod.sh", ["--zone=z", "train"], "--name is ''"),
    "tpu_pod.sh without zone": ("tpu_pod.sh", ["--name=usis", "train"], "--zone is missing"),
    "tpu_pod.sh without command": ("tpu_pod.sh", [*TPU], "no command; for example"),
    "tpu_pod.sh with a share that cannot be": (
        "tpu_pod.sh",
        [*TPU, "--nfs=x; rm", "train"],
        "--nfs is 'x; rm'; it must be HOST:/SHARE",
    ),
    "tpu_pod.sh with a word for a number": (
        "tpu_pod.sh",
        [*TPU, "--restarts=x", "train"],
        "--restarts is 'x'; it must be a whole number",
    ),
}


@pytest.mark.parametrize("kind", BAD_USE)
def test_bad_use_is_one_line_and_exit_code_2(kind):
    script, words, says = BAD_USE[kind]
    done = run(script, *words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and says in done.stderr


def test_local_dry_run_prints_each_process_with_its_address_and_devices(stub):
    folder = stub("nvidia-smi", "exit 9")  # no GPU answers
    words = ("--devices=4", "--processes=2", "--port=5000", "--dry_run", "train", "--workdir=a b")
    variables = (
        "env JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4 "
        "COORDINATOR_ADDRESS=127.0.0.1:5000 NUM_PROCESSES=2 PROCESS_ID="
    )
    assert lines_of("local.sh", *words, folder=folder) == [
        f"{variables}{number} python -m usis_jax train --workdir=a\\ b" for number in (0, 1)
    ]
    assert lines_of("local.sh", "inspect", "x", folder=folder, DRY_RUN="1") == [
        "env JAX_PLATFORMS=cpu python -m usis_jax inspect x"
    ]


def test_local_divides_the_gpus_of_the_machine(stub):
    folder = stub("nvidia-smi", "for i in 0 1 2 3; do echo GPU $i: one; done")
    assert lines_of("local.sh", "--dry_run", "train", folder=folder) == [
        "env python -m usis_jax train"
    ]
    two = lines_of("local.sh", "--dry_run", "--processes=2", "--port=1", "train", folder=folder)
    assert [re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", line)[1] for line in two] == ["0\\,1", "2\\,3"]
    given = lines_of(
        "local.sh", "--dry_run", "--processes=2", "train", folder=folder, CUDA_VISIBLE_DEVICES="5,7"
    )
    assert [re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", line)[1] for line in given] == ["5", "7"]
    done = run("local.sh", "--dry_run", "--processes=3", "train", folder=folder)
    assert done.returncode == 2 and "it must divide the 4 GPUs (or add --cpu)" in done.stderr
    assert len(lines_of("local.sh", "--dry_run", "--cpu", "--processes=3", "x", folder=folder)) == 3


CONFIG = """
from configs import base


def get_config():
    config = base.get_config()
    config.update(dict(steps=2, batch_size=4, update="joint", log_interval=1, sample_interval=0,
                       checkpoint_interval=0, eval_interval=0, r1_interval=0))
    config.data.update(dict(height=16, width=16, threads=0, photos="own:train",
                            labels="own:train", validation="own:validation"))
    config.generator.update(dict(width=2, multipliers=(2, 2, 1), z_dim=4, spade_width=4))
    config.segmenter.update(dict(down=(4,), up=(4,)))
    config.discriminator.update(dict(channel_base=64, channel_max=8, dense=8, stddev_group=2))
    config.decoder.name = "none"
    return config
"""


@pytest.mark.slow
def test_two_processes_on_this_machine_train_together(tmp_path):
    own_files.folder(tmp_path, 8)
    label_spec.LabelSpec("four", tuple("abcd")).save(tmp_path / "label_spec.toml")
    (tmp_path / "tiny.py").write_text(CONFIG)
    more = {
        "TFDS_DATA_DIR": str(tmp_path / "prepared"),
        "TMPDIR": str(tmp_path),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    config = f"--config={tmp_path}/tiny.py"
    done = run(
        "local.sh",
        "--no_install",
        "prepare",
        config,
        f"--photos={tmp_path}/photos",
        f"--labels={tmp_path}/labels",
        **more,
    )
    assert done.returncode == 0, done.stderr
    done = run(
        "local.sh",
        "--no_install",
        "--cpu",
        "--processes=2",
        "train",
        config,
        f"--workdir={tmp_path}/run",
        f"--json={tmp_path}/result.json",
        **more,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert np.isfinite(list(rows[1].values())).all()
    assert (tmp_path / "run/checkpoints/2").is_dir()
    assert not list(tmp_path.glob("usis_local.*"))  # nothing went wrong, nothing to look at


def test_local_ends_with_the_code_of_the_process_that_failed_and_shows_its_words(stub, tmp_path):
    folder = stub("python", "echo words of $PROCESS_ID; [ $PROCESS_ID = 1 ] && exit 7; exit 0")
    done = run(
        "local.sh",
        "--no_install",
        "--cpu",
        "--processes=3",
        "--port=1",
        "train",
        folder=folder,
        TMPDIR=str(tmp_path),
    )
    assert done.returncode == 7
    assert re.search(
        r"process 1 ended with exit code 7; .*process_1.log is: words of 1", done.stderr
    )
    assert done.stdout == "words of 0\n"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_local_hands_a_signal_to_all_processes_and_waits_for_them(stub, tmp_path, name, code):
    folder = stub(
        "python",
        "trap 'touch saved_$PROCESS_ID; exit 75' TERM; touch up_$PROCESS_ID; "
        "while :; do sleep 0.05; done",
    )
    running = subprocess.Popen(
        ["bash", LAUNCH / "local.sh", "--no_install", "--cpu", "--processes=2", "--port=1", "x"],
        env=environment(folder, TMPDIR=str(tmp_path)),
    )
    wait_for(tmp_path / "up_0", tmp_path / "up_1")
    running.send_signal(getattr(signal, name))
    assert running.wait(30) == code
    assert (tmp_path / "saved_0").exists() and (tmp_path / "saved_1").exists()
