"""Rows in batches of one shape, so that what reads them is compiled once."""

from collections.abc import Iterator

import numpy as np


def batches(rows: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray, int]]:
    """Cut an array into batches; the last one is filled up with copies of its last row.

    Args:
      rows: [N, ...], N at least 1.
      size: rows of a batch, at least 1.

    Yields:
      (number of the first row, batch [size, ...], how many of its rows are of the array).
    """
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        fill = np.repeat(part[-1:], size - len(part), axis=0)
        yield start, np.concatenate([part, fill]), len(part)
