"""Depthwise convolutions against SciPy, and the CPU's gradients against the reference's."""

import jax
import numpy as np
import pytest
from scipy import signal

from usis_jax.ops import depthwise as reference
from usis_jax.ops.cpu import depthwise

FORMS = [((7, 9), 3, 1), ((8, 6), 3, 2), ((7, 9), 5, 2), ((5, 5), 5, 1), ((1, 1), 3, 2),
         ((2, 3), 5, 2)]  # fmt: skip
forms = pytest.mark.parametrize("size, taps, stride", FORMS)


def drawn(size, taps):
    random = np.random.default_rng(0)
    return (
        random.normal(size=(2, *size, 4)).astype(np.float32),
        random.normal(size=(taps, taps, 4)).astype(np.float32),
    )


def by_scipy(x, kernel, stride):
    pads = [reference.same_padding(size, len(kernel), stride) for size in x.shape[1:3]]
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    return np.stack(
        [
            np.stack(
                [
                    signal.correlate2d(sample[..., c], kernel[..., c], mode="valid")[
                        ::stride, ::stride
                    ]
                    for c in range(x.shape[-1])
                ],
                axis=-1,
            )
            for sample in x
        ]
    )


@forms
@pytest.mark.parametrize("function", [reference.depthwise_conv, depthwise.depthwise_conv])
def test_agrees_with_scipy(function, size, taps, stride):
    x, kernel = drawn(size, taps)
    result = by_scipy(x, kernel, stride)
    assert result.shape[1:3] == tuple(-(-side // stride) for side in size)
    np.testing.assert_allclose(function(x, kernel, stride), result, atol=1e-5)


@forms
def test_gradients_are_the_references(size, taps, stride):
    x, kernel = drawn(size, taps)
    given = [
        jax.vjp(lambda x, kernel, f=f: f(x, kernel, stride), x, kernel)
        for f in (depthwise.depthwise_conv, reference.depthwise_conv)
    ]
    cotangent = np.random.default_rng(1).normal(size=given[0][0].shape).astype(np.float32)
    for got, expected in zip(*(pullback(cotangent) for _, pullback in given), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)
