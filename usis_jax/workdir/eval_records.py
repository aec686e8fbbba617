"""Evaluations of a run, stored as JSON files in its work directory for reports."""

import dataclasses
import datetime
import hashlib
import json
import math
import re
from pathlib import Path

from usis_jax import __version__
from usis_jax.errors import UserError
from usis_jax.storage import atomic, texts

FOLDER = "evaluations"
TRAINING = "train"
_NAME = re.compile(r"step_(\d{1,15})_(\w+)\.json")


def record(command, step, spec, label_maps, rows, diagnostics, left_out=None, **more):
    """What is stored of one evaluation.

    Args:
        command: "train" or "evaluate", which took the measures.
        step: int, of the checkpoint.
        spec: LabelSpec of the label maps.
        label_maps: int, how many images were generated from.
        rows: list of evaluation.protocol.Row.
        diagnostics: dict of floats, from diagnostics.measurements.measure.
        left_out: dict of id -> why it was not taken.
        more: other JSON values.
    Returns:
        dict of JSON values; "measures" is {id: {"generated": value, "real": value or None}}.
    """
    return {
        "command": command,
        "step": int(step),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "label_maps": label_maps,
        **more,
        "measures": {row.id: {"generated": row.value, "real": row.real} for row in rows},
        "rows": [dataclasses.asdict(row) for row in rows],
        "diagnostics": diagnostics,
        "left_out": left_out or {},
        "classes": [
            {"name": name, "colour": [int(part) for part in colour], "void": index == spec.void}
            for index, (name, colour) in enumerate(zip(spec.classes, spec.colours, strict=True))
        ],
    }


def write(workdir, evaluation):
    """Writes an evaluation into the folder `evaluations` of a run, in the place of a like one.

    Args:
        workdir: directory of the run.
        evaluation: dict of `record`.
    Returns:
        Path of the file.
    Raises:
        OSError: it cannot be written.
    """
    folder = Path(workdir) / FOLDER
    folder.mkdir(exist_ok=True)
    kind = TRAINING
    if evaluation["command"] != TRAINING:
        # What was compared with what, so that different ways to measure stand beside each other.
        protocols = sorted(f"{row['id']}: {row['protocol']}" for row in evaluation["rows"])
        kind = hashlib.sha256("\n".join(protocols).encode()).hexdigest()[:8]
    path = folder / f"step_{evaluation['step']:06d}_{kind}.json"
    atomic.write_text(path, json.dumps(_finite(evaluation), indent=1, allow_nan=False) + "\n")
    return path


def read(workdir):
    """Reads all evaluations of a run.

    Args:
        workdir: directory of the run.
    Returns:
        (list of dicts of `record`, by step and then by time; list of sentences about files that
        could not be read).
    """
    found, faults = [], []
    folder = Path(workdir) / FOLDER
    for path in sorted(folder.glob("step_*.json")) if folder.is_dir() else ():
        try:
            value = texts.read_json(path)
            found.append(_checked(value))
        except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
            faults.append(f"{FOLDER}/{path.name} cannot be read ({type(error).__name__})")
    return sorted(found, key=lambda one: (one["step"], one["time"])), faults


def drop_after(workdir, step):
    """Removes what training measured after a step, which a resumed run measures again."""
    folder = Path(workdir) / FOLDER
    for path in folder.glob(f"step_*_{TRAINING}.json") if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) > step:
            path.unlink(missing_ok=True)


def _checked(value):
    """The dict with the parts that reports read, of the right kinds; others are left out."""
    step, rows = value["step"], value["rows"]
    if type(step) is not int or not 0 <= step < 2**53 or not isinstance(rows, list):
        raise UserError("no evaluation")
    good = []
    for row in rows:
        if not isinstance(row, dict):
            continue
        named = isinstance(row.get("measure"), str) and _is_number(row.get("value"))
        if named and (row.get("real") is None or _is_number(row["real"])):
            texts = {name: str(row.get(name, "")) for name in ("id", "better", "protocol")}
            good.append(
                {
                    **row,
                    **texts,
                    "details": _dict(row, "details"),
                    "controls": _dict(row, "controls"),
                }
            )
    classes = value.get("classes")
    classes = classes if isinstance(classes, list) else []
    diagnostics = {k: v for k, v in _dict(value, "diagnostics").items() if _is_number(v)}
    return {
        **value,
        "command": str(value.get("command", "")), "time": str(value.get("time", "")),
        "rows": good, "diagnostics": diagnostics, "left_out": _dict(value, "left_out"),
        "classes": [one for one in classes if isinstance(one, dict) and "name" in one],
    }  # fmt: skip


def _dict(value, name):
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def _finite(value):
    """JSON values with None in the place of numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
