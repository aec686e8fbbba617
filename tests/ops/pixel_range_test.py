import jax.numpy as jnp
import numpy as np

from usis_jax.ops import pixel_range


def test_stored_images_become_minus_one_to_one():
    np.testing.assert_allclose(
        pixel_range.to_float(jnp.array([0, 51, 255], jnp.uint8)), [-1.0, -0.6, 1.0], atol=1e-6
    )
    np.testing.assert_array_equal(pixel_range.to_float(jnp.array([0.25])), [0.25])


def test_minus_one_is_black_and_one_is_white():
    image = np.array([-1.0, 0.0, 1.0, 1.5, -3.0], np.float32)
    assert pixel_range.to_uint8(image).tolist() == [0, 128, 255, 255, 0]


def test_every_stored_value_comes_back():
    stored = jnp.arange(256, dtype=jnp.uint8)
    np.testing.assert_array_equal(pixel_range.to_uint8(pixel_range.to_float(stored)), stored)
