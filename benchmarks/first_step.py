"""Time from the start of the process to the end of the first training step, cold and warm.

    python -m benchmarks.first_step --json FILE

Each measurement is a process of its own at the setting of `benchmarks.step --setting=small`
(64x128, batch 4, K = 35, generator width 16, published segmenter and discriminator), on random
photos and label maps, with huge pages as `usis train` has them: imports, initial state, compiling,
one step. The second and later ones find the first one's programs in the compilation cache. "cores"
are the seconds of all cores together, which other work on the machine hardly changes.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import types

from usis_jax.runtime import compilation, huge_pages

CLASSES = 35


def settings(update="alternating", **changes):
    """Settings of the small setting; `changes` are top fields."""
    from usis_jax.config import settings as settings_lib

    return settings_lib.load(
        {
            "batch_size": 4,
            "update": update,
            "data": {"height": 64, "width": 128},
            "generator": {"width": 16},
            **changes,
        }
    )


def measure(workdir, update):
    """One process's part: {phase: seconds since the process began}, and those of its cores."""
    began = float(os.environ["USIS_BEGAN"])
    phases = {}

    def done(name):
        phases[name] = time.time() - began
        phases[f"{name}, cores"] = time.process_time()

    import jax
    import numpy as np

    from usis_jax import methods
    from usis_jax.distributed import mesh
    from usis_jax.runtime import compilation_cache, trace_cache

    done("imports")
    chosen = settings(update)
    compilation_cache.use(workdir)
    runner = mesh.Runner()
    method = methods.get(chosen.method.name)
    networks = method.networks(chosen, CLASSES)
    now = runner.place(method.create(chosen, CLASSES))
    jax.block_until_ready(now)
    done("state")
    random = np.random.default_rng(0)
    batch = runner.put(
        {
            "photo": random.integers(0, 256, (4, 64, 128, 3), dtype=np.uint8),
            "label": random.integers(0, CLASSES, (4, 64, 128), dtype=np.int32),
        }
    )
    step = functools.partial(method.step, settings=chosen, networks=networks, void=0)
    spec = types.SimpleNamespace(num_classes=CLASSES, void=0)
    step = compilation.compile_ahead(trace_cache.of(step, chosen, spec, runner), now, batch)
    done("step compiled")
    for number in ("first", "second"):
        now, metrics = step(now, batch)
        jax.block_until_ready(metrics)
        done(f"{number} step")
    return phases


def main():
    """Measures cold once and warm several times, prints and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", default="alternating", choices=("alternating", "joint"))
    parser.add_argument("--starts", type=int, default=3, help="starts measured (default 3)")
    parser.add_argument("--workdir", help="where the cache is kept; cold only if it is new")
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    values = parser.parse_args()
    if values.child:
        print(json.dumps(measure(values.child, values.update)), flush=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        workdir = values.workdir or temporary
        starts = []
        for _ in range(values.starts):
            before = _cached_bytes(workdir)
            starts.append({"cache_mib": before / 2**20, **_child(workdir, values.update)})
            words = (f"{name} {value:.1f}" for name, value in starts[-1].items())
            print("  ".join(words), flush=True)
    result = {"update": values.update, "starts": starts}
    if starts[0]["cache_mib"] == 0 and len(starts) > 1:
        for name in ("first step", "first step, cores"):
            result[f"ratio, {name}"] = min(x[name] for x in starts[1:]) / starts[0][name]
            print(f"warm / cold, {name}: {result[f'ratio, {name}']:.2f}")
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")


def _cached_bytes(workdir):
    return sum(file.stat().st_size for file in pathlib.Path(workdir).rglob("*-cache"))


def _child(workdir, update):
    command = [
        sys.executable,
        "-m",
        "benchmarks.first_step",
        f"--child={workdir}",
        f"--update={update}",
    ]
    environment = os.environ | huge_pages.variables() | {"USIS_BEGAN": str(time.time())}
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
