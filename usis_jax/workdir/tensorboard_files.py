"""TensorBoard's event files, cut back to the step at which training goes on.

A file is a row of records: length (uint64), checksum of the length (uint32), data, checksum of
the data (uint32), all little-endian; the data is an Event message.
"""

import struct
from pathlib import Path

from usis_jax.storage import atomic

_LENGTH = struct.Struct("<Q")
_AROUND = 12 + 4


def cut(folder, step):
    """Removes the events later than a step from the event files of a folder, and torn ones.

    Args:
        folder: directory of event files; need not exist.
        step: int, the last step whose events stay.
    """
    for path in sorted(Path(folder).glob("*tfevents*")):
        data = path.read_bytes()
        kept = b"".join(record for record in _records(data) if _step(record) <= step)
        if len(kept) < len(data):
            atomic.write_with(path, lambda file, kept=kept: file.write(kept))


def _records(data):
    """The whole records at the beginning of a file, as bytes."""
    start = 0
    while start + _AROUND <= len(data):
        end = start + _AROUND + _LENGTH.unpack_from(data, start)[0]
        if end > len(data):
            return
        yield data[start:end]
        start = end


def _step(record):
    """The step of a record's event."""
    from tensorboard.compat.proto import event_pb2

    return event_pb2.Event.FromString(record[12:-4]).step
