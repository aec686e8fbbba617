"""One run at a time in a work directory.

The system's own file lock (flock) decides on one host and on network file systems that pass it on
(NFS 4, Lustre with -o flock, GPFS); it ends with the process, however that ends, so that nothing
must be cleaned up after kill -9. Where a file system keeps locks to one host, the holder's beat is
watched: it rewrites the file every few seconds, and who finds another host's name in it waits for
the next beat before taking over.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path

from usis_jax.errors import UserError

FILE = "lock"
BEAT_SECONDS = 5.0
# A host that missed this many beats is taken for dead.
_BEATS = 4


class Lock:
    """Keeps other runs out of a work directory; a context manager.

    Args:
        workdir: directory of the run; made if it is missing, and taken away again at the end if
            nothing was put there.
        host: name of this host.
        beat_seconds: time between two beats.
    Raises:
        UserError: another run holds it; names its host and process.
        PermissionError: the directory cannot be written.
    """

    def __init__(self, workdir, host=None, beat_seconds=BEAT_SECONDS):
        self._workdir = Path(workdir)
        self._host = host or socket.gethostname()
        self._beat_seconds = beat_seconds
        self._ended = threading.Event()

    def __enter__(self):
        self._file = self._locked_file()
        try:
            self._check_other_host()
        except BaseException:
            self._file.close()
            raise
        self._write(0)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        # An unlinked directory or a broken disk has no lock to give back.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
            names = [path.name for path in self._workdir.iterdir()]
            if names == [FILE]:
                (self._workdir / FILE).unlink()
                self._workdir.rmdir()
        self._file.close()

    def _locked_file(self):
        """The lock's file, opened and locked."""
        while True:
            file = _opened(self._workdir)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _read(file)
                file.close()
                raise self._taken(holder) from None
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):
                    raise
            # Who held it may have taken the file away meanwhile.
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def _check_other_host(self):
        """Waits for a beat of a holder on another host, whose lock may not reach this one."""
        holder = _read(self._file)
        if not holder or holder.get("host") == self._host:
            return
        end = time.monotonic() + _BEATS * self._beat_seconds
        while time.monotonic() < end:
            time.sleep(self._beat_seconds / 4)
            now = _read(self._file)
            if now.get("beat") != holder.get("beat"):
                if not now:
                    return
                raise self._taken(now)

    def _taken(self, holder):
        who = f"process {holder['pid']} on host {holder['host']}" if holder else "another process"
        return UserError(
            f"{self._workdir} is in use by {who}: wait until it ends or stop it, or choose another "
            "--workdir"
        )

    def _write(self, beat):
        text = json.dumps({"host": self._host, "pid": os.getpid(), "beat": beat})
        data = text.encode().ljust(256)
        os.pwrite(self._file.fileno(), data, 0)

    def _beat(self):
        beat = 0
        while not self._ended.wait(self._beat_seconds):
            beat += 1
            # A full or vanished disk is for the run itself to report.
            with contextlib.suppress(OSError):
                self._write(beat)


def _opened(workdir):
    """The lock's file, open for reading and writing, in a directory that is made if missing."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        return open(os.open(workdir / FILE, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
    except PermissionError as error:
        raise PermissionError(
            errno.EACCES, f"cannot write to --workdir {workdir}: {error.strerror}"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"--workdir {workdir} is a file, or lies in one") from None


def _read(file):
    """What the holder wrote about itself; empty if nobody holds the lock."""
    try:
        holder = json.loads(os.pread(file.fileno(), 256, 0))
        return holder if {"host", "pid"} <= holder.keys() else {}
    except (ValueError, AttributeError):
        return {}
