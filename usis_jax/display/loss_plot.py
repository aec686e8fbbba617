"""The loss plot of a run, drawn from its metrics.jsonl."""

import json
import math
import re
from pathlib import Path

from usis_jax.storage import atomic

METRICS_FILE = "metrics.jsonl"
PLOT_FILE = "losses.png"


def read_metrics(workdir):
    """Reads the logged numbers of a run.

    Args:
        workdir: directory of the run.
    Returns:
        dict of name -> (steps, values), two lists of equal length, in the order written; and the
        number of lines that cannot be read.
    Raises:
        FileNotFoundError: nothing was logged there.
    """
    path = Path(workdir) / METRICS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} has no {METRICS_FILE}: nothing was logged yet")
    series, damaged = {}, 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = logged_row(line)
        step = row.pop("step", None)
        if step is None:  # torn by a crash, or damaged
            damaged += bool(line.strip())
            continue
        for name, value in row.items():
            if isinstance(value, float) and math.isfinite(value):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(value)
    return series, damaged


def logged_row(line: str) -> dict:
    """One line of the logged numbers as a dict with a whole "step"; {} where it is no such line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    step = row.get("step") if isinstance(row, dict) else None
    return row if type(step) is int and 0 <= step < 2**53 else {}


def plot_losses(workdir):
    """Draws the logged series into `losses.png`, one panel for each prefix of the names.

    Rates and training diagnostics of evaluations are in the report only.

    Args:
        workdir: directory of the run.
    Returns:
        Path of the picture, or None if there is nothing to draw yet.
    """
    series = {k: v for k, v in read_metrics(workdir)[0].items()
              if not k.startswith(("speed/", "diagnostics/"))}  # fmt: skip
    if not series:
        return None
    panels = {}
    for name in sorted(series):
        panels.setdefault(re.split("[_/]", name)[0], []).append(name)
    path = Path(workdir) / PLOT_FILE
    atomic.write_png(path, _draw(panels, series))
    return path


def _draw(panels, series):
    """uint8 [H, W, 3] of the plot."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.2 * rows), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for i, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        for name in names:
            steps, values = series[name]
            label = name.removeprefix(f"{title}_")
            axes.plot(steps, values, label=label, marker="." if len(steps) < 20 else None)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
