"""What a report shows, read from a work directory; parts that are missing or damaged are named."""

import math
import re
import statistics
from datetime import UTC, datetime
from pathlib import Path

from usis_jax import __version__, methods
from usis_jax.checkpoint import metadata
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.diagnostics import loss_jumps, rules
from usis_jax.display import loss_plot
from usis_jax.workdir import eval_records, layout, provenance, wandb_writer

# Points of a curve; more are averaged.
_MOST_POINTS = 1000
_NUMBER = re.compile(r"[0-9]{1,15}")


def collect(workdir):
    """Reads everything but the pictures.

    Args:
        workdir: directory of a run.
    Returns:
        dict of JSON values, see `page/report.js`; "notes" says what could not be read.
    Raises:
        FileNotFoundError: no run was started there.
        ValueError: its config cannot be used.
    """
    workdir = Path(workdir)
    settings = layout.load_settings(workdir)
    series, notes = _series(workdir)
    found, faults = eval_records.read(workdir)
    starts = provenance.read(workdir)
    if (workdir / provenance.FILE).exists() and not starts:
        faults.append(f"{provenance.FILE} cannot be read")
    if not found:
        notes.append(
            "No evaluation is stored here yet: class scores, spectra and the table of "
            "measures appear after the first one (eval_interval, or usis evaluate)."
        )
    saved = _checkpoints(workdir)
    notes += [
        f"The folder checkpoints/{one['step']} was renamed or copied: what it holds says "
        "that it is another step."
        for one in saved
        if one.pop("renamed")
    ]
    steps = [series[name][0][-1] for name in series] + [one["step"] for one in saved]
    best, better = settings.evaluation.best, schema.BETTER[settings.evaluation.best]
    newest = _with_diagnostics(found)
    return {
        "name": workdir.absolute().name,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "step": max(steps, default=0),
        "steps": settings.steps,
        "best": _best(series, best, better),
        "diagnostics": [vars(one) for one in rules.apply(series, newest, best, better)],
        "diagnostics_step": newest["step"] if newest else None,
        "charts": _charts(settings.method.name),
        "series": {
            wandb_writer.grouped(name): _thinned(*pair, _joined(name))
            for name, pair in series.items()
        },
        "evaluations": [_short(one) for one in found[-30:]],
        "config": _config(settings),
        "starts": starts[-20:],
        "checkpoints": saved,
        "notes": notes + faults,
    }


def _series(workdir):
    """Logged numbers by name, and sentences about lines that could not be read."""
    try:
        series, damaged = loss_plot.read_metrics(workdir)
    except (OSError, ValueError) as error:
        return {}, [f"No curves: {error}"]
    lines = "1 line" if damaged == 1 else f"{damaged} lines"
    notes = [f"{lines} of {loss_plot.METRICS_FILE} cannot be read and left out."] if damaged else []
    return series, notes


def _charts(name):
    """The charts of a method's losses, with the names that its numbers have in "series"."""
    return [{"title": chart.title, "y": chart.y,
             "curves": [[wandb_writer.grouped(metric), text] for metric, text in chart.curves]}
            for chart in methods.get(name).charts]  # fmt: skip


def _joined(name):
    """How neighbours of a curve become one point: largest values stay the largest."""
    return max if name.startswith(loss_jumps.PREFIX) else statistics.fmean


def _thinned(steps, values, joined):
    """Steps and values of a curve, neighbours joined where there are too many."""
    each = -(-len(values) // _MOST_POINTS)
    groups = range(0, len(values), each)
    points = [joined(values[i : i + each]) for i in groups]
    return [[steps[min(i + each, len(steps)) - 1] for i in groups],
            [float(f"{value:.5g}") for value in points]]  # fmt: skip


def _with_diagnostics(found):
    """The newest evaluation with diagnostics, else the newest; older ones fill no gaps."""
    newest = found[-1] if found else None
    return next((one for one in reversed(found) if one["diagnostics"]), newest)


def _short(one):
    """An evaluation without what no chart shows."""
    details = ("iou", "iou_of_real", "recall", "shares", "spectra", "bands", "low", "middle",
               "high", "high_of_training")  # fmt: skip
    shown = ("id", "measure", "value", "real", "better", "protocol", "warning", "controls")
    rows = [{**{name: row.get(name) for name in shown},
             "details": {k: v for k, v in row["details"].items() if k in details}}
            for row in one["rows"]]  # fmt: skip
    names = ("command", "step", "time", "label_maps", "diagnostics", "left_out", "classes")
    return {name: one.get(name) for name in names} | {"rows": rows}


def _best(series, best, better):
    """Step and value of the best measurement during training, or None."""
    pair = series.get(f"evaluation/{best}")
    if pair is None:
        return None
    choose = min if better == "lower" else max
    place = choose(range(len(pair[1])), key=lambda i: pair[1][i])
    return {"measure": best, "better": better, "step": pair[0][place], "value": pair[1][place]}


def _config(settings):
    """Every field as [name, value, default], as text."""
    own, base = settings_lib.flatten(settings), settings_lib.flatten(settings_lib.Settings())
    return [[name, _text(value), _text(base[name])] for name, value in own.items()]


def _text(value):
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _checkpoints(workdir):
    """Step, time, size in bytes and measured value of each checkpoint on the disk."""
    folder, found = workdir / "checkpoints", []
    entries = list(folder.iterdir()) if folder.is_dir() else []
    for path in entries:
        if not _NUMBER.fullmatch(path.name) or not path.is_dir():
            continue
        try:
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            when = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        except OSError:  # removed while it was looked at
            continue
        meta = _meta(path)
        found.append({"step": int(path.name), "time": when, "bytes": size,
                      "metrics": _metrics(meta),
                      "renamed": meta.get("step", int(path.name)) != int(path.name)})  # fmt: skip
    return sorted(found, key=lambda one: one["step"])


def _meta(path):
    """What a checkpoint says of itself; nothing where that cannot be read."""
    try:
        return metadata.read(path)
    except (OSError, ValueError):
        return {}


def _metrics(meta):
    """The value that a checkpoint was measured by, {} where it was not."""
    try:
        measure = metadata.measure(meta)
        value = float(meta["metrics"][measure])
        return {measure: value} if math.isfinite(value) else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
