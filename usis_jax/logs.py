"""Where a run's numbers go: TensorBoard, a plain JSON-lines file and the progress bar."""

import contextlib
import json
import logging
import math
import os
import time
from pathlib import Path

import tqdm

from usis_jax import atomic, event_files, plots


class JsonLines:
    """A clu MetricWriter that appends one JSON object a call to `metrics.jsonl`.

    Args:
        path: file to append to.
    """

    def __init__(self, path):
        self._file = open(path, "a", buffering=1)  # noqa: SIM115

    def write_scalars(self, step, scalars):
        """Appends {"step": step, name: value, ...}; a value that is not finite becomes null."""
        row = {k: float(v) for k, v in scalars.items()}
        row = {k: v if math.isfinite(v) else None for k, v in row.items()}
        self._file.write(json.dumps({"step": int(step), **row}) + "\n")

    def _leave_out(self, *args, **kwargs):
        """Pictures, texts and other summaries are for TensorBoard."""

    write_summaries = write_images = write_videos = write_audios = _leave_out
    write_texts = write_histograms = write_hparams = _leave_out

    def flush(self):
        """Brings written lines to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self):
        """Closes the file."""
        self._file.close()


def create_writer(workdir, start_step):
    """Creates the writer of a run: clu's TensorBoard writer and the JSON-lines file.

    Lines and events later than `start_step`, which a resumed run writes again, are dropped.

    Args:
        workdir: directory of the run.
        start_step: int, step at which training goes on.
    Returns:
        a clu MetricWriter; without TensorFlow it writes the JSON lines only.
    """
    path = Path(workdir) / plots.METRICS_FILE
    drop_lines_after(path, start_step)
    lines = JsonLines(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # clu's TensorBoard writer brings in TensorFlow; reading data and training never do.
        from clu import metric_writers
    except ImportError as error:
        logging.warning("no TensorBoard log, only %s: %s", path.name, error)
        return lines
    folder = Path(workdir) / "tensorboard"
    event_files.cut(folder, start_step)
    board = metric_writers.SummaryWriter(str(folder))
    return metric_writers.MultiWriter([lines, metric_writers.AsyncWriter(board)])


def drop_lines_after(path, step):
    """Removes the rows of a JSON-lines file that are later than a step, and a torn last row."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = plots.logged_row(line)
        if row and row["step"] <= step:
            kept.append(line + "\n")
    atomic.write_text(path, "".join(kept))


class Means:
    """Means of step metrics over a logging interval; finds values that are not finite.

    Args:
        state: from `get_state`, to go on with an interval that was begun.
    """

    def __init__(self, state=None):
        self._sums = {name: tuple(pair) for name, pair in (state or {}).items()}

    def get_state(self):
        """Returns {name: (sum, count)} of the interval so far."""
        return dict(self._sums)

    def add(self, step, metrics):
        """Adds one step's metrics.

        Args:
            step: int, for the message.
            metrics: dict of float scalars.
        Raises:
            FloatingPointError: naming step and metric, when a value is not finite.
        """
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            values = ", ".join(f"{name} = {float(metrics[name])}" for name in sorted(bad))
            raise FloatingPointError(f"step {step}: {values}")
        for name, value in metrics.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value), count + 1

    def take(self):
        """Returns the mean of each metric over the steps that had it, and starts anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means


class Progress:
    """Progress bar with rate, time left and the last losses.

    Args:
        start: int, step at which the bar begins.
        steps: int, step at which it ends.
        batch_size: int, photos a step, for the rate.
        shown: False shows nothing.
    """

    def __init__(self, start, steps, batch_size, shown=True):
        self._batch_size = batch_size
        self._bar = tqdm.tqdm(
            total=steps,
            initial=start,
            disable=not shown,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
        )
        self._steps, self._seconds = 0, 0.0
        self.restart(start)

    def restart(self, step):
        """Starts the clock of the rate at a step, leaving out what came before."""
        self._step, self._time = step, time.perf_counter()

    def advance(self):
        """Moves the bar by one step."""
        self._bar.update(1)

    def rates(self, step):
        """Returns {"speed/steps_per_second", "speed/images_per_second"} since the last call.

        Empty when the clock was started at this step or later.
        """
        if step <= self._step:
            return {}
        self._steps += step - self._step
        elapsed = time.perf_counter() - self._time
        self._seconds += elapsed
        rate = (step - self._step) / max(elapsed, 1e-9)
        self.restart(step)
        return {
            "speed/steps_per_second": rate,
            "speed/images_per_second": rate * self._batch_size,
        }

    @contextlib.contextmanager
    def aside(self):
        """Stops the clock of the rate, while grids are painted and states saved."""
        begun = time.perf_counter()
        yield
        self._time += time.perf_counter() - begun

    def inner(self, total, what):
        """Returns a bar of its own for work between two steps, shown if it takes a while.

        Args:
            total: int, photos.
            what: text before it.
        """
        return tqdm.tqdm(
            total=total, desc=what, unit="photo", leave=False, delay=2, position=1,
            disable=self._bar.disable, dynamic_ncols=True,
        )  # fmt: skip

    def overall(self):
        """Returns {"steps_per_second", "images_per_second"} over all rates, or None for each."""
        rate = self._steps / self._seconds if self._steps > 0 else None
        photos = None if rate is None else rate * self._batch_size
        return {"steps_per_second": rate, "images_per_second": photos}

    def show(self, means, rates):
        """Writes losses and the rate of photos behind the bar."""
        losses = {k.removeprefix("loss_"): v for k, v in means.items() if k.startswith("loss_")}
        texts = [f"{name} {value:.3g}" for name, value in (losses or means).items()]
        if rates:
            texts.append(f"{rates['speed/images_per_second']:.3g} img/s")
        self._bar.set_postfix_str(" ".join(texts))

    def say(self, text):
        """Prints one line above the bar."""
        if not self._bar.disable:
            self._bar.write(text, file=self._bar.fp)

    def close(self):
        """Ends the bar."""
        self._bar.close()
