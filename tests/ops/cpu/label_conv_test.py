import jax
import numpy as np
import pytest
from scipy import signal

from usis_jax.ops.cpu.label_conv import label_gather

RANDOM = np.random.default_rng(0)
CASES = [
    (1, 1, (4, 5), 3),
    (3, 2, (1, 1), 3),
    (35, 1, (7, 9), 3),
    (183, 2, (6, 5), 3),
    (7, 2, (5, 8), 1),
    (5, 1, (6, 7), 5),
]
cases = pytest.mark.parametrize("num_classes, batch, size, taps", CASES)


def drawn(num_classes, batch, size, taps, features=4):
    label = RANDOM.integers(0, num_classes, (batch, *size)).astype(np.int32)
    return label, RANDOM.normal(size=(taps, taps, num_classes, features)).astype(np.float32)


def by_scipy(label, kernel):
    """Correlation of every class's map with every kernel."""
    one_hot = np.eye(kernel.shape[2])[label]
    return np.stack(
        [
            np.stack(
                [
                    sum(
                        signal.correlate2d(sample[:, :, k], kernel[:, :, k, f], mode="same")
                        for k in range(kernel.shape[2])
                    )
                    for f in range(kernel.shape[3])
                ],
                axis=-1,
            )
            for sample in one_hot
        ]
    )


@cases
def test_is_the_convolution_of_the_one_hot_map(num_classes, batch, size, taps):
    label, kernel = drawn(num_classes, batch, size, taps)
    np.testing.assert_allclose(label_gather(label, kernel), by_scipy(label, kernel), atol=1e-5)


@cases
def test_gradient_is_the_transpose(num_classes, batch, size, taps):
    label, kernel = drawn(num_classes, batch, size, taps)
    y, pullback = jax.vjp(lambda kernel: label_gather(label, kernel), kernel)
    cotangent = RANDOM.normal(size=y.shape).astype(np.float32)
    (slope,) = pullback(cotangent)
    # The result is linear in the kernel: each entry's slope is what a kernel of only it gives.
    for entry in zip(*(RANDOM.integers(0, n, 12) for n in kernel.shape), strict=True):
        only = np.zeros_like(kernel)
        only[entry] = 1
        expected = (cotangent * by_scipy(label, only)).sum()
        np.testing.assert_allclose(slope[entry], expected, atol=1e-4)
