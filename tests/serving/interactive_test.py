"""What the demo generates: the generator's images, with noise chosen by region."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.config import settings
from usis_jax.data.specs import lookup
from usis_jax.inference import sampling
from usis_jax.models import registry
from usis_jax.serving import examples, interactive

NOISES = ("image", "pixel", "mixed")
GENERATOR = {"width": 2, "multipliers": (2, 2, 1), "z_dim": 4, "spade_width": 4}


def make(noise="mixed", size=(16, 16), spade_kernel=3):
    """An untrained generator whose images differ from grey."""
    run = tiny_run.settings(
        generator=GENERATOR | {"noise": noise, "spade_kernel": spade_kernel},
        data={"height": size[0], "width": size[1]},
    )
    network = registry.build(run, tiny_run.SPEC.num_classes, axis_name=None).generator
    return sampling.Generator(network, drawn(spade_kernel), run, tiny_run.SPEC)


@functools.cache
def drawn(spade_kernel):
    """Variables of the tiny generator; they depend neither on its size nor on its noise."""
    run = tiny_run.settings(generator=GENERATOR | {"spade_kernel": spade_kernel})
    network = registry.build(run, tiny_run.SPEC.num_classes, axis_name=None).generator
    label, z = np.zeros((1, 4, 4), np.int32), np.zeros((1, 4), np.float32)
    variables = jax.jit(network.init)(jax.random.key(0), label, z)
    return {**variables, "params": jax.tree.map(lambda leaf: 4 * leaf, variables["params"])}


@pytest.fixture(scope="module", params=NOISES)
def sampler(request):
    """An InteractiveSampler for each kind of noise."""
    return interactive.InteractiveSampler(make(request.param))


@pytest.fixture
def label():
    """A label map int32 [16, 16]."""
    return tiny_run.batch(0, 0, 1)["label"][0]


def test_image_is_the_generators_own(sampler, label):
    want = sampler.generator(label, seed=5, num_samples=2)[:, 0]
    for sample in range(2):
        image, seconds = sampler(label, interactive.Noise(seed=5), sample)
        np.testing.assert_array_equal(image, want[sample])
        assert seconds > 0
    assert (want[0] != want[1]).any()


def test_region_over_everything_is_the_other_seeds_image(sampler, label):
    everything = np.ones((16, 16), np.uint8)
    image, _ = sampler(label, interactive.Noise(1, 1, 0.0, everything, (8,)))
    want, _ = sampler(label, interactive.Noise(seed=8))
    # One noise an image is summed up in another order when it is spread over the pixels.
    assert np.abs(image.astype(int) - want).max() <= 1
    nowhere, _ = sampler(label, interactive.Noise(1, 1, 0.0, 0 * everything, (8,)))
    want, _ = sampler(label, interactive.Noise(seed=1))
    assert np.abs(nowhere.astype(int) - want).max() <= 1


def test_region_changes_pixels_near_it_only():
    # Start and two blocks of two convolutions at half size, two at full size, one at the end.
    size, near = (16, 64), 2 * 3 + 1 + 2 + 1
    sampler = interactive.InteractiveSampler(make("mixed", size, spade_kernel=1))
    label = np.random.default_rng(0).integers(0, 4, size).astype(np.int32)
    regions = np.zeros(size, np.uint8)
    regions[:, 30:34] = 1
    plain, _ = sampler(label, interactive.Noise(2, 2, 0.0, np.zeros_like(regions), (9,)))
    image, _ = sampler(label, interactive.Noise(2, 2, 0.0, regions, (9,)))
    columns = np.flatnonzero((image != plain).any(axis=(0, 2)))
    assert columns.min() >= 30 - near and columns.max() < 34 + near
    assert set(range(30, 34)) <= set(columns)


def test_each_region_has_the_noise_of_its_seed():
    sampler = interactive.InteractiveSampler(make("pixel"))
    drawn = {}

    def keep(variables, label, z, train):
        drawn["z"] = z
        return np.zeros((*label.shape, 3), np.float32)

    sampler.generator.network = type("Keeps", (), {"apply": staticmethod(keep)})
    regions = np.zeros((16, 16), np.uint8)
    regions[2:5], regions[9:11] = 1, 2
    arguments = interactive._arguments(
        np.zeros((16, 16)), interactive.Noise(3, 4, 0.5, regions, (5, 6)), 0
    )
    sampler._generate(None, *map(jnp.asarray, arguments), spread=True)

    def noise(seed):
        key = jax.random.fold_in(jax.random.key(seed), 0)
        return np.asarray(
            sampling.map_noise(sampler.generator.settings.generator, key, (1, 16, 16))
        )[0]

    want = np.sqrt(0.5) * noise(3) + np.sqrt(0.5) * noise(4)
    want[2:5], want[9:11] = noise(5)[2:5], noise(6)[9:11]
    np.testing.assert_allclose(drawn["z"][0], want, atol=1e-6)


def test_interpolation_begins_and_ends_at_the_two_seeds(sampler, label):
    for mix, seed in ((0.0, 3), (1.0, 4)):
        image, _ = sampler(label, interactive.Noise(3, 4, mix))
        want, _ = sampler(label, interactive.Noise(seed))
        np.testing.assert_array_equal(image, want)


def test_noise_on_the_way_stays_standard_normal():
    for mix in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert sum(weight**2 for weight in interactive.mix_weights(mix)) == pytest.approx(1)
    assert interactive.mix_weights(0.5)[0] == pytest.approx(interactive.mix_weights(0.5)[1])


def test_sizes_are_multiples_of_the_stride_and_begin_with_that_of_training():
    run = settings.load({"data": {"height": 64, "width": 128}})
    sizes = interactive.presets(run)
    assert next(iter(sizes.values())) == (64, 128)
    assert (128, 256) in sizes.values() and (96, 96) in sizes.values()
    assert all(side % 32 == 0 for size in sizes.values() for side in size)
    assert len(set(sizes.values())) == len(sizes)
    large = interactive.presets(settings.load({"data": {"height": 1024, "width": 2048}}))
    assert next(iter(large.values())) == (1024, 2048)
    assert all(height * width <= 2**21 for height, width in large.values())


def test_other_sizes_are_refused(sampler):
    with pytest.raises(ValueError, match="it must be one of"):
        sampler(np.zeros((16, 20), np.int32), interactive.Noise())


def test_maps_to_begin_with_fit_the_generator(monkeypatch):
    tiny_run.install(monkeypatch)
    generator = make()
    held_out = examples.label_maps(generator, 2)
    assert len(held_out) == 2 and {name for name, _ in held_out} <= set("abc")

    def missing(*_):
        raise FileNotFoundError("not prepared")

    monkeypatch.setattr(examples.input_pipeline, "validation", missing)
    [(_, drawn)] = examples.label_maps(generator)
    assert drawn.shape == (16, 16) and set(np.unique(drawn)) == {1, 2}


def test_street_scenes_are_drawn_where_no_data_is(monkeypatch):

    def missing(*_):
        raise FileNotFoundError("not prepared")

    monkeypatch.setattr(examples.input_pipeline, "validation", missing)
    generator = make(size=(32, 64))
    generator.spec = lookup.get("scenes")
    found = examples.label_maps(generator, 3)
    assert len(found) == 3
    for _, drawn in found:
        assert drawn.shape == (32, 64) and len(np.unique(drawn)) > 3 and drawn.max() < 12
