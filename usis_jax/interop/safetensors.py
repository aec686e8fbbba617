"""The safetensors format, by its own library: arrays and texts, no code can hide in it."""

from collections.abc import Mapping
from typing import BinaryIO

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from usis_jax.interop.pickles import BadFile

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16, "I64": "<i8",
    "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read(file: BinaryIO, name) -> dict[str, np.ndarray]:
    """Arrays of a .safetensors file.

    Args:
      file: open for reading, at the start.
      name: of the file, for messages.

    Returns:
      key -> array.

    Raises:
      BadFile: the file is damaged, or an array is of a dtype that NumPy or ml_dtypes lack.
    """
    try:
        entries = safetensors.deserialize(file.read())
    except safetensors.SafetensorError as error:
        raise _damaged(name, error) from None
    return {key: _array(f"{name}: {key}", **entry) for key, entry in entries}


def metadata(name) -> dict[str, str]:
    """Texts that the .safetensors file `name` has beside its arrays; errors as of `read`."""
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise _damaged(name, error) from None


def write(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays as safetensors.

    Args:
      file: open for writing.
      arrays: key -> array of a dtype that the format knows.
      metadata: texts beside them.
    """
    whole = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    file.write(safetensors.numpy.save(whole, dict(metadata) if metadata else None))


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in _DTYPES:
        raise BadFile(f"{name} has dtype {dtype!r}; allowed are {', '.join(_DTYPES)}")
    return np.frombuffer(data, np.dtype(_DTYPES[dtype])).reshape(shape)


def _damaged(name, error) -> BadFile:
    return BadFile(f"{name} is damaged, or no safetensors file: {error}")
