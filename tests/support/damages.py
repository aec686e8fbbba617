"""Damages of files, and checks of what reading damaged files gives: for the fuzz tests.

Each damaged input is a function of (seed, kind, number). It must end in an error that `usis` shows
as one line, or in the right result; where the format has checksums, never in another result.

USIS_FUZZ=300 tries so many inputs of each kind, not the quick number; USIS_FUZZ_SEED=N others.
"""

import collections
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from usis_jax.cli import main

NUMBER = int(os.environ.get("USIS_FUZZ", "10"))
SEED = int(os.environ.get("USIS_FUZZ_SEED", "1"))
LIMIT_SECONDS = 20


class Kind(NamedTuple):
    """A kind of input.

    `make` writes a good file into a folder and returns its path (a folder for those that are
    several files); `read` reads it; `checked` says whether the format has checksums.
    """

    make: Callable
    read: Callable
    checked: bool = False


def digest(value) -> str:
    """Hash of what was read, of whatever it is made."""
    if isinstance(value, dict):
        parts = [f"{key}={digest(part)}" for key, part in value.items()]
        return digest("dict" + "\n".join(parts))
    if isinstance(value, list | tuple):
        return digest("list" + "\n".join(map(digest, value)))
    if isinstance(value, np.ndarray):
        value = f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()


# Damages: (content, random numbers, content of another file) -> content.
def _cut(content, random, other):
    return content[: random.integers(len(content) + 1)]


def _bit(content, random, other):
    array = bytearray(content)
    array[random.integers(len(array))] ^= 1 << random.integers(8)
    return bytes(array)


def _flip(content, random, other):
    array = bytearray(content)
    for place in random.integers(len(array), size=random.integers(1, 9)):
        array[place] ^= 1 << random.integers(8)
    return bytes(array)


def _noise(content, random, other):
    start = random.integers(len(content))
    length = 2 ** random.integers(9)
    return content[:start] + random.bytes(length) + content[start + length :]


def _blank(content, random, other):
    start, length = random.integers(len(content)), 2 ** random.integers(13)
    return content[:start] + bytes(length) + content[start + length :]


def _drop(content, random, other):
    start = random.integers(len(content))
    return content[:start] + content[start + random.integers(1, 300) :]


def _repeat(content, random, other):
    start, end = sorted(random.integers(len(content), size=2))
    return content[:end] + content[start:end] + content[end:]


def _other_header(content, random, other):
    length = random.integers(1, 600)
    return other[:length] + content[length:]


def _huge(content, random, other):
    """The largest numbers, in either order of bytes, near the start where sizes are declared."""
    value = [
        b"\xff" * 4,
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\xff" * 8,
        b"\0\0\0\0\0\1\0\0",
        b"\xff\xff",
    ][random.integers(6)]
    start = random.integers(min(len(content), [64, 512, 10**9][random.integers(3)]))
    return content[:start] + value + content[start + len(value) :]


def _words(content, random, other):
    """A value in a text becomes one of another type, or of an absurd size."""
    words = [
        b"null",
        b"-1",
        b"1e999",
        b"true",
        b'"x"',
        b"[]",
        b"{}",
        b"9" * 30,
        b"9" * 5000,
        b"[" * 3000,
        b"1.5",
        b"\xff\xfe",
        b"",
        b'"' + "\u202e\u0000".encode() + b'"',
        b"NaN",
        b"../../x",
        b"\x1b[2J",
        b"[[[1]]]",
        b'{"a": 1}',
    ]
    values = list(re.finditer(rb'"[^"\n]*"|[0-9.]+|[a-z_]+|\[[^\[]*\]|\{[^{]*\}', content))
    start, end = values[random.integers(len(values))].span() if values else (0, 4)
    return content[:start] + words[random.integers(len(words))] + content[end:]


def _empty(content, random, other):
    return b""


DAMAGES = (_cut, _cut, _bit, _bit, _bit, _flip, _noise, _blank, _drop, _repeat, _other_header,
           _huge, _huge, _words, _words, _words, _empty)  # fmt: skip


@contextlib.contextmanager
def _limit(seconds):
    """TimeoutError in this thread after so many seconds."""

    def late(*_):
        raise TimeoutError(f"took longer than {seconds} s")

    old = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def outcome_of(kind, path, good):
    """ "right", "error" or "unnoticed", or what is wrong with how the input was received."""
    try:
        with _limit(LIMIT_SECONDS):
            result = digest(kind.read(path))
    except (ValueError, OSError) as error:
        if isinstance(error, TimeoutError) or not main.is_bad_input(error):
            return f"not clear: {type(error).__name__}: {str(error)[:200]}"
        line = main._one_line(error)
        if not line.isprintable():
            return f"more than a line: {line!r}"
        return "error"
    except BaseException as error:
        return f"traceback: {type(error).__name__}: {str(error)[:200]}"
    if result == good:
        return "right"
    return "silent damage" if kind.checked else "unnoticed"


def _files(path):
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def fuzz(name, kind, folder, number=NUMBER, damages=DAMAGES, source=None, only="*"):
    """Tries `number` damaged inputs of a kind; fails with the seeds of those that went wrong.

    Of a folder (`source`, else what `kind` makes), files that match `only` are damaged.
    """
    begin = folder / "good"
    begin.mkdir(exist_ok=True)
    source = source or kind.make(begin)
    good = digest(kind.read(source))
    other = b"\x89PNG\r\n\x1a\n" + pathlib.Path(__file__).read_bytes()
    found, wrong = collections.Counter(), []
    for n in range(number):
        random = np.random.default_rng([SEED, zlib.crc32(name.encode()), n])
        target = folder / "damaged" / source.name
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)
        victims = [path for path in _files(target) if path.match(only)]
        victim = victims[random.integers(len(victims))]
        damage = damages[random.integers(len(damages))]
        before = victim.read_bytes()
        if source.is_dir() and random.random() < 0.1:
            victim.unlink()
        else:
            used = before.rstrip(b"\0")  # what only fills up a block is not worth a damage
            after = damage(used, random, other) if used else random.bytes(9)
            victim.write_bytes(after + before[len(used) :])
        outcome = outcome_of(kind, target, good)
        found[outcome.split(":")[0]] += 1
        if outcome not in ("right", "error", "unnoticed"):
            where = victim.relative_to(target.parent)
            wrong.append(
                f"USIS_FUZZ_SEED={SEED} {name} number {n}, {damage.__name__} of {where}: {outcome}"
            )
    print(f"{name}: {number} damaged inputs: {dict(found)}")
    assert not wrong, "\n".join(wrong)
    assert found["error"] + found["unnoticed"] or number < 5  # the damages do something
