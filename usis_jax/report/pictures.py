"""Sample grids of a run, made small enough for a page that holds them all."""

import base64
import functools
import io
import re
from pathlib import Path

from PIL import Image

_FRAMES = 24
_BYTES = 2_500_000
_LEAST_BYTES = 40_000
_WIDEST = 1200
_NAME = re.compile(r"step_([0-9]{1,15})\.png")


def frames(workdir):
    """Reads the sample grids, evenly over the run, the first and the last among them.

    Args:
        workdir: directory of a run.
    Returns:
        (list of {"step", "width", "height", "source": data URL}; list of sentences about pictures
        that could not be read). At most 24, and together about 2.5 MB.
    """
    folder = Path(workdir) / "samples"
    files = {}
    for path in folder.glob("step_*.png") if folder.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            files[int(match[1])] = path
    steps, faults = sorted(files), []
    chosen = _even(steps, _FRAMES)
    while True:
        found = []
        for step in chosen:
            try:
                stat = files[step].stat()
                found.append((step, *_small(files[step], stat.st_mtime_ns, stat.st_size)))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                faults.append(f"samples/{files[step].name} cannot be read")
        total = sum(len(data) for *_, data in found)
        if total <= _BYTES or len(chosen) <= 2:
            break
        chosen = _even(chosen, max(2, int(len(chosen) * _BYTES / total)))
    return [{"step": step, "width": size[0], "height": size[1],
             "source": "data:image/webp;base64," + base64.b64encode(data).decode()}
            for step, size, data in found], sorted(set(faults))  # fmt: skip


def _even(values, number):
    """At most so many of the values, evenly, first and last among them."""
    if len(values) <= number:
        return values
    return [values[round(i * (len(values) - 1) / (number - 1))] for i in range(number)]


@functools.lru_cache(maxsize=64)
def _small(path, changed, size):
    """(width, height) and WebP of a picture; kept, as training writes a report again and again."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
    if picture.width > _WIDEST:
        height = round(picture.height * _WIDEST / picture.width)
        picture = picture.resize((_WIDEST, max(1, height)), Image.Resampling.LANCZOS)
    data = _encoded(picture, 78)
    if len(data) > _BYTES // _FRAMES + _LEAST_BYTES:
        data = _encoded(picture, 60)
    return picture.size, data


def _encoded(picture, quality):
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return file.getvalue()
