"""Tests of usis_jax.data.pipeline.samplers; an "image" is the number of its place in a list.

Lists are some hundred long because Grain shuffles very short ones slowly.
"""

import collections

import numpy as np
import pytest

from usis_jax.data.pipeline import samplers

# Pixels of the classes lawn, path, pond, void in 210 maps, of seven kinds in turn.
PIXELS = np.array(
    30
    * [
        [90, 10, 0, 0],
        [100, 0, 0, 0],
        [50, 0, 2, 48],
        [97, 3, 0, 0],
        [0, 0, 0, 100],
        [20, 0, 0, 80],
        [96, 1, 3, 0],
    ]
)
VOID = 3


def _take(dataset, count, start=0):
    return [dataset[i] for i in range(start, start + count)]


def _balanced(balance, seed=0):
    return samplers.balanced(list(range(210)), PIXELS, VOID, balance, seed)


def test_each_pass_has_every_image_once_in_a_new_order():
    order = _take(samplers.passes(list(range(150)), 0), 450)
    parts = [tuple(order[i : i + 150]) for i in (0, 150, 300)]
    assert all(sorted(part) == list(range(150)) for part in parts)
    assert len(set(parts)) == 3


def test_sources_without_weights_are_passed_through_as_one():
    images = list(range(150))
    parts = [images[:100], images[100:101], images[101:]]
    order = _take(samplers.mixture(parts, [None] * 3, 0), 300)
    assert sorted(order[:150]) == sorted(order[150:]) == images
    assert order[:150] != order[150:]


@pytest.mark.parametrize("weights", [(0.7, 0.3), (2.0, 1.0), (0.05, 0.95), (1.0, 1.0, 6.0)])
def test_sources_have_the_shares_of_their_weights_at_every_place(weights):
    sources = [[(number, i) for i in range(300 + number)] for number in range(len(weights))]
    order = _take(samplers.mixture(sources, list(weights), 0), 2000)
    for stop in (20, 200, 2000):
        drawn = collections.Counter(number for number, _ in order[:stop])
        for number, weight in enumerate(weights):
            share = weight / sum(weights)
            assert abs(drawn[number] - stop * share) <= 1.5 + 0.01 * stop * share


def test_each_weighted_source_goes_through_its_own_passes():
    sources = [[(number, i) for i in range(100)] for number in range(2)]
    order = _take(samplers.mixture(sources, [0.75, 0.25], 0), 800)
    for number, count in ((0, 6), (1, 2)):
        own = [i for source, i in order if source == number]
        passes = [tuple(own[i : i + 100]) for i in range(0, len(own), 100)]
        assert [sorted(one) for one in passes] == [list(range(100))] * count
        assert len(set(passes)) == count


def test_one_source_is_the_same_with_and_without_a_weight():
    images = list(range(120))
    plain = _take(samplers.passes(images, 5), 200)
    for weight in (None, 0.3):
        assert _take(samplers.mixture([images], [weight], 5), 200) == plain


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: samplers.mixture([[*range(99)], [*range(200)]], [0.6, 0.4], seed),
        lambda seed: samplers.mixture([[*range(99)], [*range(200)]], [None] * 2, seed),
        lambda seed: _balanced(0.5, seed),
        lambda seed: _balanced(1.0, seed),
    ],
)
def test_order_is_a_function_of_seed_and_place(make):
    order = _take(make(3), 60)
    assert _take(make(3), 20, start=40) == order[40:]
    assert _take(make(4), 60) != order


@pytest.mark.parametrize("balance", [0.25, 0.6, 1.0])
def test_maps_are_drawn_as_often_as_their_classes_are_rare(balance):
    kinds, maps = PIXELS[:7].tolist(), len(PIXELS)
    totals = [sum(row[k] for row in kinds) for k in range(3)]
    weights = [np.exp((1 - total / sum(totals)) / 0.01) for total in totals]
    expected = np.full(7, (1 - balance) / 7)
    for row in range(7):
        for k in range(3):
            if kinds[row][k]:
                holding = sum(other[k] > 0 for other in kinds)
                expected[row] += balance * weights[k] / sum(weights) / holding
    assert expected.sum() == pytest.approx(1)
    count = 20 * maps
    drawn = np.bincount(np.array(_take(_balanced(balance), count)) % 7, minlength=7)
    deviation = np.sqrt(count * expected * (1 - expected))
    assert (np.abs(drawn - count * expected) <= 4 * deviation + 1).all()


def test_map_of_void_only_is_never_drawn_for_a_class():
    assert 4 not in {i % 7 for i in _take(_balanced(1.0), 2000)}


def test_other_maps_are_still_passes_over_all():
    """With half of the maps by class, 420 places hold one whole pass."""
    order = _take(_balanced(0.5), 840)
    assert set(order[:420]) == set(order[420:]) == set(range(210))
