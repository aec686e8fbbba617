"""Reading of files that torch.save wrote, both formats, without PyTorch and without running code.

Both formats hold a pickle, a small program that builds objects and may call any function it names.
Here it may name nothing but OrderedDict, PyTorch's tensor builder and its kinds of storage, and it
gets stand-ins for them that only note what was asked. Bytes of the weights are looked up after it.
What a file declares is held against its own size before memory is taken for it.
"""

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar, NamedTuple

import ml_dtypes
import numpy as np

from usis_jax.errors import UserError

LEGACY = pickle.PROTO + b"\x02" + pickle.LONG1 + b"\x0a" + bytes.fromhex("6cfc9c46f9206aa85019")
"""First bytes of the format of PyTorch before 1.6: its magic number, pickled."""
_PROTOCOL = 1001
_LARGEST_PICKLE = 2**26
_MOST_COPIES = 16
"""Times its own weights, and a little, that a file may ask for in rearranged copies."""
DTYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": ml_dtypes.bfloat16, "Long": "<i8",
    "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?",
}  # fmt: skip
_NUMBERS = ("build_intlist", "build_doublelist", "build_boollist")


class BadFile(UserError):
    """A file that cannot be read; the message says why, and what to do, in one line."""


class Tensor(NamedTuple):
    """A tensor as a file describes it: its storage (key, dtype, number of values) and its view."""

    storage: tuple[str, np.dtype, int]
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Builder:
    """Stand-in for torch._utils._rebuild_tensor_v2. No attribute of it can be set by a file."""

    __slots__ = ()

    def __call__(self, storage, offset, size, stride, *_):
        return Tensor(storage, offset, size, stride)


class _Storage(NamedTuple):
    """Stand-in for the class of a storage, such as torch.FloatStorage."""

    dtype: np.dtype


class _Module(dict):
    """Stand-in for every class of a TorchScript file: an object's attributes by name."""

    __slots__ = ()

    def __setstate__(self, state):
        self.update(state)


class _Numbers:
    """Stand-in for the builders of lists of numbers in a TorchScript file."""

    __slots__ = ()

    def __call__(self, numbers):
        return numbers


class _Bounded:
    """A file of which no more is read, and no more memory taken, than there is.

    Args:
      file: open for reading, at a place from which a pickle is read.
    """

    def __init__(self, file: BinaryIO):
        self._file, here = file, file.tell()
        self._left = min(file.seek(0, 2) - here, _LARGEST_PICKLE)
        file.seek(here)

    def read(self, size: int) -> bytes:
        """As of files, but EOFError where less than `size` is left."""
        if not 0 <= size <= self._left:
            raise EOFError("it ends too early, or its description is too long")
        self._left -= size
        return self._file.read(size)

    def readline(self) -> bytes:
        """As of files."""
        line = self._file.readline(self._left)
        self._left -= len(line)
        return line


