"""Standard output and error that cannot end a command: what they do not take is lost, not fatal.

The reader of a pipe may go away, a terminal may be closed, a disk may be full, and a stream may be
closed or unable to show a letter. None of it is a reason to lose hours of training.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

# Nobody reads any more: nothing will be taken later either.
_GONE = (errno.EPIPE, errno.EBADF, errno.EIO, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENXIO)


class Lossy:
    """A text stream that passes text on to another one and survives whatever that one raises.

    Everything but writing and flushing is the other stream's own.

    Args:
      stream: text stream.
    """

    def __init__(self, stream):
        self._stream = stream
        self._gone = False
        self.fault: OSError | None = None
        """The first reason why text was lost, other than that nobody reads it."""
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Writes text, or loses it."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines) -> None:
        """Writes several texts, or loses them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Brings what was written to its reader, or loses it."""
        self._attempt(self._stream.flush)

    def finish(self) -> None:
        """Flushes; what is not taken now is not tried again when the process ends."""
        self.flush()
        if self.fault is not None:
            self._give_up()

    def isatty(self) -> bool:
        """Whether the stream is a terminal; a closed one is none."""
        try:
            return not self._gone and self._stream.isatty()
        except ValueError:
            return False

    def _attempt(self, act) -> None:
        if self._gone:
            return
        try:
            act()
        except UnicodeError:  # a stream that cannot be told what to do with such letters
            return
        except ValueError:  # closed
            self._gone = True
        except OSError as error:
            if error.errno in _GONE:
                self._give_up()
            elif self.fault is None:
                self.fault = error

    def _give_up(self) -> None:
        """Has the system swallow what is still buffered, at the latest when Python ends."""
        self._gone = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def lossy() -> Iterator[None]:
    """Standard output and error are Lossy inside; missing ones lead nowhere.

    A fault of standard output other than a reader who left, such as a full disk, is said on
    standard error at the end.
    """
    _open_missing()
    before = sys.stdout, sys.stderr
    streams = [Lossy(stream or open(os.devnull, "w")) for stream in before]  # noqa: SIM115
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        out, err = streams
        out.finish()
        if out.fault is not None:
            reason = out.fault.strerror or out.fault
            err.write(f"usis: standard output was not all written: {reason}\n")
        err.finish()
        # Others may have put streams of their own in their place meanwhile.
        if (sys.stdout, sys.stderr) == (out, err):
            sys.stdout, sys.stderr = before


def _open_missing() -> None:
    """Has descriptors 0 to 2 that are closed lead nowhere.

    Otherwise the next files opened get these numbers, and whatever a library prints ends in them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                continue
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
