"""What a disk and the storage library report while checkpoints are written and read, in words."""

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
from pathlib import Path

import jax
from absl import logging as absl_logging

from usis_jax.errors import UserError

# What warnings of Orbax speak of where a checkpoint may not be what it should.
_TROUBLE = re.compile(
    r"(?i)\bskipping merge|corrupt|incomplete|failed to (save|write|read OCDBT"
    r"|finalize|delete|commit)|error|zero size|could not be|mismatch|truncat"
)
_PLACE = re.compile(r"\[process=\d+\]|\[thread=[^\]]*\]")
_LONGEST = 400
_REST = "checkpoints already written are as they were, and the same command goes on from the last"
_FAULTS = {
    errno.ENOSPC: ("No space left", "no space left"),
    errno.EDQUOT: ("Disk quota exceeded",),
    errno.EROFS: ("Read-only file system",),
    errno.EIO: ("Input/output error",),
    errno.ESTALE: ("Stale file handle",),
    errno.EACCES: ("PERMISSION_DENIED", "Permission denied"),
}


class DamagedError(UserError):
    """A checkpoint that cannot be read, or is not what was written.

    Args:
        workdir: directory of the run.
        step: int, the checkpoint's.
        reason: what is wrong, in a few words.
    """

    def __init__(self, workdir, step, reason):
        super().__init__(
            f"checkpoint {step} of {workdir} is damaged ({reason}); move its folder "
            f"checkpoints/{step} away to use the one before, as usis train does by itself"
        )
        self.step, self.reason = step, reason


def check_space(workdir, tree, number=1):
    """Raises OSError (no space left) when the disk cannot hold a number of checkpoints.

    Args:
        workdir: directory of the run.
        tree: pytree of the arrays of one.
        number: how many there will be at once.
    """
    needed = number * (sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + 2**20)
    free = shutil.disk_usage(workdir).free
    if free < needed:
        many = f"the {number} checkpoints that will be there at once" if number > 1 else (
            "a checkpoint")  # fmt: skip
        less = ", or keep fewer (--config.keep_checkpoints)" if number > 1 else ""
        raise OSError(
            errno.ENOSPC,
            f"no space left for {many} in {workdir}: {'they need' if number > 1 else 'it needs'} "
            f"{needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free"
            + (f"; free some{less}" if less else ""),
        )


@contextlib.contextmanager
def finding_damage(workdir, step):
    """Turns whatever a damaged file makes the storage library raise into DamagedError."""
    try:
        yield
    except (PermissionError, MemoryError, DamagedError):
        raise
    except Exception as error:
        if "PERMISSION_DENIED" in str(error):
            message = f"checkpoint {step} of {workdir} may not be read"
            raise PermissionError(errno.EACCES, message) from None
        sys.unraisablehook = _unraisable
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise DamagedError(workdir, step, f"{type(error).__name__}: {first}") from None


def _unraisable(unraisable):
    """Hides what other reads of a checkpoint find when the one that failed has ended them all."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


@contextlib.contextmanager
def naming_faults(workdir, running=False):
    """Turns what a full, read-only, broken or vanished work directory raises into one line.

    Writers of checkpoints and logs each have errors of their own for it, some raised in a thread.

    Args:
        workdir: directory of a run.
        running: whether its config.json was there at the start, so that it is missed.
    """
    try:
        yield
    except Exception as error:
        fault = fault_of(error, workdir)
        if running and fault is None:
            check_present(workdir)
        if fault is None:
            raise
        raise fault from None


def check_present(workdir):
    """Raises FileNotFoundError when the directory of a run that is going on is not there."""
    if not (Path(workdir) / "config.json").is_file():
        raise FileNotFoundError(
            errno.ENOENT, f"--workdir {workdir} or its config.json vanished while training; {_REST}"
        ) from None


def fault_of(error, workdir):
    """The error to raise instead of one, or None if it is not the work directory's fault."""
    workdir = Path(workdir)
    texts, codes, seen = [], set(), error
    while seen is not None:
        texts.append(str(seen))
        codes.add(getattr(seen, "errno", None))
        seen = seen.__cause__ or seen.__context__
    named = getattr(error, "filename", None)
    elsewhere = named and workdir.absolute() not in Path(str(named)).absolute().parents
    if elsewhere or f"in {workdir}" in texts[0] or f"--workdir {workdir}" in texts[0]:
        return None
    for code, words in _FAULTS.items():
        if code in codes or any(word in text for word in words for text in texts):
            kind = PermissionError if code == errno.EACCES else OSError
            words = os.strerror(code)
            return kind(code, f"{words} in --workdir {workdir}: training stopped; {_REST}")
    return None


@contextlib.contextmanager
def quiet():
    """Hides what Orbax and other libraries log.

    Of Orbax, also later in its threads: only warnings that a checkpoint may not be what it should
    come through, each once, as one line; stack traces of errors, which it raises as well, do not.
    """
    for each in (logging.getLogger("absl"), absl_logging.get_absl_handler()):
        each.addFilter(_LOGGED)  # once, however often
    _LOGGED.depth += 1
    try:
        yield
    finally:
        _LOGGED.depth -= 1


class _Logged(logging.Filter):
    """Hides records of absl's logger, and prints those of Orbax that speak of trouble."""

    def __init__(self):
        super().__init__()
        self.depth, self.said = 0, set()

    def filter(self, record):
        """Whether absl writes a record by itself."""
        if "orbax" not in Path(record.pathname).parts:
            return not self.depth or record.levelno >= logging.CRITICAL
        if record.levelno == logging.WARNING:
            text = " ".join(_PLACE.sub("", record.getMessage()).split())
            if _TROUBLE.search(text) and text not in self.said:
                self.said.add(text)
                print(f"usis: storage: {text[:_LONGEST]}", file=sys.stderr)
        return False


_LOGGED = _Logged()