class _Reader(pickle._Unpickler):
    """The unpickler, in Python, without what no file of tensors needs.

    Args:
      file: where the pickle starts.
      name: of the file, for messages.
      scripted: whether it may hold objects of TorchScript classes, whose attributes are then read.
    """

    # Extensions are names by number; byte arrays are made as long as a file says, empty or not.
    dispatch: ClassVar[dict] = {
        code: function for code, function in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in (
            pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX,
            pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.PERSID)
    }  # fmt: skip

    def __init__(self, file: BinaryIO, name, scripted: bool = False):
        super().__init__(_Bounded(file), encoding="utf-8")
        self.name = name
        self.scripted = scripted

    def find_class(self, module, name):
        """Stand-ins for what may be named; everything else is refused."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Builder()
        kind = name.removesuffix("Storage")
        if module == "torch" and name.endswith("Storage") and kind in DTYPES:
            return _Storage(np.dtype(DTYPES[kind]))
        if self.scripted and module.startswith("__torch__."):
            return _Module
        if self.scripted and module == "torch.jit._pickle" and name in _NUMBERS:
            return _Numbers()
        raise BadFile(
            f"{self.name} asks for {module}.{name}, which is refused: only files of tensors are "
            "read; save the network's state_dict() alone"
        )

    def persistent_load(self, pid):
        """The storage that a tensor refers to."""
        kind, storage, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage, _Storage) or any(view):
            raise BadFile(f"{self.name} refers to {kind!r} in a way that is not known")
        return (str(key), storage.dtype, int(count))


def read_zip(file: BinaryIO, name, scripted: bool = False) -> Any:
    """What torch.save wrote in its present format, or torch.jit.save.

    Args:
      file: open for reading, at the start.
      name: of the file, for messages.
      scripted: whether TorchScript modules are read, as dicts of their attributes; else refused.

    Returns:
      The saved object, with a NumPy array for each tensor.

    Raises:
      BadFile: the file is damaged, asks for more than tensors, or is big-endian.
    """
    size = file.seek(0, 2)
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    stored = [e.file_size for e in entries.values() if e.compress_type == zipfile.ZIP_STORED]
    if sum(stored) > size:
        raise BadFile(
            f"{name} is damaged: its parts are larger than the file, or lie in each other"
        )
    roots = [path.removesuffix("data.pkl") for path in entries if path.endswith("/data.pkl")]
    if len(roots) != 1:
        raise BadFile(f"{name} is a zip archive, but not one of PyTorch: it has no data.pkl")

    def content(path, largest):
        entry = entries.get(roots[0] + path)
        if entry is None:
            raise BadFile(f"{name} is damaged: {path} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > largest:
            raise BadFile(f"{name} is damaged: {path} is compressed or larger than it says")
        return archive.read(entry)

    if roots[0] + "byteorder" in entries and content("byteorder", 16).strip() != b"little":
        raise BadFile(f"{name} is big-endian; save it again on a little-endian machine")
    found = _Reader(io.BytesIO(content("data.pkl", _LARGEST_PICKLE)), name, scripted).load()
    return with_arrays(found, name, lambda key, size: content(f"data/{key}", size))


def read_legacy(file: BinaryIO, name) -> Any:
    """What torch.save wrote before PyTorch 1.6; arguments and errors as for `read_zip`."""
    _Reader(file, name).load()
    if _Reader(file, name).load() != _PROTOCOL:
        raise BadFile(f"{name} is of an unknown version of PyTorch's old format")
    system = _Reader(file, name).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise BadFile(f"{name} is big-endian; save it again on a little-endian machine")
    found = _Reader(file, name).load()
    keys = [str(key) for key in _Reader(file, name).load()]
    places, storages, start = {}, {}, file.tell()
    _tensors(found, lambda tensor: storages.update({tensor.storage[0]: tensor.storage}))
    end = file.seek(0, 2)
    for key in keys:
        file.seek(start)
        _, dtype, count = storages.get(key, (key, None, -1))
        if struct.unpack("<q", file.read(8))[0] != count:
            raise BadFile(f"{name} is damaged: storage {key!r} has not the size of its tensors")
        places[key] = start + 8
        start += 8 + count * dtype.itemsize
        if start > end:
            raise BadFile(f"{name} is damaged: it ends before storage {key!r}")

    def content(key, size):
        file.seek(places[key])
        return file.read(size)

    return with_arrays(found, name, content)


def with_arrays(found: Any, name, content: Callable[[str, int], bytes]) -> Any:
    """The object with an array in the place of each Tensor.

    Args:
      found: of dicts, lists and Tensors.
      name: of the file, for messages.
      content: (key of a storage, number of bytes) -> its bytes.

    Raises:
      BadFile: a tensor does not lie within its storage, or the storage is cut off.
    """
    storages, copies = {}, 0

    def array(tensor):
        nonlocal copies
        (key, dtype, count), offset, size, stride = tensor
        values = int(np.prod(size, dtype=object))
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if min((offset, *size, *stride)) < 0 or values > count or (values and last >= count):
            raise BadFile(f"{name} is damaged: a tensor {size} is larger than its storage")
        if key not in storages:
            raw = content(key, count * dtype.itemsize)
            if len(raw) != count * dtype.itemsize:
                raise BadFile(f"{name} is damaged: it ends before storage {key!r}")
            storages[key] = np.frombuffer(raw, dtype)
        view = np.lib.stride_tricks.as_strided(
            storages[key][offset:], size, [s * dtype.itemsize for s in stride], writeable=False
        )
        if not view.flags.c_contiguous:
            copies += view.nbytes
            if copies > _MOST_COPIES * sum(weights.nbytes for weights in storages.values()) + 2**26:
                raise BadFile(f"{name} is damaged: its tensors ask for far more than its weights")
        return np.ascontiguousarray(view).reshape(size)

    return _tensors(found, array)


def _tensors(found, change, done=None):
    """A copy of nested dicts, lists and tuples with `change` applied to each Tensor.

    What occurs several times is copied once (`done`), or a small file could ask for endless copies.
    """
    done = {} if done is None else done
    if isinstance(found, Tensor):
        return change(found)
    if not isinstance(found, dict | list | tuple):
        return found
    if id(found) not in done:
        done[id(found)] = (
            {key: _tensors(value, change, done) for key, value in found.items()}
            if isinstance(found, dict)
            else [_tensors(value, change, done) for value in found]
        )
    return done[id(found)]
