"""Reads text files that people and other programs wrote: any mark, encoding and line end."""

import codecs
import json
import os
import pathlib

from usis_jax.errors import UserError

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read(path: str | os.PathLike) -> str:
    """Text of a file in UTF-8, or in what its byte order mark says.

    Args:
      path: file.

    Returns:
      Its text without a byte order mark, with line ends of Windows and old Macs as newlines.

    Raises:
      OSError: the file cannot be read.
      UserError: it is no text in UTF-8 and has no byte order mark.
    """
    return decode(pathlib.Path(path).read_bytes(), path)


def decode(content: bytes, name: object = "text") -> str:
    """As `read`, of bytes; `name` is what errors call them."""
    mark, encoding = next((pair for pair in _MARKS if content.startswith(pair[0])), (b"", "utf-8"))
    if not mark and b"\0" in content:
        raise UserError(f"{name} has zero bytes, as UTF-16 without its mark; save it as UTF-8")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is no text in {encoding.upper()} ({error.reason} at byte "
            f"{error.start + len(mark)}); save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: str | os.PathLike) -> object:
    """Value of a JSON file, read as `read` does.

    Raises:
      OSError: the file cannot be read.
      UserError: it is no JSON, nested too deep, or an object in it has a name twice.
    """
    return parse_json(read(path), path)


def parse_json(text: str, name: object = "text") -> object:
    """As `read_json`, of a text; `name` is what errors call it."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise UserError(f"{name} is no JSON that can be read: it is nested too deep") from None
    except ValueError as error:
        raise UserError(f"{name} is no JSON that can be read: {error}") from None


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"the name {twice!r} comes twice")
    return found
