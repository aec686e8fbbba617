"""Draws many scenes in several processes.

Each process is this module's own command line and writes plain pixels to its standard output, so
it works from any program, guarded `__main__` or not, and next to threads that a fork would break.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from usis_jax.data.scenes.render import draw_label, draw_scene

_FEW = 24  # scenes that are drawn before a process would have started


def _draw(seed: int, kind: str, height: int, width: int) -> np.ndarray:
    if kind == "labels":
        return draw_label(seed, height, width)
    return draw_scene(seed, height, width)[0]


def _start(numbers: list[int], kind: str, height: int, width: int) -> subprocess.Popen | None:
    """Starts a process that draws `numbers`; None where that is not possible."""
    root = str(pathlib.Path(__file__).resolve().parents[3])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    command = [sys.executable, "-m", "usis_jax.data.scenes.workers", kind, str(height), str(width)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        process.stdin.write(" ".join(map(str, numbers)).encode())
        process.stdin.close()
    except OSError:
        return None
    return process


def draw_scenes(
    numbers: list[int], kind: str, height: int, width: int, workers: int = 0
) -> Iterator[np.ndarray]:
    """Draws scenes in order.

    Args:
      numbers: scene numbers.
      kind: "photos" or "labels".
      height: rows of the images.
      width: columns of the images.
      workers: processes; 0 for one a core, at most 16, and none for few scenes. Where a process
        cannot be started or ends early, its scenes are drawn here.

    Yields:
      uint8 [H, W, 3] for photos, [H, W] for label maps.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = workers or (min(cores or 1, 16) if len(numbers) > _FEW else 0)
    shape = (height, width, 3) if kind == "photos" else (height, width)
    size = int(np.prod(shape))
    processes = [_start(numbers[i::workers], kind, height, width) for i in range(workers)]
    try:
        for i, number in enumerate(numbers):
            process = processes[i % workers] if workers else None
            pixels = process.stdout.read(size) if process else b""
            if len(pixels) == size:
                yield np.frombuffer(pixels, np.uint8).reshape(shape)
            else:
                yield _draw(number, kind, height, width)
    finally:
        for process in processes:
            if process:
                process.kill()
                process.stdout.close()
                process.wait()


def _main() -> None:
    kind, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for number in sys.stdin.read().split():
        sys.stdout.buffer.write(_draw(int(number), kind, height, width).tobytes())


if __name__ == "__main__":
    _main()
