import jax
import numpy as np
import pytest

from usis_jax.ops import latents

KEYS = jax.random.split(jax.random.key(0), 3)


def draw(kind, keys=KEYS):
    return np.asarray(latents.draw(keys, 8, 12, 4, kind))


def test_image_noise_is_one_vector_an_image():
    z = draw("image")
    assert z.shape == (3, 4) and len(np.unique(z)) == z.size


def test_pixel_noise_is_one_vector_a_pixel():
    z = draw("pixel")
    assert z.shape == (3, 8, 12, 4) and len(np.unique(z)) == z.size


def test_mixed_noise_is_half_of_each():
    z = draw("mixed")
    assert z.shape == (3, 8, 12, 4)
    np.testing.assert_array_equal(z[..., :2], np.broadcast_to(z[:, :1, :1, :2], (3, 8, 12, 2)))
    assert len(np.unique(z[..., 2:])) == 3 * 8 * 12 * 2


@pytest.mark.parametrize("kind", ["image", "pixel", "mixed"])
def test_noise_is_standard_normal_and_depends_on_its_own_key_only(kind):
    many = draw(kind, jax.random.split(jax.random.key(1), 2000))
    assert abs(many.mean()) < 0.05 and abs(many.std() - 1) < 0.05
    np.testing.assert_array_equal(draw(kind, KEYS[1:2])[0], draw(kind)[1])


def test_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match=r"generator\.noise is 'video'; it must be image, pixel"):
        draw("video")
