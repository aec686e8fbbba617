"""A temporary folder beside the prepared data, so that nothing half-written is ever in place."""

import contextlib
import errno
import os
import pathlib
import shutil
import socket
import tempfile

from usis_jax.errors import UserError

_PREFIX = ".usis_preparing_"


@contextlib.contextmanager
def folder(root: pathlib.Path, size: int):
    """A new folder in `root`, removed in the end; removes those of processes that were killed.

    Args:
      root: folder of the prepared data; made if it is missing, and removed if it stays empty.
      size: bytes that will be written at most.

    Raises:
      UserError: `root` cannot be written or has less than `size` free.
    """
    host = f"{_PREFIX}{socket.gethostname()}_"
    created = [p for p in (root, *root.parents) if not p.exists()]
    staging = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        for old in root.glob(f"{host}*"):
            if not _alive(old.name.removeprefix(host).split("_")[0]):
                shutil.rmtree(old, ignore_errors=True)
        free = shutil.disk_usage(root).free
        if free < size:
            raise UserError(
                f"data.prepared_dir {root} has {free / 2**20:.0f} MiB free; preparing may need "
                f"{size / 2**20:.0f} MiB"
            )
        staging = pathlib.Path(tempfile.mkdtemp(prefix=f"{host}{os.getpid()}_", dir=root))
        yield staging
    except OSError as error:
        if isinstance(error, FileNotFoundError) and staging is not None:
            raise
        reason = error.strerror or error
        raise UserError(f"cannot write data.prepared_dir {root}: {reason}") from error
    except RuntimeError as error:  # as ArrayRecord's writer reports a full disk
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        reason = os.strerror(errno.ENOSPC)
        raise UserError(f"cannot write data.prepared_dir {root}: {reason}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for path in created:
            with contextlib.suppress(OSError):
                path.rmdir()


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def move(new: pathlib.Path, target: pathlib.Path, staging: pathlib.Path) -> None:
    """Moves a finished data set into place; what was there goes away with `staging`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(tempfile.mkdtemp(dir=staging) + "/old")
    new.rename(target)
