"""The scripts in launch/: lint, bad use, dry runs, and what they do when runs end or are stopped.

Slurm and Cloud TPUs are played by small scripts on PATH; processes on 127.0.0.1 are real.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import numpy as np
import pytest
import yaml

from tests import own_files
from usis_jax.data import label_spec

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAUNCH = ROOT / "launch"
SCRIPTS = ("quickstart.sh", "test.sh", "local.sh", "slurm.sbatch", "tpu_pod.sh")
NEW = ("local.sh", "slurm.sbatch", "tpu_pod.sh")
TPU = ("--name=usis", "--zone=us-east5-a")


def _environment(folder=None, **more):
    """Environment without what a surrounding cluster or machine says; `folder` is first on PATH."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("SLURM", "CUDA", "XLA", "JAX", "COORDINATOR", "NUM_PROC"))}
    path = [str(folder)] if folder else []
    path += [str(pathlib.Path(sys.executable).parent), kept["PATH"]]
    return kept | {"PATH": os.pathsep.join(path)} | more


def _run(script, *words, folder=None, **more):
    return subprocess.run(["bash", str(LAUNCH / script), *words], cwd=ROOT, text=True,
                          capture_output=True, timeout=120, env=_environment(folder, **more))


def _lines(script, *words, folder=None, **more):
    """Output lines of a run that succeeds."""
    done = _run(script, *words, folder=folder, **more)
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
    text = "\n".join(_lines(script, "--help"))
    assert "Use" in text and "Exit code" in text and "set -e" not in text


BAD_USE = {
    "local.sh without command": ("local.sh", [], "no command; for example: train"),
    "local.sh with an unknown option": ("local.sh", ["--gpus=2"], "unknown option --gpus=2"),
    "local.sh with no processes": ("local.sh", ["--processes=0", "train"],
                                   "--processes is '0'; it must be 1 to 64"),
    "local.sh with a word for a number": ("local.sh", ["--devices=two", "train"],
                                          "--devices is 'two'; it must be 1 to 256"),
    "local.sh with a port that cannot be": ("local.sh", ["--port=99999", "train"],
                                            "--port is '99999'; it must be 1 to 65535"),
    "slurm.sbatch without command": ("slurm.sbatch", [], "no command; for example"),
    "slurm.sbatch outside Slurm": ("slurm.sbatch", ["train"], "this is no Slurm job"),
    "slurm.sbatch with an option": ("slurm.sbatch", ["--nodes=2"], "unknown option --nodes=2"),
    "tpu_pod.sh without name": ("tpu_pod.sh", ["--zone=z", "train"], "--name is ''"),
    "tpu_pod.sh without zone": ("tpu_pod.sh", ["--name=usis", "train"], "--zone is missing"),
    "tpu_pod.sh without command": ("tpu_pod.sh", [*TPU], "no command; for example"),
    "tpu_pod.sh with a share that cannot be": ("tpu_pod.sh", [*TPU, "--nfs=x; rm", "train"],
                                               "--nfs is 'x; rm'; it must be HOST:/SHARE"),
    "tpu_pod.sh with a word for a number": ("tpu_pod.sh", [*TPU, "--restarts=x", "train"],
                                            "--restarts is 'x'; it must be a whole number"),
}


