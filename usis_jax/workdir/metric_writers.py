"""Where a run's numbers go: TensorBoard, a plain JSON-lines file and the progress bar."""

import json
import logging
import math
import os
from pathlib import Path

from usis_jax.display import loss_plot
from usis_jax.storage import atomic
from usis_jax.workdir import tensorboard_files, wandb_writer


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


def create_writer(workdir, start_step, settings=None, meanings="", again=False):
    """Creates the writer of a run: the JSON-lines file, TensorBoard, Weights & Biases if asked for.

    Lines and events later than `start_step`, which a resumed run writes again, are dropped.
    Dashboards show the numbers under the names of `wandb_writer.grouped`.

    Args:
        workdir: directory of the run.
        start_step: int, step at which training goes on.
        settings: Settings, for Weights & Biases; None without it.
        meanings: Markdown on what the numbers mean, for TensorBoard's texts.
        again: whether what was measured at `start_step` is dropped too, and measured again.
    Returns:
        a clu MetricWriter; without TensorFlow it writes the JSON lines only.
    Raises:
        ValueError: Weights & Biases is asked for and no run can be started there.
    """
    path = Path(workdir) / loss_plot.METRICS_FILE
    drop_lines_after(path, start_step, again)
    writers = [JsonLines(path)]
    if settings is not None and settings.wandb.project:
        writers.append(wandb_writer.Wandb(settings, workdir))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # clu's TensorBoard writer brings in TensorFlow; reading data and training never do.
        from clu import metric_writers

        folder = Path(workdir) / "tensorboard"
        tensorboard_files.cut(folder, start_step)
        tensorboard = metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(folder)))
    except Exception as error:  # TensorFlow is missing, or its packages do not fit each other
        logging.warning("no TensorBoard log, only %s: %s", path.name, error)
        return _All(writers)
    tensorboard = Dispensable(wandb_writer.Grouped(tensorboard), "TensorBoard's log")
    if start_step == 0 and meanings:
        tensorboard.write_texts(0, {"diagnostics/meanings": meanings})
    return _All([*writers, tensorboard])


class Dispensable:
    """A MetricWriter that a run can do without: its first fault is said, and ends only itself.

    Args:
        writer: the MetricWriter.
        name: what it writes, for the message.
    """

    def __init__(self, writer, name):
        self._writer, self._name, self._failed = writer, name, False

    def __getattr__(self, name):
        act = getattr(self._writer, name)

        def attempt(*args, **kwargs):
            if self._failed:
                return
            try:
                act(*args, **kwargs)
            except Exception as error:
                self._failed = True
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                logging.warning("no more is written to %s: %s", self._name, first)

        return attempt


class _All:
    """Several MetricWriters as one, each call to all of them in their order.

    clu has a MultiWriter, which imports TensorFlow; a run goes on without that.
    """

    def __init__(self, writers):
        self._writers = writers

    def write_scalars(self, step, scalars):
        for writer in self._writers:
            writer.write_scalars(step, scalars)

    def write_images(self, step, images):
        for writer in self._writers:
            writer.write_images(step, images)

    def flush(self):
        for writer in self._writers:
            writer.flush()

    def close(self):
        for writer in self._writers:
            writer.close()


def drop_lines_after(path, step, again=False):
    """Removes the rows of a JSON-lines file that are later than a step, and a torn last row.

    With `again` also the measures of that step.
    """
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = loss_plot.logged_row(line)
        twice = again and row.get("step") == step and any("evaluation/" in name for name in row)
        if row and row["step"] <= step and not twice:
            kept.append(line + "\n")
    atomic.write_text(path, "".join(kept))
