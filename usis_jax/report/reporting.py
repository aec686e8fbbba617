"""Writes the report of a run as one page, at once or beside training."""

import json
import re
import threading
from pathlib import Path

from usis_jax.diagnostics import rules
from usis_jax.report import contents, pictures
from usis_jax.storage import atomic, paths
from usis_jax.workdir import layout

FILE = "report.html"
_PAGE = Path(__file__).parent / "page"


def write(workdir, out=None):
    """Writes the report of a run.

    Args:
        workdir: directory of a run.
        out: HTML file to write; None: `report.html` in the work directory.
    Returns:
        dict of JSON values: file, bytes, step, pictures, diagnostics, notes.
    Raises:
        FileNotFoundError: no run was started there.
        ValueError: its config cannot be used.
        OSError: the file cannot be written.
    """
    workdir = paths.of(workdir, "--workdir", paths.FOLDER)
    if out is not None:
        out = paths.output_file(out, "--out")
        layout.check_not_its_own(out, "--out", workdir)
    else:
        out = workdir / FILE
    found = contents.collect(workdir)
    found["frames"], faults = pictures.frames(workdir)
    found["notes"] += faults
    text = _html(found)
    atomic.write_text(out, text)
    return {
        "file": str(out),
        "bytes": len(text.encode()),
        "step": found["step"],
        "pictures": len(found["frames"]),
        "diagnostics": found["diagnostics"],
        "notes": found["notes"],
    }


class Background:
    """Writes the report of a run in a thread, so that training goes on meanwhile.

    Says which training diagnostics are no longer fine.

    Args:
        workdir: directory of the run.
    """

    def __init__(self, workdir):
        self._workdir, self._thread, self._said = Path(workdir), None, None
        self._statuses = {}

    def begin(self, say):
        """Starts writing; does nothing while the one before is still being written.

        Args:
            say: called with one line if it cannot be written.
        """
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write, args=(say,), daemon=True)
            self._thread.start()

    def end(self, say):
        """Writes it for the last time and waits until it is there."""
        if self._thread is not None:
            self._thread.join()
        self._write(say)

    def _write(self, say):
        try:
            diagnostics = write(self._workdir)["diagnostics"]
            for one in diagnostics:
                changed = self._statuses.get(one["name"], rules.FINE) != one["status"]
                if changed and one["status"] in (rules.LOOK, rules.BAD):
                    say(
                        f"{one['name']}: {one['value']}: {one['status']} (rule of thumb: "
                        f"{one['rule']}). {one['meaning']}"
                    )
            self._statuses = {one["name"]: one["status"] for one in diagnostics}
        except Exception as error:  # whatever it is, it must not end a training run
            text = f"no {FILE} could be written ({type(error).__name__}: {error})"
            if text != self._said:
                say(text)
            self._said = text


def _html(found):
    """The page with styles, script and data in it."""
    style, script, more, page = (
        (_PAGE / name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js", "sections.js", "report.html")
    )
    script += "\n" + more
    # No tag, comment or line separator inside the data can end the script element.
    data = json.dumps(found, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    before, style_end, script_end, end = re.split(r"(?:STYLE|DATA|SCRIPT)(?=</)", page)
    return before + style + style_end + data + script_end + script + end
