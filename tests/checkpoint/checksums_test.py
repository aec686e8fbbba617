"""Checksums of arrays: what changes them, and what they say."""

import hashlib

import ml_dtypes
import numpy as np
import pytest

from usis_jax.checkpoint import checksums

FLAT = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/scale": np.ones(4, ml_dtypes.bfloat16),
    "step": np.int32(7),
    "empty": np.zeros((0, 3), np.float32),
}


def test_checksum_is_that_of_dtype_shape_and_bytes():
    expected = hashlib.sha256(b"float32 (2, 3)" + FLAT["a/kernel"].tobytes()).hexdigest()
    assert checksums.of_arrays(FLAT)["a/kernel"] == expected
    assert checksums.damaged(FLAT, checksums.of_arrays(FLAT)) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a/kernel": np.nextafter(FLAT["a/kernel"], 9)}, "a/kernel has another checksum"),
        ({"a/kernel": FLAT["a/kernel"].reshape(3, 2)}, "a/kernel has another checksum"),
        ({"step": np.int64(7)}, "step has another checksum"),
        ({"b": np.zeros(1)}, "b is not one of its arrays"),
    ],
)
def test_any_change_is_named(change, words):
    assert checksums.damaged(FLAT | change, checksums.of_arrays(FLAT)) == words


def test_missing_array_is_named():
    kept = {name: value for name, value in FLAT.items() if name != "step"}
    assert checksums.damaged(kept, checksums.of_arrays(FLAT)) == "step is missing"


def test_checksum_of_json_does_not_depend_on_order():
    assert checksums.of_json({"a": 1, "b": [2.5]}) == checksums.of_json({"b": [2.5], "a": 1})
    assert checksums.of_json({"a": 1}) != checksums.of_json({"a": 2})
