"""Checksums of what a checkpoint holds, so that damage to its files does not pass unseen."""

import concurrent.futures
import hashlib
import json

import numpy as np


def of_arrays(flat):
    """Checksums of arrays, of their values, shape and dtype.

    Args:
        flat: dict of NumPy arrays.
    Returns:
        dict of SHA-256 as hexadecimal text, by the same names.
    """
    # Hashing leaves Python's lock alone, so threads share the work.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(flat, pool.map(_of_array, flat.values()), strict=True))


def of_json(value):
    """Checksum of a JSON value, as hexadecimal text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def damaged(flat, expected):
    """The first thing in which arrays differ from their checksums, in words, or None.

    Args:
        flat: dict of NumPy arrays.
        expected: their checksums from `of_arrays`, made when they were written.
    """
    for name in sorted(expected.keys() ^ flat.keys()):
        return f"{name} is missing" if name in expected else f"{name} is not one of its arrays"
    found = of_arrays(flat)
    wrong = [name for name in sorted(found) if found[name] != expected[name]]
    return f"{wrong[0]} has another checksum" if wrong else None


def _of_array(array):
    """SHA-256 of one array."""
    array = np.asarray(array)
    described = hashlib.sha256(f"{array.dtype.name} {array.shape}".encode())
    # Bytes, since bfloat16 and the like offer no buffer of their own.
    described.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return described.hexdigest()
