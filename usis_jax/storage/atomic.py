"""Files that appear whole or not at all, so that nobody reads half of one."""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def is_stream(path) -> bool:
    """Whether a path is a device, a pipe or an open file of a process, such as /dev/stdout."""
    place = os.path.abspath(path)
    if place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/"):
        return True
    return os.path.exists(place) and not (os.path.isfile(place) or os.path.isdir(place))


def write_text(path, text):
    """Writes a text file."""
    with _replacing(path) as file:
        file.write(text.encode())


def write_png(path, image):
    """Writes uint8 [H, W, 3] as PNG, making the folder if it is missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as file:
        Image.fromarray(np.asarray(image, np.uint8)).save(file, format="PNG")


def write_with(path, write):
    """Writes a file by calling `write(file)`, the file open for writing bytes."""
    with _replacing(path) as file:
        write(file)


@contextlib.contextmanager
def _replacing(path):
    """A temporary file beside `path` that takes its place at the end, or vanishes on an error.

    Of a device or a pipe, the device itself.
    """
    path = Path(path)
    if is_stream(path):  # a temporary file would take the device's place
        with open(path, "ab") as file:
            yield file
        return
    mask = os.umask(0)
    os.umask(mask)
    try:  # its own name may be as long as names can be, so the temporary one has a part of it
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):  # a full disk names no file, a move the temporary one
            error.filename, error.filename2 = str(path), None
        raise
