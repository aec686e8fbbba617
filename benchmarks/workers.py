"""Processes that take turns: one contender each, kept alive, told what to do in JSON lines."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

_ROOT = pathlib.Path(__file__).parent.parent


class WorkerError(RuntimeError):
    """A worker that failed; the message is its own one-line reason."""


class Worker:
    """A running process, `python -m MODULE`, that answers requests.

    Args:
      python: interpreter.
      module: what runs; it must call `serve`.
      environment: variables besides this process's own.
      log: file that takes what the process prints.
    """

    def __init__(self, python: str, module: str, environment: dict[str, str], log: pathlib.Path):
        self.began = time.time()
        self._log = log
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [python, "-m", module],
                cwd=_ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, task: str, **arguments):
        """The answer to one request. Raises WorkerError."""
        try:
            self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self._last_words(self._process.wait()))
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["answer"]

    def processor_seconds(self) -> float:
        """Processor time that the process has used, all threads."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(") ", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _last_words(self, code: int) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "nothing was printed"
        return f"the process ended with code {code}: {last}"


def serve(tasks: dict[str, Callable]) -> None:
    """Answer requests from stdin on stdout until stdin ends; everything printed goes to stderr.

    Args:
      tasks: name -> function of the request's arguments, returning what JSON can hold.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": tasks[request.pop("task")](**request)}
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer = {
                "error": f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
                if str(error)
                else type(error).__name__
            }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def forget_peak() -> None:
    """From here on `peak_mib` counts anew (Linux)."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest resident memory of this process since its start or since `forget_peak`, in MiB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")
