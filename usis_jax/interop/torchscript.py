"""Weights inside a TorchScript file (torch.jit.save), read without PyTorch and without its code."""

import pathlib

import numpy as np

from usis_jax.interop import pickles


def read(path) -> dict[str, np.ndarray]:
    """Every tensor of a TorchScript module, under the names by which its modules hold them.

    The program in the file is not read at all; its pickle is, with stand-ins for what it names.

    Args:
      path: file that torch.jit.save wrote.

    Returns:
      "module.submodule.tensor" -> array.

    Raises:
      FileNotFoundError, IsADirectoryError, PermissionError: there is no such file to read.
      ValueError: the file is of another format or damaged, holds no tensor, or asks for more than
        tensors and TorchScript classes.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise pickles.BadFile(f"{path} is not a TorchScript file; give one of torch.jit.save")
        file.seek(0)
        try:
            found = dict(_named(pickles.read_zip(file, path, scripted=True), "", set()))
        except pickles.BadFile:
            raise
        except MemoryError:
            raise pickles.BadFile(f"{path} needs more memory than there is") from None
        except Exception as error:
            # Whatever a broken or hostile file makes of the reader, it is the file's fault.
            raise pickles.BadFile(
                f"{path} is damaged or cut off ({type(error).__name__}: {error})"
            ) from None
    if not found:
        raise pickles.BadFile(f"{path} holds no tensors; give a TorchScript file with weights")
    return found


def _named(found, prefix, seen):
    """Names and arrays; a module that occurs several times is named once, as it is first met."""
    if isinstance(found, np.ndarray):
        yield prefix, found
    elif isinstance(found, dict) and id(found) not in seen:
        seen.add(id(found))
        for key, value in found.items():
            yield from _named(value, f"{prefix}.{key}" if prefix else str(key), seen)