@pytest.mark.parametrize("kind", BAD_USE)
def test_bad_use_is_one_line_and_exit_code_2(kind):
    script, words, says = BAD_USE[kind]
    done = _run(script, *words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and says in done.stderr


def test_local_dry_run_prints_each_process_with_its_address_and_devices(stub):
    folder = stub("nvidia-smi", "exit 9")  # no GPU answers
    words = ("--devices=4", "--processes=2", "--port=5000", "--dry_run", "train", "--workdir=a b")
    variables = ("env JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4 "
                 "COORDINATOR_ADDRESS=127.0.0.1:5000 NUM_PROCESSES=2 PROCESS_ID=")
    assert _lines("local.sh", *words, folder=folder) == [
        f"{variables}{number} python -m usis_jax train --workdir=a\\ b" for number in (0, 1)]
    assert _lines("local.sh", "inspect", "x", folder=folder, DRY_RUN="1") == [
        "env JAX_PLATFORMS=cpu python -m usis_jax inspect x"]


def test_local_divides_the_gpus_of_the_machine(stub):
    folder = stub("nvidia-smi", "for i in 0 1 2 3; do echo GPU $i: one; done")
    assert _lines("local.sh", "--dry_run", "train", folder=folder) == [
        "env python -m usis_jax train"]
    two = _lines("local.sh", "--dry_run", "--processes=2", "--port=1", "train", folder=folder)
    assert [re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", line)[1] for line in two] == ["0\\,1", "2\\,3"]
    given = _lines("local.sh", "--dry_run", "--processes=2", "train", folder=folder,
                   CUDA_VISIBLE_DEVICES="5,7")
    assert [re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", line)[1] for line in given] == ["5", "7"]
    done = _run("local.sh", "--dry_run", "--processes=3", "train", folder=folder)
    assert done.returncode == 2 and "it must divide the 4 GPUs (or add --cpu)" in done.stderr
    assert len(_lines("local.sh", "--dry_run", "--cpu", "--processes=3", "x", folder=folder)) == 3


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


def test_two_processes_on_this_machine_train_together(tmp_path):
    own_files.folder(tmp_path, 8)
    label_spec.LabelSpec("four", tuple("abcd")).save(tmp_path / "label_spec.toml")
    (tmp_path / "tiny.py").write_text(CONFIG)
    more = {"TFDS_DATA_DIR": str(tmp_path / "prepared"), "TMPDIR": str(tmp_path),
            "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    config = f"--config={tmp_path}/tiny.py"
    done = _run("local.sh", "--no_install", "prepare", config, f"--photos={tmp_path}/photos",
                f"--labels={tmp_path}/labels", **more)
    assert done.returncode == 0, done.stderr
    done = _run("local.sh", "--no_install", "--cpu", "--processes=2", "train", config,
                f"--workdir={tmp_path}/run", f"--json={tmp_path}/result.json", **more)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert np.isfinite(list(rows[1].values())).all()
    assert (tmp_path / "run/checkpoints/2").is_dir()
    assert not list(tmp_path.glob("usis_local.*"))  # nothing went wrong, nothing to look at


def test_local_ends_with_the_code_of_the_process_that_failed_and_shows_its_words(stub, tmp_path):
    folder = stub("python", "echo words of $PROCESS_ID; [ $PROCESS_ID = 1 ] && exit 7; exit 0")
    done = _run("local.sh", "--no_install", "--cpu", "--processes=3", "--port=1", "train",
                folder=folder, TMPDIR=str(tmp_path))
    assert done.returncode == 7
    assert re.search(r"process 1 ended with exit code 7; .*process_1.log is: words of 1",
                     done.stderr)
    assert done.stdout == "words of 0\n"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_local_hands_a_signal_to_all_processes_and_waits_for_them(stub, tmp_path, name, code):
    folder = stub("python", "trap 'touch saved_$PROCESS_ID; exit 75' TERM; touch up_$PROCESS_ID; "
                            "while :; do sleep 0.05; done")
    running = subprocess.Popen(
        ["bash", LAUNCH / "local.sh", "--no_install", "--cpu", "--processes=2", "--port=1", "x"],
        env=_environment(folder, TMPDIR=str(tmp_path)))
    _wait_for(tmp_path / "up_0", tmp_path / "up_1")
    running.send_signal(getattr(signal, name))
    assert running.wait(30) == code
    assert (tmp_path / "saved_0").exists() and (tmp_path / "saved_1").exists()


def _wait_for(*paths):
    until = time.monotonic() + 30
    while not all(path.exists() for path in paths):
        assert time.monotonic() < until
        time.sleep(0.02)


SLURM = {"SLURM_JOB_ID": "41", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "n[5-6]"}
# Tells the first node, the state of the job, and what it was asked to requeue.
SCONTROL = """case $1 in
  show) case $2 in hostnames) echo n5; echo n6 ;; *) echo "JobId=41 JobState=$STATE Reason=No" ;;
    esac ;;
  requeue) echo "$2" >> requeued ;;
esac"""  # fmt: skip
# Runs the tasks of a step here, one after the other; `python` plays usis.
SRUN = """while [[ $1 == --* ]]; do shift; done
for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; code=$?; done
exit $code"""


def test_slurm_dry_run_prints_the_command_of_the_nodes(stub):
    folder = stub("scontrol", SCONTROL)
    first, *rest = _lines("slurm.sbatch", "train", "--workdir=a b", folder=folder, DRY_RUN="1",
                          SLURM_CPUS_PER_TASK="6", **SLURM)
    start = "env SRUN_CPUS_PER_TASK=6 COORDINATOR_ADDRESS=n5:20041 NUM_PROCESSES=2 srun "
    assert first.startswith(start) and first.endswith(" usis train --workdir=a\\ b")
    assert rest[1] == "exit code 75: scontrol requeue 41"
    alone, *_ = _lines("slurm.sbatch", "train", DRY_RUN="1", SLURM_NTASKS="1")
    assert "COORDINATOR_ADDRESS=" not in alone


def test_slurm_directives_ask_for_a_signal_and_to_be_requeued():
    text = (LAUNCH / "slurm.sbatch").read_text()
    directives = re.findall(r"^#SBATCH (\S+)$", text.partition("set -e")[0], re.M)
    assert {"--signal=B:USR1@300", "--requeue", "--open-mode=append", "--ntasks-per-node=1"} <= set(
        directives)


@pytest.mark.parametrize(
    ("code", "state", "restarts", "requeued"),
    [(0, "RUNNING", 0, False), (2, "RUNNING", 0, False), (75, "RUNNING", 9, True),
     (75, "CANCELLED", 0, False), (1, "RUNNING", 2, True), (1, "RUNNING", 3, False)],
)  # fmt: skip
def test_slurm_job_goes_back_into_the_queue_only_where_going_on_helps(
        stub, tmp_path, code, state, restarts, requeued):
    stub("scontrol", SCONTROL)
    stub("srun", SRUN)
    folder = stub("python", f'echo "$PROCESS_ID $NUM_PROCESSES $COORDINATOR_ADDRESS $*" >> calls; '
                            f"exit {code}")
    done = _run("slurm.sbatch", "train", "--workdir=a b", folder=folder, STATE=state,
                SLURM_RESTART_COUNT=str(restarts), **SLURM)
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"{number} 2 n5:20041 -m usis_jax train --workdir=a b" for number in (0, 1)]
    assert (tmp_path / "requeued").exists() == requeued
    assert done.returncode == (0 if requeued else code)


def test_slurm_hands_the_time_limit_signal_on_and_requeues(stub, tmp_path):
    stub("scontrol", SCONTROL)
    stub("srun", "trap 'touch saved; exit 75' TERM; touch up; while :; do sleep 0.05; done")
    folder = stub("python", "exit 1")
    running = subprocess.Popen(["bash", LAUNCH / "slurm.sbatch", "train"], cwd=ROOT,
                               env=_environment(folder, STATE="RUNNING", **SLURM))
    _wait_for(tmp_path / "up")
    running.send_signal(signal.SIGUSR1)
    assert running.wait(30) == 0
    assert (tmp_path / "saved").exists() and (tmp_path / "requeued").read_text() == "41\n"


def test_tpu_dry_run_prints_create_install_run_and_delete():
    lines = _lines("tpu_pod.sh", *TPU, "--type=v5litepod-16", "--spot", "--nfs=10.0.0.2:/share",
                   "--delete", "--dry_run", "train", "--workdir=/mnt/usis/a b")
    start = "gcloud compute tpus tpu-vm"
    assert lines[1] == (f"{start} create usis --zone=us-east5-a --accelerator-type=v5litepod-16 "
                        "--version=v2-alpha-tpuv5-lite --spot")
    assert lines[2].startswith("git archive") and lines[3].startswith(f"{start} scp ")
    assert "mount -t nfs -o hard 10.0.0.2:/share /mnt/usis" in lines[4]
    assert "USIS_DISTRIBUTED=1 .venv/bin/python -m usis_jax train" in lines[5]
    assert lines[-1] == f"{start} delete usis --zone=us-east5-a --quiet"
    assert _lines("tpu_pod.sh", *TPU, "--delete", "--dry_run") == [lines[-1]]


# Keeps the slice's state in a file; two workers play usis with the next line of `codes`.
GCLOUD = """echo "$4 $*" | head -n 1 | cut -c -60 >> calls
case $4 in
  describe) cat state ;;
  create) echo READY > state ;;
  delete) rm state ;;
  ssh)
    case "$*" in
      *USIS_DISTRIBUTED*)
        read -r first second rest < codes; sed -i 1d codes
        for code in $first $second; do echo "usis_exit_code=$code"; done
        [ -z "$rest" ] || echo "$rest" > state
        exit 1 ;;
    esac ;;
esac"""


@pytest.mark.parametrize(
    ("state", "codes", "code", "creations", "starts"),
    [("READY", "0 0", 0, 0, 1), ("", "0 0", 0, 1, 1), ("PREEMPTED", "0 0", 0, 1, 1),
     ("READY", "75 75\n0 0", 0, 0, 2), ("READY", "75 1 PREEMPTED\n0 0", 0, 1, 2),
     ("READY", "2 2", 2, 0, 1), ("READY", "130 75", 130, 0, 1), ("READY", "1 1\n1 1", 1, 0, 2)],
)  # fmt: skip
def test_tpu_slice_is_made_used_and_started_again(
        stub, tmp_path, state, codes, code, creations, starts):
    folder = stub("gcloud", GCLOUD)
    stub("sleep", "")
    if state:
        (tmp_path / "state").write_text(state + "\n")
    (tmp_path / "codes").write_text(codes + "\n")
    done = _run("tpu_pod.sh", *TPU, "--type=v5litepod-16", "--restarts=1", "train", folder=folder,
                TMPDIR=str(tmp_path))
    assert done.returncode == code, done.stderr
    calls = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()
             if " " in line]
    assert calls.count("create") == creations
    assert calls.count("scp") == starts
    assert "delete" not in calls or state == "PREEMPTED" or "PREEMPTED" in codes
    assert "still there and charged for" in done.stderr


def _manifest():
    claim, jobset = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    return claim, jobset


def test_gke_jobset_has_one_indexed_job_whose_pods_find_the_coordinator():
    _, jobset = _manifest()
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    name, spec = jobset["metadata"]["name"], jobset["spec"]
    (workers,) = spec["replicatedJobs"]
    job = workers["template"]["spec"]
    assert workers["replicas"] == 1 and job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    assert spec["network"]["enableDNSHostnames"] is True
    assert spec["coordinator"]["replicatedJob"] == workers["name"]
    (container,) = job["template"]["spec"]["containers"]
    variables = {entry["name"]: entry for entry in container["env"]}
    host = f"{name}-{workers['name']}-0-0.{spec['network']['subdomain']}"
    port = container["ports"][0]["containerPort"]
    assert variables["COORDINATOR_ADDRESS"]["value"] == f"{host}:{port}"
    assert variables["NUM_PROCESSES"]["value"] == str(job["completions"])
    field = variables["PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert all(isinstance(entry.get("value", ""), str) for entry in container["env"])


def test_gke_pods_start_again_together_and_bad_use_ends_the_jobset():
    _, jobset = _manifest()
    spec = jobset["spec"]
    job = spec["replicatedJobs"][0]["template"]["spec"]
    assert job["backoffLimit"] == 0 and spec["failurePolicy"]["maxRestarts"] > 0
    (rule,) = spec["failurePolicy"]["rules"]
    assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])
    (pods,) = job["podFailurePolicy"]["rules"]
    container = job["template"]["spec"]["containers"][0]
    assert pods["action"] == "FailJob" and pods["onExitCodes"] == {
        "containerName": container["name"], "operator": "In", "values": [2]}
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # a podFailurePolicy needs it


def test_gke_checkpoints_lie_on_a_volume_that_all_pods_write():
    claim, jobset = _manifest()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    (volume,), (container,) = pod["volumes"], pod["containers"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    workdir = next(word for word in container["args"] if word.startswith("--workdir="))
    assert mount["name"] == volume["name"]
    assert workdir.removeprefix("--workdir=").startswith(mount["mountPath"] + "/")


@pytest.mark.parametrize("dry", ["0", "1"])
def test_gke_container_runs_its_arguments_or_prints_them(stub, dry):
    _, jobset = _manifest()
    pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    folder = stub("python", 'echo "ran $*"')
    done = subprocess.run(
        [*container["command"], *container["args"]], text=True, capture_output=True,
        env=_environment(folder, DRY_RUN=dry, COORDINATOR_ADDRESS="a:1", NUM_PROCESSES="4",
                         PROCESS_ID="2"))  # fmt: skip
    words = "-m usis_jax " + " ".join(container["args"])
    dry_line = f"COORDINATOR_ADDRESS=a:1 NUM_PROCESSES=4 PROCESS_ID=2 python {words}\n"
    assert (done.stdout, done.stderr) == (dry_line if dry == "1" else f"ran {words}\n", "")
