"""Rate of the input stream against a PyTorch DataLoader with the published preprocessing.

Command: python -m benchmarks.input [--json FILE]       (needs: pip install -e '.[torch]')

Both draw batches of 32 photos and 32 label maps of 256x256, out of 286x286, as for ADE20K: ours
from data prepared once, the DataLoader from JPEG photos and PNG label maps of 683x512. Each gets
the number of threads or workers with which it is fastest, from none to one for each core; then
they take turns, and medians of the rounds are compared. Ours delivers uint8, as training does
(the compiled step scales them); "scaled" is ours with photos made float [-1, 1] on the host, as the
DataLoader's are. Files are in the page cache for both. Memory is that of this process over a pass,
once decoding at each reading, as with data sets larger than record_source.MEMORY_LIMIT, and once
keeping decoded images, as with smaller ones.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

LOAD_SIZE, CROP_SIZE, BATCH_SIZE = 286, 256, 32
COUNT = 480
ROUNDS = 5
SECONDS = 2.5
TRIAL_SECONDS = 1.5
TARGET = 3.0


def main(argv=None) -> int:
    """Measures and prints; returns the exit code, 2 where PyTorch is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON into a file")
    values = parser.parse_args(argv)
    try:
        import torch
    except ImportError:
        print("benchmarks.input needs PyTorch; run: pip install -e '.[torch]'", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        result = {"cores": len(os.sched_getaffinity(0)), "torch": torch.__version__}
        result |= run(pathlib.Path(folder))
    print(text(result))
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


def run(folder: pathlib.Path) -> dict:
    """Draws files, prepares them, and measures memory and rates; returns them for JSON."""
    from benchmarks import drawn_files
    from usis_jax.data.preparation import prepare

    source = folder / "source"
    sizes = drawn_files.write(source, COUNT)
    prepare.prepare(_settings(folder, 0), source, progress=False)
    memory = {
        "decoding at each reading": memory_over_pass(folder, keep=False),
        "keeping decoded images": memory_over_pass(folder, keep=True),
    }
    return {"files": sizes, "memory_mib": memory, **compare(folder, source)}


def compare(folder: pathlib.Path, source: pathlib.Path) -> dict:
    """Rates of both, in pairs a second: by workers, and in turns with the best numbers of them."""
    from benchmarks import torch_loader

    def torch_batches(workers):
        return torch_loader.batches(source, LOAD_SIZE, CROP_SIZE, BATCH_SIZE, workers)

    choices = range(len(os.sched_getaffinity(0)) + 1)
    makers = {"usis_jax": lambda threads: stream(folder, threads), "pytorch": torch_batches}
    by_workers = {
        name: {n: rate(make(n), TRIAL_SECONDS, 2 * n + 1) for n in choices}
        for name, make in makers.items()
    }
    best = {name: max(rates, key=rates.get) for name, rates in by_workers.items()}
    contenders = {
        "usis_jax": stream(folder, best["usis_jax"]),
        "usis_jax, scaled": map(scaled, stream(folder, best["usis_jax"])),
        "pytorch": torch_batches(best["pytorch"]),
    }
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(
            {
                # What was read ahead while the others ran does not count.
                name: rate(batches, SECONDS, 2 * best[name.partition(",")[0]] + 1)
                for name, batches in contenders.items()
            }
        )
    return {
        "workers": best,
        "by_workers": by_workers,
        "rounds": rounds,
        "pairs_per_second": {
            name: statistics.median(one[name] for one in rounds) for name in contenders
        },
        "ratio": _ratio(rounds, "usis_jax"),
        "ratio_scaled": _ratio(rounds, "usis_jax, scaled"),
        "target": TARGET,
    }


def _ratio(rounds: list[dict], name: str) -> float:
    """Median over the rounds of a contender's rate over PyTorch's in the same round."""
    return statistics.median(one[name] / one["pytorch"] for one in rounds)


def rate(batches, seconds: float, skipped: int) -> float:
    """Pairs a second of an iterator of batches, after `skipped` batches."""
    for _ in itertools.islice(batches, skipped):
        pass
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        next(batches)
        count += 1
    return count * BATCH_SIZE / (time.perf_counter() - began)


def scaled(batch: dict) -> dict:
    """A batch with its photos as float32 in [-1, 1]."""
    return batch | {"photo": batch["photo"].astype(np.float32) / 127.5 - 1}


def stream(folder: pathlib.Path, threads: int, keep: bool = False):
    """Our batches; keep = False decodes at each reading, whatever the size of the data set."""
    from usis_jax.data.pipeline import input_pipeline, record_source

    limit = record_source.MEMORY_LIMIT
    record_source.MEMORY_LIMIT = limit if keep else 0
    try:
        return input_pipeline.training(_settings(folder, threads))
    finally:
        record_source.MEMORY_LIMIT = limit


def memory_over_pass(folder: pathlib.Path, keep: bool) -> dict[str, float]:
    """Resident memory in MiB after the first batch, half a pass, a pass and two passes."""
    batches, steps = stream(folder, 2, keep), COUNT // BATCH_SIZE
    result, done = {}, 0
    for name, until in (("start", 1), ("middle", steps // 2), ("end", steps), ("two", 2 * steps)):
        for _ in range(until - done):
            next(batches)
        done = until
        result[name] = _resident_mib()
    return result


def _resident_mib() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _settings(folder: pathlib.Path, threads: int):
    from usis_jax.config import settings

    return settings.load(
        {
            "batch_size": BATCH_SIZE,
            "data": {
                **dict.fromkeys(("photos", "labels", "validation"), "drawn:train"),
                **dict.fromkeys(("height", "width"), CROP_SIZE),
                **dict.fromkeys(("load_height", "load_width"), LOAD_SIZE),
                "prepared_dir": str(folder / "prepared"),
                "threads": threads,
            },
        }
    )


def text(result: dict) -> str:
    """Results in words."""
    rates, workers = result["pairs_per_second"], result["workers"]
    sizes = result["files"]
    rows = [
        f"photos and label maps at 256x256 a second, {result['cores']} cores, median of "
        f"{len(result['rounds'])} rounds in turns; files of {sizes['jpg_kib']:.0f} KiB (JPEG) and "
        f"{sizes['png_kib']:.0f} KiB (PNG)"
    ]
    for name, value in rates.items():
        count = workers[name.partition(",")[0]]
        unit = "workers" if name == "pytorch" else "threads"
        rows.append(f"  {name:18s}{value:8.0f} pairs/s   {count} {unit}")
    for name, by in result["by_workers"].items():
        tried = ", ".join(f"{n}: {value:.0f}" for n, value in by.items())
        rows.append(f"  {name} by number of them: {tried}")
    rows.append(
        f"ratio {result['ratio']:.1f} (target {result['target']:.0f}); with photos scaled on the "
        f"host {result['ratio_scaled']:.1f}"
    )
    for name, values in result["memory_mib"].items():
        places = ", ".join(f"{place} {value:.0f}" for place, value in values.items())
        rows.append(f"memory in MiB, {name}: {places}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
