"""Paths that a user gives: the one place that turns a text into a path, or says why it cannot.

Every option, configuration field and environment variable that names a file or folder comes
through `of`, so that each command expands `~`, refuses an empty text and knows the same schemes.
"""

import os
import pathlib
import re
import sys
import unicodedata
from collections.abc import Iterable

from usis_jax.errors import UserError

ANY, FOLDER, FILE, RUN = "path", "folder", "file", "run"
"""What a path must be where something is there: anything, a folder, a file, or a work directory
(a folder, or a .safetensors file of usis export)."""

SUPPORTED_SCHEMES: frozenset[str] = frozenset()
"""Schemes, such as "gs", of stores that can be read and written besides this machine's files."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
# Known ones are found without the slash, too: what tools leave of gs://bucket is often gs:bucket.
_KNOWN_SCHEME = re.compile(
    r"(gs|gcs|s3a?|r2|az|adl|abfss?|wasbs?|oss|cos|hdfs|webhdfs|viewfs|dbfs|hf|file|https?|ftps?|"
    r"sftp|ssh|rsync|memory|zip):",
    re.IGNORECASE,
)
_RUN_FILE = ".safetensors"
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def of(value, name: str, kind: str = ANY) -> pathlib.Path:
    """The path that a user means.

    Args:
      value: text or path; `~` and `~user` are expanded. A path that was turned once stays as it is.
      name: the option, field or variable that it was given as, for messages, such as "--workdir".
      kind: ANY, FOLDER, FILE or RUN: what it must be if something is there. Nothing need be there.

    Returns:
      A path on this machine.

    Raises:
      UserError: it is empty, has a scheme that is not supported, holds characters that no file
        should have or is not UTF-8, has a home folder that is not known, leads through a file or a
        broken link, or is a file where a folder must be or the other way round.
    """
    text = _text(value, name)
    check_scheme(text, name)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = expanded[1:].partition("/")[0]
        reason = f"there is no user {user}" if user else "the home folder is not known, set HOME"
        raise UserError(f"{name} is {text}; {reason}, or give the path without ~")
    path = pathlib.Path(expanded)
    # "./~x" and "./gs:/x" are folders of these names; without "./" they would be read otherwise.
    if str(path).startswith("~") or (_scheme(str(path)) and not _scheme(text)):
        path = pathlib.Path(os.path.abspath(expanded))
    _check_way(path, name, kind)
    return path


def from_environment(variable: str, default: str) -> pathlib.Path:
    """Folder that an environment variable names, or a default one where it is unset or empty."""
    value = os.environ.get(variable)
    if value:
        return of(value, f"${variable}", FOLDER)
    return of(default, f"${variable} is not set, and its default", FOLDER)


def output_file(value, name: str) -> pathlib.Path:
    """The path of a file to write.

    Args:
      value, name: as of `of`.

    Returns:
      A path in a folder that exists and may be written.

    Raises:
      UserError: there is no such folder, or a folder is there already.
      PermissionError: there is no permission to write there.
    """
    try:
        path = of(value, name)
        folder = pathlib.Path(os.path.abspath(path)).parent
        good = folder.is_dir() and not path.is_dir()
    except NotADirectoryError:
        good = False
    if not good or str(value).endswith("/"):
        raise UserError(f"{name} is {path}; it must be a file in a folder that exists")
    target = path if path.exists() and not path.is_file() else folder  # a device is no new file
    if not os.access(target, os.W_OK):
        raise PermissionError(f"{name} is {path}, and there is no permission to write there")
    return path


def real(path) -> pathlib.Path:
    """Absolute path with all links followed; of links that lead in a circle, as far as they go."""
    return pathlib.Path(os.path.realpath(path))


def is_inside(path, folder) -> bool:
    """Whether a path is a folder or lies in it, whatever links and spellings lead there."""
    path, folder = real(path), real(folder)
    if path == folder or folder in path.parents:
        return True
    return any(_same(place, folder) for place in (path, *path.parents))


def check_not_an_input(output, name: str, inputs: Iterable[tuple[str, object]]) -> None:
    """Refuses an output that would be written over, or into, what is read.

    Args:
      output: path of a file or folder to write.
      name: of it, for the message.
      inputs: (name, path of a file or folder) of each thing that is read.

    Raises:
      UserError: the output is one of them, a link to one, or lies in one of the folders.
    """
    for other, path in inputs:
        if is_inside(output, path):
            same = _same(output, path) or real(output) == real(path)
            where = "the same as" if same else "inside of"
            raise UserError(
                f"{name} is {output}, which is {where} {other}={path}; what is read would be "
                f"overwritten or mixed up, so give another place as {name}"
            )


def check_scheme(text: str, name: str) -> None:
    """UserError where a text is a URL of a store that is not supported.

    Args:
      text: what the user gave.
      name: of it, for the message.
    """
    scheme = _scheme(text)
    if not scheme or scheme in SUPPORTED_SCHEMES:
        return
    if scheme == "file":
        local = re.sub(r"^file:(//(localhost(?=/))?)?", "", text.strip(), flags=re.IGNORECASE)
        raise UserError(f"{name} is {text}; leave out file:// and give {local or 'a path'}")
    if scheme in ("http", "https", "ftp", "ftps"):
        raise UserError(
            f"{name} is {text}; nothing is downloaded from there: download it, and "
            "give the path on this machine"
        )
    raise UserError(
        f"{name} is {text}; {scheme}:// is not supported, only paths on this machine: "
        "copy or mount it here, and give that path"
    )


def check_text(text: str, name: str) -> None:
    """UserError where a text is empty or not UTF-8, as arguments from a shell may be."""
    if not text.strip():
        raise UserError(f"{name} is empty (an unset shell variable?); give a value or leave it out")
    if not is_utf8(text):
        if _is_utf8_in_bytes(text):  # Python was told to read it otherwise
            raise UserError(
                f"{name} is {shown(text)}, but Python reads names as "
                f"{sys.getfilesystemencoding()} here; set PYTHONUTF8=1"
            )
        raise UserError(
            f"{name} is {shown(text)}, which is not UTF-8; give it in UTF-8 (a file of "
            "such a name: rename it, for example with convmv)"
        )


def is_utf8(text) -> bool:
    """Whether a name can be written as UTF-8, as JSON, HTML and data sets need it."""
    try:
        str(text).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(text) -> str:
    r"""A name for messages, with bytes that are not UTF-8 as \xe9."""
    try:
        return os.fsencode(str(text)).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # halves of a character that no file system gave
        return str(text).encode("ascii", "backslashreplace").decode("ascii")


def _is_utf8_in_bytes(text):
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return False
    return True


def _text(value, name):
    """The user's text, if it can be a path."""
    try:
        text = os.fsdecode(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; it must be a path") from None
    if not text.strip():
        raise UserError(f"{name} is empty (an unset shell variable?); give a path")
    bad = next((c for c in text if unicodedata.category(c) == "Cc"), None)
    if bad is not None:
        raise UserError(
            f"{name} is {text!r}; a path must not have the character {bad!r} (a script "
            "with Windows line ends?)"
        )
    check_text(text, name)
    if text != text.strip() and not os.path.lexists(os.path.expanduser(text)):
        raise UserError(
            f"{name} is {text!r}; there is no such path, and a new one must not begin "
            "or end with a space"
        )
    return text


def _scheme(text):
    """Scheme of a URL in small letters, or None of a path."""
    found = _SCHEME.match(text.strip()) or _KNOWN_SCHEME.match(text.strip())
    return found[1].lower() if found else None


def _check_way(path, name, kind):
    """UserError where the path cannot be what it must be, whatever is done with it later."""
    try:
        here = os.path.abspath(path)
    except FileNotFoundError:
        raise UserError(
            f"{name} is {path}, but the current folder was deleted; change to another one"
        ) from None
    if not is_utf8(here):
        raise UserError(
            f"{name} is {path} in {shown(here)}, which is not UTF-8; change to a "
            "folder of another name, or rename it"
        )
    place = pathlib.Path(here)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not os.path.exists(place) and os.path.islink(place):
        raise UserError(
            f"{name} is {path}, but {place} is a link to {os.readlink(place)}, which "
            "is not there or leads in a circle"
        )
    if str(place) != here:
        if os.path.exists(place) and not place.is_dir():
            raise UserError(f"{name} is {path}, but {place} is a file, so nothing can lie in it")
        return
    is_folder = os.path.isdir(place)
    if kind == FILE and is_folder:
        raise UserError(f"{name} is {path}, which is a folder; it must be a file")
    weights = kind == RUN and place.suffix == _RUN_FILE
    if kind in (FOLDER, RUN) and not is_folder and os.path.exists(place) and not weights:
        more = "; unpack it first" if place.suffix.lower() in _ARCHIVES else ""
        raise UserError(f"{name} is {path}, which is a file; it must be a folder{more}")


def _same(a, b):
    """Whether two paths are one file or folder; hard links are."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
