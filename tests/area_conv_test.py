import jax
import numpy as np
import pytest

from usis_jax.ops import area_conv, conv, label_conv

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def small_maps_too(monkeypatch):
    monkeypatch.setattr(area_conv, "SMALLEST", 1)


def label_map(blocks, size, classes=5, batch=2):
    """Random classes in square blocks: many small ones or few large ones."""
    small = RANDOM.integers(0, classes, (batch, -(-size[0] // blocks), -(-size[1] // blocks)))
    return small.repeat(blocks, 1).repeat(blocks, 2)[:, :size[0], :size[1]].astype(np.int32)


@pytest.mark.parametrize("reach", [1, 2])
def test_midst_is_where_the_whole_neighbourhood_has_one_class(reach):
    label = label_map(5, (12, 17))
    padded = np.pad(label, ((0, 0), (reach, reach), (reach, reach)), constant_values=99)
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (2 * reach + 1, 2 * reach + 1), axis=(1, 2))
    expected = (windows == label[..., None, None]).all(axis=(3, 4))
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(area_conv.midst(label, reach), expected)


@pytest.mark.parametrize("blocks", [1, 7, 12, 64])
@pytest.mark.parametrize("size", [(33, 47), (32, 64)])
@pytest.mark.parametrize("batch", [1, 3])
def test_agrees_with_the_convolution_of_all_pixels(blocks, size, batch):
    """From no pixel in the midst of an area to nearly all."""
    label = label_map(blocks, size, batch=batch)
    weights, bias = RANDOM.normal(size=(3, 3, 4 + 5, 6)), RANDOM.normal(size=6)
    z = RANDOM.normal(size=(batch, 4)).astype(np.float32)
    x = jax.nn.relu(label_conv.label_conv(
        label, z, weights.astype(np.float32), bias.astype(np.float32), *size, False))
    kernel = RANDOM.normal(size=(3, 3, 6, 7)).astype(np.float32)
    got = jax.jit(area_conv.area_conv, static_argnums=3)(x, label, kernel, 5)
    np.testing.assert_allclose(got, conv.conv_by_xla(x, kernel, padding=1), rtol=1e-4, atol=1e-4)


def test_gradients_are_the_convolutions():
    label = label_map(8, (32, 40))
    x = RANDOM.normal(size=(2, 5, 6)).astype(np.float32)[np.arange(2)[:, None, None], label]
    kernel = RANDOM.normal(size=(3, 3, 6, 7)).astype(np.float32)
    cotangent = RANDOM.normal(size=(2, 32, 40, 7)).astype(np.float32)
    _, pullback = jax.vjp(lambda x, kernel: area_conv.area_conv(x, label, kernel, 5), x, kernel)
    _, plain = jax.vjp(lambda x, kernel: conv.conv_by_xla(x, kernel, padding=1), x, kernel)
    for got, expected in zip(pullback(cotangent), plain(cotangent), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
