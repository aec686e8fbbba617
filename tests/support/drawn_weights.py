"""Weights of published networks, drawn: no published weights are needed to compare networks."""

import functools
import zlib

import jax
import numpy as np

from tests.support import places

# The networks are wide: optimised code, which conftest.py does without, pays here.
jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 3,
        "xla_llvm_disable_expensive_passes": False,
    },
)


@functools.cache
def stored(name):
    """Arrays of tests/vectors/NAME.npz."""
    with np.load(places.VECTORS / f"{name}.npz") as data:
        return dict(data)


def drawn(lines):
    """State dict of the lines "KEY SIZE,SIZE,...", each array from the stream of its key's CRC-32.

    With u uniform in [-1, 1): kernels are u sqrt(6 / fan-in), variances 1 + u/2, scales of batch
    norms the same but a quarter of it at the end of a residual block, biases and means u/5.
    """
    arrays = {}
    for line in lines:
        key, sizes = line.split(" ")
        shape = tuple(int(size) for size in sizes.split(",") if size)
        random = np.random.RandomState(zlib.crc32(key.encode()))
        values = random.random_sample(shape) * 2 - 1
        if key.endswith("num_batches_tracked"):
            arrays[key] = np.int64(0)
        elif len(shape) == 4:
            arrays[key] = np.float32(values * (6 / np.prod(shape[1:])) ** 0.5)
        elif key.endswith("running_var"):
            arrays[key] = np.float32(1 + values / 2)
        elif key.endswith(".weight"):
            last = key.endswith(("increase.bn.weight", "bn3.weight"))
            arrays[key] = np.float32((1 + values / 2) * (0.25 if last else 1))
        else:
            arrays[key] = np.float32(values * 0.2)
    return arrays


def error(found, expected):
    """Largest difference relative to the largest value."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()
