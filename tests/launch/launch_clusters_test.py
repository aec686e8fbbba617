"""What launch/ does under Slurm, on Cloud TPUs and on Kubernetes, all played by small scripts."""

import re
import signal
import subprocess

import pytest
import yaml

from tests.support import launching
from tests.support.launching import LAUNCH, ROOT, TPU, environment, lines_of, run, wait_for

stub = launching.stub  # a fixture


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
    first, *rest = lines_of(
        "slurm.sbatch",
        "train",
        "--workdir=a b",
        folder=folder,
        DRY_RUN="1",
        SLURM_CPUS_PER_TASK="6",
        **SLURM,
    )
    start = "env SRUN_CPUS_PER_TASK=6 COORDINATOR_ADDRESS=n5:20041 NUM_PROCESSES=2 srun "
    assert first.startswith(start) and first.endswith(" usis train --workdir=a\\ b")
    assert rest[1] == "exit code 75: scontrol requeue 41"
    alone, *_ = lines_of("slurm.sbatch", "train", DRY_RUN="1", SLURM_NTASKS="1")
    assert "COORDINATOR_ADDRESS=" not in alone


def test_slurm_directives_ask_for_a_signal_and_to_be_requeued():
    text = (LAUNCH / "slurm.sbatch").read_text()
    directives = re.findall(r"^#SBATCH (\S+)$", text.partition("set -e")[0], re.M)
    assert {"--signal=B:USR1@300", "--requeue", "--open-mode=append", "--ntasks-per-node=1"} <= set(
        directives
    )


@pytest.mark.parametrize(
    ("code", "state", "restarts", "requeued"),
    [(0, "RUNNING", 0, False), (2, "RUNNING", 0, False), (75, "RUNNING", 9, True),
     (75, "CANCELLED", 0, False), (1, "RUNNING", 2, True), (1, "RUNNING", 3, False)],
)  # fmt: skip
def test_slurm_job_goes_back_into_the_queue_only_where_going_on_helps(
    stub, tmp_path, code, state, restarts, requeued
):
    stub("scontrol", SCONTROL)
    stub("srun", SRUN)
    folder = stub(
        "python", f'echo "$PROCESS_ID $NUM_PROCESSES $COORDINATOR_ADDRESS $*" >> calls; exit {code}'
    )
    done = run(
        "slurm.sbatch",
        "train",
        "--workdir=a b",
        folder=folder,
        STATE=state,
        SLURM_RESTART_COUNT=str(restarts),
        **SLURM,
    )
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"{number} 2 n5:20041 -m usis_jax train --workdir=a b" for number in (0, 1)
    ]
    assert (tmp_path / "requeued").exists() == requeued
    assert done.returncode == (0 if requeued else code)


def test_slurm_hands_the_time_limit_signal_on_and_requeues(stub, tmp_path):
    stub("scontrol", SCONTROL)
    stub("srun", "trap 'touch saved; exit 75' TERM; touch up; while :; do sleep 0.05; done")
    folder = stub("python", "exit 1")
    running = subprocess.Popen(
        ["bash", LAUNCH / "slurm.sbatch", "train"],
        cwd=ROOT,
        env=environment(folder, STATE="RUNNING", **SLURM),
    )
    wait_for(tmp_path / "up")
    running.send_signal(signal.SIGUSR1)
    assert running.wait(30) == 0
    assert (tmp_path / "saved").exists() and (tmp_path / "requeued").read_text() == "41\n"


def test_tpu_dry_run_prints_create_install_run_and_delete():
    lines = lines_of(
        "tpu_pod.sh",
        *TPU,
        "--type=v5litepod-16",
        "--spot",
        "--nfs=10.0.0.2:/share",
        "--delete",
        "--dry_run",
        "train",
        "--workdir=/mnt/usis/a b",
    )
    start = "gcloud compute tpus tpu-vm"
    assert lines[1] == (
        f"{start} create usis --zone=us-east5-a --accelerator-type=v5litepod-16 "
        "--version=v2-alpha-tpuv5-lite --spot"
    )
    assert lines[2].startswith("git archive") and lines[3].startswith(f"{start} scp ")
    assert "mount -t nfs -o hard 10.0.0.2:/share /mnt/usis" in lines[4]
    assert "USIS_DISTRIBUTED=1 .venv/bin/python -m usis_jax train" in lines[5]
    assert lines[-1] == f"{start} delete usis --zone=us-east5-a --quiet"
    assert lines_of("tpu_pod.sh", *TPU, "--delete", "--dry_run") == [lines[-1]]


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
    stub, tmp_path, state, codes, code, creations, starts
):
    folder = stub("gcloud", GCLOUD)
    stub("sleep", "")
    if state:
        (tmp_path / "state").write_text(state + "\n")
    (tmp_path / "codes").write_text(codes + "\n")
    done = run(
        "tpu_pod.sh",
        *TPU,
        "--type=v5litepod-16",
        "--restarts=1",
        "train",
        folder=folder,
        TMPDIR=str(tmp_path),
    )
    assert done.returncode == code, done.stderr
    calls = [
        line.split()[0] for line in (tmp_path / "calls").read_text().splitlines() if " " in line
    ]
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
        "containerName": container["name"],
        "operator": "In",
        "values": [2],
    }
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
        env=environment(folder, DRY_RUN=dry, COORDINATOR_ADDRESS="a:1", NUM_PROCESSES="4",
                         PROCESS_ID="2"))  # fmt: skip
    words = "-m usis_jax " + " ".join(container["args"])
    dry_line = f"COORDINATOR_ADDRESS=a:1 NUM_PROCESSES=4 PROCESS_ID=2 python {words}\n"
    assert (done.stdout, done.stderr) == (dry_line if dry == "1" else f"ran {words}\n", "")
