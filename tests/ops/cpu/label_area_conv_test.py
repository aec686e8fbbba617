import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.ops import label_conv
from usis_jax.ops.cpu import label_area_conv

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_maps_too(monkeypatch):
    monkeypatch.setattr(label_area_conv, "SMALLEST", 1)


def label_map(blocks, size, classes=5, batch=2):
    """Random classes in square blocks: many small ones or few large ones."""
    small = RANDOM.integers(0, classes, (batch, -(-size[0] // blocks), -(-size[1] // blocks)))
    return small.repeat(blocks, 1).repeat(blocks, 2)[:, : size[0], : size[1]].astype(np.int32)


def test_equal_rows_share_one_of_them():
    rows = RANDOM.integers(0, 3, (500, 4)).astype(np.int32)
    same = np.asarray(label_area_conv._same(jnp.asarray(rows)))
    np.testing.assert_array_equal(rows[same], rows)
    distinct = len(np.unique(rows, axis=0))
    assert distinct <= len(np.unique(same)) < 1.2 * distinct < 500


def test_rows_with_one_hash_stand_for_themselves(monkeypatch):
    monkeypatch.setattr(np.random, "default_rng", lambda seed: AllZero())
    rows = np.array([[1, 2], [2, 1], [1, 2], [3, 0], [0, 3]], np.int32)  # all sums are 3
    same = np.asarray(label_area_conv._same(jnp.asarray(rows)))
    np.testing.assert_array_equal(rows[same], rows)


class AllZero:
    """Draws equal factors, so that rows of one sum have one hash."""

    def integers(self, low, high, size):
        return np.zeros(size, np.int64)


def inputs(blocks, size, batch=2):
    weights = [
        RANDOM.normal(size=shape).astype(np.float32)
        for shape in ((batch, 4), (3, 3, 4 + 5, 6), (6,), (3, 3, 6, 7))
    ]
    return label_map(blocks, size, batch=batch), *weights


@pytest.mark.parametrize("blocks", [1, 7, 12, 64])
@pytest.mark.parametrize("size", [(33, 47), (32, 64)])
@pytest.mark.parametrize("batch", [1, 3])
def test_agrees_with_the_convolution_of_all_pixels(blocks, size, batch):
    """From no pixel in the midst of an area to nearly all."""
    given = inputs(blocks, size, batch)
    got = jax.jit(label_area_conv.label_relu_conv)(*given)
    np.testing.assert_allclose(got, label_conv.label_relu_conv(*given), rtol=1e-4, atol=1e-4)


def test_gradients_are_the_convolutions():
    label, *others = inputs(8, (32, 40))
    cotangent = RANDOM.normal(size=(2, 32, 40, 7)).astype(np.float32)
    _, pullback = jax.vjp(functools.partial(label_area_conv.label_relu_conv, label), *others)
    _, expected = jax.vjp(functools.partial(label_conv.label_relu_conv, label), *others)
    for got, wanted in zip(pullback(cotangent), expected(cotangent), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)
