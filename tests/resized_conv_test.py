import jax
import numpy as np
from scipy import signal

from usis_jax.ops.resized_conv import conv_of_nearest_up

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 4, 6, 3)).astype(np.float32)
KERNEL = RANDOM.normal(size=(3, 3, 3, 5)).astype(np.float32)


def by_scipy(x, kernel):
    """Each pixel repeated 2x2, then correlated with every kernel, channel by channel."""
    large = x.repeat(2, axis=1).repeat(2, axis=2)
    out = np.zeros((*large.shape[:3], kernel.shape[-1]))
    for sample in range(len(x)):
        for i in range(kernel.shape[2]):
            for o in range(kernel.shape[3]):
                out[sample, :, :, o] += signal.correlate2d(
                    large[sample, :, :, i], kernel[:, :, i, o], mode="same")
    return out


def test_equals_convolution_of_the_repeated_image():
    np.testing.assert_allclose(conv_of_nearest_up(X, KERNEL), by_scipy(X, KERNEL), atol=1e-4)


def test_gradients_are_the_linear_maps_transposes():
    cotangent = RANDOM.normal(size=(2, 8, 12, 5)).astype(np.float32)
    _, pullback = jax.vjp(conv_of_nearest_up, X, KERNEL)
    to_x, to_kernel = pullback(cotangent)
    # For a map linear in its argument, <gradient, direction> = <cotangent, map(direction)>.
    other_x = RANDOM.normal(size=X.shape).astype(np.float32)
    other_kernel = RANDOM.normal(size=KERNEL.shape).astype(np.float32)
    np.testing.assert_allclose(
        (to_x * other_x).sum(), (cotangent * by_scipy(other_x, KERNEL)).sum(), rtol=1e-4)
    np.testing.assert_allclose(
        (to_kernel * other_kernel).sum(), (cotangent * by_scipy(X, other_kernel)).sum(), rtol=1e-4)
