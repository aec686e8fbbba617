"""Colours on a terminal, and nowhere else."""

import os
import sys

_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def has_colours(stream=None) -> bool:
    """Whether a stream is a terminal that shows colours.

    Args:
      stream: text stream; None = standard output.

    Returns:
      False for files and pipes, where NO_COLOR is set to anything, and on terminals that call
      themselves dumb.
    """
    stream = sys.stdout if stream is None else stream
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "") == "dumb":
        return False
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # no stream at all, or a closed one
        return False


def show_anything() -> None:
    """Lets texts be written that a stream's encoding lacks, such as é in ASCII: as \\xe9."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def styled(text: str, *styles: str, stream=None) -> str:
    """Text in styles where the stream shows colours, else as it is.

    Args:
      text: without control characters.
      styles: of bold, red, green, yellow, cyan.
      stream: where it will be written; None = standard output.

    Returns:
      The text, with or without control characters around it.
    """
    if not styles or not has_colours(stream):
        return text
    return f"\033[{';'.join(_STYLES[style] for style in styles)}m{text}\033[0m"
