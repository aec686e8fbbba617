"""Files of published weights: what format they have, reading and writing them."""

import os
import pathlib
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from usis_jax.errors import UserError
from usis_jax.interop import pickles, safetensors
from usis_jax.storage import atomic

SAFETENSORS = ".safetensors"
_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
_AGAIN = (
    'load it with PyTorch (pip install "usis_jax[torch]") and write its state_dict() again '
    "with torch.save"
)


def read(path) -> Any:
    """What a file of weights holds, read without running code and without PyTorch.

    Args:
      path: a file that torch.save wrote, in its present (zip) or its old format, or a safetensors
        file; what it holds decides, not its name.

    Returns:
      Nested dicts and lists with a NumPy array for each tensor; usually key -> array.

    Raises:
      FileNotFoundError, IsADirectoryError, PermissionError: there is no such file to read.
      UserError: the file is of another format or damaged, or asks for more than tensors.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(512)
        file.seek(0)
        try:
            return _read(file, path, start, size)
        except pickles.BadFile:
            raise
        except MemoryError:
            raise pickles.BadFile(f"{path} needs more memory than there is") from None
        except Exception as error:
            # Whatever a broken or hostile file makes of the readers, it is the file's fault.
            raise pickles.BadFile(
                f"{path} is damaged or cut off ({type(error).__name__}: {error})"
            ) from None


def _read(file: BinaryIO, path, start: bytes, size: int):
    if start.startswith(b"PK\x03\x04"):
        return pickles.read_zip(file, path)
    if start.startswith(pickles.LEGACY):
        return pickles.read_legacy(file, path)
    if path.suffix == SAFETENSORS or start[8:9] == b"{":
        return safetensors.read(file, path)
    if not size:
        raise pickles.BadFile(f"{path} is empty")
    if start[257:262] == b"ustar":
        raise pickles.BadFile(f"{path} has the format of PyTorch before 0.4; {_AGAIN}")
    if start.startswith(b"\x80"):
        raise pickles.BadFile(
            f"{path} is a plain pickle, which could run code and is not read; if "
            f"it is of PyTorch, {_AGAIN}"
        )
    raise pickles.BadFile(f"{path} is neither a file of torch.save nor of safetensors")


def check_name(path) -> None:
    """Raises UserError unless the name of a file to write says which format it is to have."""
    if pathlib.Path(path).suffix not in (*_TORCH_SUFFIXES, SAFETENSORS):
        raise UserError(
            f"{path} must end with {', '.join(_TORCH_SUFFIXES)} (PyTorch) or {SAFETENSORS}"
        )


def write(path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a state dict, whole or not at all; PyTorch is not needed.

    Args:
      path: file; with the suffix .safetensors in that format, else as torch.save writes.
      arrays: key -> array of a dtype that PyTorch has.

    Raises:
      UserError: the suffix is of no known format.
    """
    check_name(path)
    write_to = safetensors.write if pathlib.Path(path).suffix == SAFETENSORS else _write_zip
    atomic.write_with(path, lambda file: write_to(file, arrays))


def _write_zip(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """The present format of torch.save: a pickle that describes tensors, and their bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr("archive/data.pkl", _describe(arrays))
        archive.writestr("archive/byteorder", "little")
        for number, array in enumerate(arrays.values()):
            with archive.open(zipfile.ZipInfo(f"archive/data/{number}"), "w") as entry:
                entry.write(np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", "3\n")


def _describe(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pickle of an OrderedDict of tensors as torch.save writes it; the nth's storage is key "n".

    Args:
      arrays: key -> array of a dtype that PyTorch has.

    Returns:
      The pickle; what it names (torch._utils._rebuild_tensor_v2 and storages) is not imported.
    """
    storages = {np.dtype(dtype): f"{kind}Storage" for kind, dtype in pickles.DTYPES.items()}

    def named(module, name):
        return pickle.GLOBAL + f"{module}\n{name}\n".encode()

    def plain(value):
        return pickle.dumps(value, 2)[2:-1]

    empty_dict = named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    parts = [pickle.PROTO + b"\x02", empty_dict, pickle.MARK]
    for number, (key, array) in enumerate(arrays.items()):
        strides = tuple(
            int(np.prod(array.shape[axis + 1 :], dtype=int)) for axis in range(array.ndim)
        )
        parts += [
            plain(key), named("torch._utils", "_rebuild_tensor_v2"), pickle.MARK, pickle.MARK,
            plain("storage"), named("torch", storages[array.dtype]), plain(str(number)),
            plain("cpu"), plain(array.size), pickle.TUPLE, pickle.BINPERSID, plain(0),
            plain(tuple(array.shape)), plain(strides), pickle.NEWFALSE, empty_dict, pickle.TUPLE,
            pickle.REDUCE,
        ]  # fmt: skip
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])
