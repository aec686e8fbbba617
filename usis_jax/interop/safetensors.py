"""The safetensors format: a JSON header and the bytes of the arrays. No code can hide in it."""

import json
import struct
from collections.abc import Mapping
from typing import BinaryIO

import ml_dtypes
import numpy as np

from usis_jax.interop.pickles import BadFile

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16, "I64": "<i8",
    "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_LARGEST_HEADER = 100_000_000
METADATA = "__metadata__"


def read(file: BinaryIO, name, size: int) -> dict[str, np.ndarray]:
    """Arrays of a .safetensors file.

    Args:
      file: open for reading, at the start.
      name: of the file, for messages.
      size: of the file, in bytes.

    Returns:
      key -> array.

    Raises:
      BadFile: the header is larger than the file or no JSON, or an array is of an unknown dtype
        or does not fit its bytes.

    Source: the safetensors format.
    """
    header, length = _header(file, name, size)
    try:
        entries = {key: (entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
                   for key, entry in header.items() if key != METADATA}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadFile(f"{name} is no safetensors file: its header cannot be read") from None
    begun = 0
    for _, _, begin, end in sorted(entries.values(), key=lambda entry: _place(entry, name)):
        if begin < begun:  # a small file could ask for one part of it again and again
            raise BadFile(f"{name} is damaged: its arrays lie in each other")
        begun = end
    return {key: _array(file, f"{name}: {key}", 8 + length, size, *entry)
            for key, entry in entries.items()}


def metadata(file: BinaryIO, name, size: int) -> dict[str, str]:
    """Texts that a .safetensors file has beside its arrays; arguments and errors as of `read`."""
    found = _header(file, name, size)[0].get(METADATA, {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise BadFile(f"{name} is no safetensors file: its metadata are no texts")
    return found


def _header(file, name, size) -> tuple[dict, int]:
    """What the file says of its arrays, and how many bytes it takes for that."""
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if length > min(size - 8, _LARGEST_HEADER):
        raise BadFile(f"{name} is no safetensors file: its header of {length} bytes is larger "
                         "than the file or than the format allows")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise BadFile(f"{name} is no safetensors file: its header cannot be read")
    return header, length


def _place(entry, name) -> tuple[int, int]:
    """Where an array begins and ends; BadFile where those are no whole numbers."""
    _, shape, begin, end = entry
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise BadFile(f"{name} has a shape or place that is no whole number")
    return begin, end


def _array(file, name, start, size, kind, shape, begin, end):
    if kind not in _DTYPES:
        raise BadFile(f"{name} has dtype {kind!r}; allowed are {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != end - begin or start + end > size:
        raise BadFile(f"{name} is damaged: {list(shape)} of {kind} does not fit bytes {begin} "
                         f"to {end} of a file of {size}")
    file.seek(start + begin)
    return np.frombuffer(file.read(end - begin), dtype).reshape(shape)


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray],
          metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays as safetensors.

    Args:
      file: open for writing.
      arrays: key -> array of a dtype that the format knows.
      metadata: texts beside them.

    Source: the safetensors format; the header is padded to 8 bytes as it advises.
    """
    names = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
    header, end = {METADATA: dict(metadata)} if metadata else {}, 0
    for key, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[key] = {"dtype": names[array.dtype], "shape": list(array.shape),
                       "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).tobytes())
