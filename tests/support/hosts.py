"""Runs a function of the tests in several processes on this machine, as several hosts would."""

import importlib
import os
import pathlib
import socket
import subprocess
import sys

from tests.support import places


def run(work, folder, processes=2, devices=1, timeout=900):
    """Calls `work(folder)` in several processes at once, joined by jax.distributed.

    Args:
      work: function of a module of the tests.
      folder: given to it; where it leaves its results.
      processes: number of them.
      devices: faked devices of each.
      timeout: seconds after which all are ended.

    Returns:
      What each wrote to standard error, by number.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = places.REPOSITORY
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    flags.append(f"--xla_force_host_platform_device_count={devices}")
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.hosts", work.__module__, work.__name__,
             str(folder)],
            cwd=root, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "XLA_FLAGS": " ".join(flags),
                 "COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "NUM_PROCESSES": str(processes),
                 "PROCESS_ID": str(number)})
        for number in range(processes)]  # fmt: skip
    try:
        said = [process.communicate(timeout=timeout)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    for process, text in zip(running, said, strict=True):
        assert process.returncode == 0, text
    return said


if __name__ == "__main__":
    from usis_jax.distributed import mesh

    mesh.initialize()
    getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(pathlib.Path(sys.argv[3]))
