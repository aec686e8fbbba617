"""Compiled programs kept in the work directory, so that the next start need not compile again.

JAX runs what it finds there. So that programs which came with somebody else's work directory are
not found, they lie in a folder whose name follows from a secret of this user, outside of it.
"""

import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from usis_jax.storage import cache_dir

FOLDER = "compilation_cache"
SECRET = "compilation_secret"
MOST_BYTES = 1 << 30

_kept = False


def use(workdir, on=True):
    """Keeps what this process compiles from now on in a folder of a work directory.

    JAX finds a program again by what it computes, JAX's version, the flags and the kind of
    machine, so a stale one is never run. Of several hosts the first writes and all read. A cache
    that the user chose (JAX_COMPILATION_CACHE_DIR) stays in use. Hosts share programs where they
    share the user's folder of caches ($USIS_CACHE); where that cannot be written, none are kept.

    Args:
        workdir: directory of a run; nothing is written before something is compiled.
        on: False keeps nothing from now on.
    """
    global _kept
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or not (on or _kept):
        return
    name = own_name() if on else None
    _kept = on = name is not None
    folder = Path(workdir).absolute() / FOLDER / (name or "none")
    jax.config.update("jax_compilation_cache_dir", str(folder) if on else None)
    jax_cache.reset_cache()
    if on:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        shrink(folder, MOST_BYTES)


def own_name():
    """Name of this user's folder of programs; None where no secret can be read or made.

    The secret is made at first use, readable by its owner only, in $USIS_CACHE or the user's
    folder of caches.
    """
    folder = cache_dir.folder()
    if folder is None:
        return None
    path = folder / SECRET
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)  # for its owner only
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
            os.replace(temporary, path)
        secret = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha256(b"compiled programs " + secret).hexdigest()[:32] if secret else None


def shrink(folder, most_bytes):
    """Deletes the files of a folder that were not read or written for longest.

    Args:
        folder: Path; need not exist. Others may read and delete there at the same time.
        most_bytes: what the files that stay may have together.
    """
    files = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                stat = entry.stat()
                files.append((max(stat.st_atime, stat.st_mtime), stat.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= most_bytes:
            break
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        total -= size
