import jax
import numpy as np
import pytest

from usis_jax.ops.augment import augment

PHOTO = np.random.default_rng(0).uniform(0.1, 1.0, (6, 16, 24, 3)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), 6)
ALL = ("color", "translation", "cutout")


def test_no_names_change_nothing():
    np.testing.assert_array_equal(augment(PHOTO, KEYS, ()), PHOTO)


def test_a_photo_does_not_depend_on_its_batch():
    whole = augment(PHOTO, KEYS, ALL)
    alone = augment(PHOTO[3:4], KEYS[3:4], ALL)
    np.testing.assert_allclose(alone[0], whole[3], atol=1e-6)


def test_photos_change_differently():
    same = augment(np.repeat(PHOTO[:1], 6, axis=0), KEYS, ("translation",))
    assert len({np.asarray(photo).tobytes() for photo in same}) > 3


def test_translation_shifts_by_up_to_an_eighth_and_pads_with_zeros():
    shifts = set()
    for before, after in zip(
        PHOTO, np.asarray(augment(PHOTO, KEYS, ("translation",))), strict=True
    ):
        padded = np.pad(before, ((2, 2), (3, 3), (0, 0)))
        found = [
            (i, j)
            for i in range(5)
            for j in range(7)
            if np.array_equal(padded[i : i + 16, j : j + 24], after)
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > 1


def test_cutout_zeroes_one_rectangle_and_keeps_the_rest():
    for before, after in zip(PHOTO, np.asarray(augment(PHOTO, KEYS, ("cutout",))), strict=True):
        gone = (after == 0).all(-1)
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        assert 4 <= len(rows) <= 8 and 6 <= len(columns) <= 12
        assert gone.sum() == len(rows) * len(columns)
        np.testing.assert_array_equal(after[~gone], before[~gone])


def test_color_is_one_affine_change_of_grey_and_of_saturation():
    after = np.asarray(augment(PHOTO, KEYS, ("color",)))
    for x, y in zip(PHOTO, after, strict=True):
        grey, new_grey = x.mean(-1).ravel(), y.mean(-1).ravel()
        contrast, offset = np.polyfit(grey, new_grey, 1)
        np.testing.assert_allclose(contrast * grey + offset, new_grey, atol=1e-5)
        assert 0.5 <= contrast <= 1.5
        assert abs(y.mean() - x.mean()) <= 0.5
        colour, new_colour = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
        scale = (colour * new_colour).sum() / np.square(colour).sum()
        np.testing.assert_allclose(new_colour, scale * colour, atol=1e-5)
        assert 0.0 <= scale <= 2.0 * contrast + 1e-4


def test_gradient_reaches_the_photo():
    gradient = jax.grad(lambda x: augment(x, KEYS, ALL).sum())(PHOTO)
    assert (np.abs(gradient).sum(axis=(1, 2, 3)) > 0).all()


def test_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="'rotate' is not one of color, translation, cutout"):
        augment(PHOTO, KEYS, ("rotate",))
