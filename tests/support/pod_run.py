"""`usis` on the stand-in data of tiny_run, for tests that run it in several processes.

SEND=P:N:SIGNAL has process P send itself a signal when it first reads batch N, and
AFTER=P:N:SIGNAL when the numbers of step N are known: by then the checkpoint before the last is
whole.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from tests.support import places

ROOT = places.REPOSITORY
CONFIG = """
import ml_collections
from tests.support import tiny_run
from usis_jax.diagnostics import step_means
from usis_jax.config import settings

def get_config():
    return ml_collections.ConfigDict(settings.to_dict(tiny_run.settings(checkpoint_interval=2)))
"""
# Each start would compile the same programs again.
CACHED = {
    "JAX_COMPILATION_CACHE_DIR": tempfile.mkdtemp(prefix="usis_compiled_"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
atexit.register(shutil.rmtree, CACHED["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(folder, words, index=0, count=1, port=None, **variables):
    """Starts `usis WORDS` as one process of `count`; its output goes to folder/INDEX.err.

    Returns:
      subprocess.Popen.
    """
    (folder / "config.py").write_text(CONFIG)
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    hosts = [f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={count}",
             f"--process_id={index}"] if count > 1 else []  # fmt: skip
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with open(folder / f"{index}.err", "w") as errors:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.pod_run",
                *words,
                f"--config={folder}/config.py",
                *hosts,
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "XLA_FLAGS": " ".join(flags),
                **CACHED,
                **variables,
            },
        )


def run(folder, words, count=1, timeout=240, **variables):
    """Runs `usis WORDS` in `count` processes to their ends.

    Returns:
      Exit codes, and what each wrote to standard error.
    """
    port = free_port()
    running = [start(folder, words, i, count, port, **variables) for i in range(count)]
    try:
        codes = [process.wait(timeout) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return codes, [(folder / f"{index}.err").read_text() for index in range(count)]


def main():
    """Puts the stand-ins in place and runs the command."""
    import jax
    import pytest

    from tests.support import tiny_run
    from usis_jax.cli import main
    from usis_jax.data.pipeline import input_pipeline
    from usis_jax.diagnostics import step_means

    tiny_run.install(pytest.MonkeyPatch())
    training = input_pipeline.training
    add = step_means.Means.add

    def send(variable, process_index, step):
        process, number, name = os.environ.get(variable, "-1:-1:SIGKILL").split(":")
        if (process_index, step) == (int(process), int(number)):
            del os.environ[variable]
            os.kill(os.getpid(), signal.Signals[name])

    def sending(settings, start_step=0, process_index=0, process_count=1):
        batches = training(settings, start_step, process_index, process_count)
        for step, batch in enumerate(batches, start_step):
            send("SEND", process_index, step)
            yield batch

    def adding(self, step, metrics):
        add(self, step, metrics)
        send("AFTER", jax.process_index(), step)

    input_pipeline.training, step_means.Means.add = sending, adding
    return main.main()


if __name__ == "__main__":
    sys.exit(main())
