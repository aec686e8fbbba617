import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from usis_jax.layers.equalized import EqualConv, EqualDense, MinibatchStddev, group_size

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 6, 4, 3)).astype(np.float32)


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("down", [False, True])
def test_equal_conv_agrees_with_scipy(kernel_size, down):
    x, kernel = X[:2], RANDOM.normal(size=(kernel_size, kernel_size, 3, 5)).astype(np.float32)
    bias = RANDOM.normal(size=5).astype(np.float32)
    y = EqualConv(5, kernel_size, down).apply({"params": {"kernel": kernel, "bias": bias}}, x)
    if down:
        blur = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
        wide = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
        x = np.stack(
            [
                np.stack(
                    [
                        scipy.signal.correlate2d(wide[b, :, :, c], blur, mode="valid")
                        for c in range(3)
                    ],
                    -1,
                )
                for b in range(2)
            ]
        )
    mode = "valid" if down else "same"
    expected = [
        [
            sum(
                scipy.signal.correlate2d(x[b, :, :, c], kernel[:, :, c, f], mode=mode)
                for c in range(3)
            )
            for f in range(5)
        ]
        for b in range(2)
    ]
    expected = np.moveaxis(expected, 1, -1)[:, :: 2 if down else 1, :: 2 if down else 1]
    expected = lrelu(expected / np.sqrt(3 * kernel_size**2) + bias)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_linear_equal_conv_has_neither_bias_nor_activation():
    kernel = RANDOM.normal(size=(1, 1, 3, 5)).astype(np.float32)
    module = EqualConv(5, 1, linear=True)
    assert set(module.init(jax.random.key(0), X)["params"]) == {"kernel"}
    y = module.apply({"params": {"kernel": kernel}}, X)
    np.testing.assert_allclose(y, X @ kernel[0, 0] / np.sqrt(3), atol=1e-5)


@pytest.mark.parametrize("activate", [False, True])
def test_equal_dense_agrees_with_numpy(activate):
    x, kernel = RANDOM.normal(size=(2, 7)), RANDOM.normal(size=(7, 4))
    bias = RANDOM.normal(size=4)
    y = EqualDense(4, activate).apply(
        {"params": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}, x
    )
    expected = x @ kernel / np.sqrt(7) + bias
    np.testing.assert_allclose(y, lrelu(expected) if activate else expected, atol=1e-5)


def test_weights_start_with_unit_variance():
    params = EqualConv(64).init(jax.random.key(0), jnp.zeros((1, 4, 4, 32)))["params"]
    assert np.std(params["kernel"]) == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(params["bias"], 0)


@pytest.mark.parametrize(
    "batch, largest, size", [(8, 4, 4), (4, 4, 4), (2, 4, 2), (1, 4, 1), (6, 4, 3), (7, 4, 1)]
)
def test_group_size_divides_the_batch(batch, largest, size):
    assert group_size(batch, largest) == size


def stddev_by_hand(x, groups):
    """x with the deviation channel; `groups` lists the samples of each group."""
    channel = np.empty((*x.shape[:3], 1))
    for group in groups:
        channel[group] = np.sqrt(x[group].astype(np.float64).var(axis=0) + 1e-8).mean()
    return np.concatenate([x, channel], axis=-1)


GROUPS = {"local": [[0, 1, 2, 3], [4, 5, 6, 7]], "published": [[0, 2, 4, 6], [1, 3, 5, 7]]}


@pytest.mark.parametrize("grouping", GROUPS)
def test_minibatch_stddev_agrees_with_a_loop_over_groups(grouping):
    y = MinibatchStddev(4, grouping).apply({}, X)
    np.testing.assert_allclose(y, stddev_by_hand(X, GROUPS[grouping]), atol=1e-5)


@pytest.mark.parametrize("grouping", GROUPS)
@pytest.mark.parametrize("devices", [2, 4])
def test_minibatch_stddev_on_devices_equals_the_whole_batch(grouping, devices):
    module = MinibatchStddev(4, grouping, axis_name="batch")
    mapped = jax.pmap(
        lambda x: module.apply({}, x), axis_name="batch", devices=jax.devices()[:devices]
    )
    y = mapped(X.reshape(devices, -1, *X.shape[1:])).reshape(*X.shape[:3], 4)
    np.testing.assert_allclose(y, stddev_by_hand(X, GROUPS[grouping]), atol=1e-5)


# Eight samples as four photos with two tiles each.
TILE_GROUPS = {
    ("local", 4): [[0, 2, 4, 6], [1, 3, 5, 7]],
    ("local", 2): [[0, 2], [1, 3], [4, 6], [5, 7]],
    ("published", 4): GROUPS["published"],
    ("published", 2): [[0, 4], [1, 5], [2, 6], [3, 7]],
}


@pytest.mark.parametrize("grouping, group", TILE_GROUPS)
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_local_groups_hold_the_same_tile_of_several_photos(grouping, group, devices):
    module = MinibatchStddev(group, grouping, "batch", tiles=2)
    mapped = jax.pmap(
        lambda x: module.apply({}, x), axis_name="batch", devices=jax.devices()[:devices]
    )
    y = mapped(X.reshape(devices, -1, *X.shape[1:])).reshape(*X.shape[:3], 4)
    np.testing.assert_allclose(y, stddev_by_hand(X, TILE_GROUPS[grouping, group]), atol=1e-5)


def test_gradient_of_equal_samples_is_finite():
    same = jnp.ones((4, 2, 2, 3))
    gradient = jax.grad(lambda x: MinibatchStddev().apply({}, x).sum())(same)
    assert np.isfinite(gradient).all()
