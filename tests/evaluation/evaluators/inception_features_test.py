"""Features of photos: resizing under its names, batches that never count padding, several devices.

A small linear network stands in for Inception, whose own tests are in inception_test.py.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from usis_jax.evaluation.evaluators import inception_features, pretrained_weights


def small(width=5):
    """Network that averages the photo over a grid of 23 x 23 cells and mixes the values."""
    random = np.random.default_rng(0)
    matrix = jnp.asarray(random.standard_normal((23 * 23 * 3, width)), jnp.float32)

    def apply(variables, photos):
        assert photos.shape[1:] == (299, 299, 3)
        cells = photos.reshape(-1, 23, 13, 23, 13, 3).mean(axis=(2, 4))
        return cells.reshape(len(photos), -1) @ variables

    return inception_features.Network("small", width, matrix, apply, "none", "")


def photos(number, height=20, width=31, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, height, width, 3), np.uint8)


def bilinear(photo, height, width):
    """Loop in float64 over every value of the result."""
    old_height, old_width = photo.shape[:2]
    result = np.zeros((height, width, 3))
    for i in range(height):
        for j in range(width):
            y = max((i + 0.5) * old_height / height - 0.5, 0)
            x = max((j + 0.5) * old_width / width - 0.5, 0)
            for row in range(old_height):
                for column in range(old_width):
                    weight = max(0, 1 - abs(row - min(y, old_height - 1)))
                    weight *= max(0, 1 - abs(column - min(x, old_width - 1)))
                    result[i, j] += weight * photo[row, column]
    return result


@pytest.mark.parametrize("size", [(13, 17), (4, 5), (7, 9), (1, 1), (7, 20)])
def test_bilinear_resizing_interpolates_between_neighbours(size):
    photo = photos(1, 7, 9)[0]
    found = inception_features.resize_bilinear(photo, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, bilinear(photo.astype(float), *size), atol=1e-3)


def test_bicubic_resizing_is_that_of_pil_before_rounding():
    # In the middle of the range nothing overshoots, which PIL would cut off in 8 bits.
    photo = photos(1, 400, 350)[0] // 2 + 64
    found = inception_features.resize_bicubic(photo)
    rounded = Image.fromarray(photo).resize((299, 299), Image.Resampling.BICUBIC)
    assert np.abs(np.clip(found, 0, 255) - np.asarray(rounded)).max() < 1.2
    assert np.abs(found - np.rint(found)).max() > 0.4


def test_photos_of_the_networks_size_are_only_scaled():
    photo = photos(1, 299, 299)[0]
    np.testing.assert_allclose(
        inception_features.PRESETS["fid-clean"](photo), (np.float32(photo) - 128) / 128, atol=1e-6
    )
    np.testing.assert_allclose(
        inception_features.PRESETS["fid-published"](photo), np.float32(photo) / 127.5 - 1, atol=1e-6
    )


def test_presets_treat_fractions_as_they_say():
    photo = np.full((20, 20, 3), 100.4, np.float32)
    clean, published = (
        inception_features.PRESETS[name](photo) for name in ("fid-clean", "fid-published")
    )
    np.testing.assert_allclose(clean, (100 - 128) / 128, atol=1e-5)
    np.testing.assert_allclose(published, 100.4 / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize("preset", inception_features.PRESETS)
@pytest.mark.parametrize("number, batch_size", [(1, 4), (8, 4), (9, 4), (5, 3), (3, 100)])
def test_every_photo_counts_once_in_order(preset, number, batch_size):
    network, given = small(), photos(number)
    found = inception_features.extract(given, network, preset, batch_size)
    ready = np.stack([inception_features.PRESETS[preset](photo) for photo in given])
    assert found.shape == (number, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found, network.apply(network.variables, ready), rtol=1e-4, atol=1e-3)


def test_single_photos_batches_and_sizes_may_mix():
    network = small()
    given = [photos(3), photos(1, 40, 40, 1)[0], photos(2, 8, 8, 2)]
    alone = [photo for part in given for photo in (part if part.ndim == 4 else part[None])]
    np.testing.assert_allclose(
        inception_features.extract(iter(given), network, batch_size=4),
        np.concatenate([inception_features.extract([photo], network) for photo in alone]),
        rtol=1e-4,
        atol=1e-4,
    )


def test_photos_are_drawn_no_more_than_two_batches_ahead():
    drawn = []

    def stream():
        for photo in photos(40):
            drawn.append(1)
            yield photo

    made = inception_features.batches(stream(), small(), "fid-published", 4)
    for number in range(1, 9):
        assert next(made).shape == (4, 5)
        assert len(drawn) <= 4 * (number + 1)


def test_no_photos_give_no_features():
    assert inception_features.extract([], small()).shape == (0, 5)


@pytest.mark.parametrize(
    "photo, reason",
    [
        (np.zeros((8, 8), np.uint8), r"array 0 has the shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), "has the shape"),
        (np.zeros((2, 0, 8, 3), np.uint8), "has the shape"),
        (np.full((8, 8, 3), -0.5), "must be uint8, or float in"),
        (np.full((8, 8, 3), 255.5), "must be uint8, or float in"),
        (np.full((8, 8, 3), np.nan), "must be uint8, or float in"),
        (np.zeros((8, 8, 3), np.int32), "must be uint8, or float in"),
    ],
)
def test_arrays_that_are_no_photos_are_refused(photo, reason):
    with pytest.raises(ValueError, match=reason):
        inception_features.extract([photo], small())


def test_options_are_checked(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="preset is 'fid'; it must be one of fid-published, fid-c"):
        inception_features.extract([], small(), "fid")
    with pytest.raises(ValueError, match="batch_size is 0"):
        inception_features.extract([], small(), batch_size=0)
    with pytest.raises(ValueError, match="feature is 100"):
        inception_features.inception(feature=100)
    monkeypatch.setenv("USIS_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="run usis get-weights inception"):
        inception_features.inception()


def test_features_of_real_photos_are_kept_by_content(tmp_path):
    asked = []
    network = small()

    def extractor(preset="fid-published", sha256="a"):
        def apply(variables, photos):
            asked.append(1)
            return network.apply(variables, photos)

        changed = network._replace(apply=apply, sha256=sha256)
        return inception_features.Extractor(changed, preset, 4, tmp_path / "kept")

    given = photos(5)
    fresh = extractor()(given)
    assert not (tmp_path / "kept").exists() and asked
    np.testing.assert_array_equal(extractor()(given, keep=True), fresh)
    asked.clear()
    np.testing.assert_array_equal(extractor()(given.copy(), keep=True), fresh)
    assert not asked
    other = given.copy()
    other[4, 3, 2, 1] ^= 1
    for again, which in (
        (extractor(), other),
        (extractor("fid-clean"), given),
        (extractor(sha256="b"), given),
        (extractor(), given[:, :10]),
    ):
        asked.clear()
        again(which, keep=True)
        assert asked
    assert len(list((tmp_path / "kept").iterdir())) == 5


def test_damaged_cache_is_measured_again(tmp_path):
    extractor, given = inception_features.Extractor(small(), cache=tmp_path), photos(3)
    fresh = extractor(given, keep=True)
    (file,) = tmp_path.iterdir()
    for content in (b"", b"x", file.read_bytes()[:-9]):
        file.write_bytes(content)
        np.testing.assert_array_equal(extractor(given, keep=True), fresh)
    np.save(file, fresh[:2])
    np.testing.assert_array_equal(extractor(given, keep=True), fresh)


def test_cache_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    extractor, given = (
        inception_features.Extractor(small(), cache=tmp_path / "file" / "kept"),
        photos(3),
    )
    found = extractor(given, keep=True)
    np.testing.assert_array_equal(found, inception_features.Extractor(small())(given))


def test_extractor_says_how_far_it_is():
    told = []
    extractor = inception_features.Extractor(small(), batch_size=4, advance=told.append)
    assert extractor(photos(9)).shape == (9, 5) and told == [4, 4, 1]
    assert extractor(photos(0)).shape == (0, 5)


def test_extractor_names_what_decides_the_number():
    network = small()._replace(name="net", sha256="0123456789")
    assert inception_features.Extractor(network, "fid-clean").name == "net (01234567), fid-clean"


def test_inception_names_its_weights(monkeypatch, tmp_path):
    from tests.evaluation.networks import inception_test

    state = inception_test.drawn("keys", 0)
    monkeypatch.setattr(
        pretrained_weights,
        "find",
        lambda network, path: (path, pretrained_weights.KNOWN[network][1]),
    )
    monkeypatch.setattr(pretrained_weights, "read", lambda path, known: state)
    network = inception_features.inception(tmp_path, feature=64)
    assert (network.name, network.width) == ("inception-2015-12-05/64", 64)
    assert network.file == "pt_inception-2015-12-05-6726825d.pth"
    found = inception_features.extract(photos(1), network)
    assert found.shape == (1, 64) and found.std() > 0.1
