import jax
import jax.numpy as jnp
import numpy as np
import pytest

from usis_jax.models.patch_discriminator import PatchDiscriminator, cut
from usis_jax.models.whole_discriminator import WholeDiscriminator

SIZES = {"channel_base": 64, "channel_max": 8, "levels": 1, "dense": 8}
TINY = PatchDiscriminator(**SIZES, patch=8)
PHOTO = np.random.default_rng(0).uniform(-1, 1, (4, 16, 24, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(TINY.init)(jax.random.key(0), PHOTO)


def tiles_by_hand(photo, patch):
    """Tiles photo by photo, row by row."""
    _, height, width, _ = photo.shape
    return np.stack(
        [
            one[top : top + patch, left : left + patch]
            for one in photo
            for top in range(0, height, patch)
            for left in range(0, width, patch)
        ]
    )


def test_full_size_has_the_published_number_of_parameters():
    shapes = jax.eval_shape(
        PatchDiscriminator().init, jax.random.key(0), jnp.zeros((1, 256, 512, 3))
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 26_488_833


def test_tiles_are_cut_row_by_row():
    np.testing.assert_array_equal(cut(PHOTO, 8), tiles_by_hand(PHOTO, 8))


def test_scores_and_features_have_one_row_a_tile(variables):
    score, features = jax.jit(TINY.apply)(variables, PHOTO)
    assert score.shape == (24, 1) and score.dtype == jnp.float32
    assert [feature.shape for feature in features] == [(24, 4, 4, 8), (24, 2, 2, 8)]


def test_each_tile_is_scored_as_the_whole_image_discriminator_scores_it(variables):
    """The deviation of a tile is taken over the same tile of the four photos."""
    score = np.asarray(jax.jit(TINY.apply)(variables, PHOTO)[0]).reshape(4, 6)
    tiles = tiles_by_hand(PHOTO, 8).reshape(4, 6, 8, 8, 3)
    whole = jax.jit(WholeDiscriminator(**SIZES, stddev_group=4).apply)
    for place in range(6):
        np.testing.assert_allclose(
            score[:, place], whole(variables, tiles[:, place])[0][:, 0], atol=1e-5
        )


def test_published_groups_are_those_of_all_tiles_in_order(variables):
    """Of two photos with six tiles each, every third tile is in a group of four."""
    photo = PHOTO[:2]
    module = TINY.clone(stddev_grouping="published")
    whole = WholeDiscriminator(**SIZES, stddev_grouping="published")
    expected = whole.apply(variables, tiles_by_hand(photo, 8))[0]
    np.testing.assert_allclose(module.apply(variables, photo)[0], expected, atol=1e-5)
    assert np.abs(TINY.apply(variables, photo)[0] - expected).max() > 1e-4


def test_other_photos_of_the_group_change_a_score_only_through_the_deviation(variables):
    alone = TINY.clone(stddev_group=1)
    score = alone.apply(variables, PHOTO)[0]
    np.testing.assert_allclose(alone.apply(variables, PHOTO[1:2])[0], score[6:12], atol=1e-5)


@pytest.mark.parametrize("size", [(12, 24), (16, 20)])
def test_size_that_the_patch_does_not_divide_is_an_error(size):
    with pytest.raises(ValueError, match=f"photo is {size[0]}x{size[1]}.*multiples of the patch 8"):
        jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros((1, *size, 3)))
