"""The published step that operations are compared with makes the same step as ours."""

import functools

import jax
import numpy as np
import tiny_run
import tiny_step

from benchmarks import flops
from usis_jax import parallel
from usis_jax.models import registry


def settings(update, **changes):
    return tiny_step.combination("spade", "wavelet", "wavelet_upsample", update, r1_interval=2,
                                 **changes)


def test_published_step_moves_the_state_as_the_alternating_one_does():
    chosen = settings("alternating", fast_paths=False)
    runner = parallel.Runner(devices=jax.devices()[:1])
    step = runner.compile(functools.partial(
        flops.published, settings=chosen, void=tiny_step.VOID, penalise=True,
        networks=registry.build(chosen, tiny_step.CLASSES)))
    state = runner.place(tiny_step.created(chosen))
    after, thrown_away = step(state, runner.put(tiny_step.batch(0)))
    expected, _ = tiny_step.run(chosen, 1, (True,))
    for a, b in zip(jax.tree.leaves(runner.fetch(after)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(thrown_away)) > 0


def test_published_step_counts_more_than_alternating_and_that_more_than_joint():
    plain = settings("alternating", fast_paths=False)
    spec = tiny_run.SPEC
    published = flops.count(plain, spec, flops.published)
    alternating = flops.count(settings("alternating"), spec)
    assert published > alternating > flops.count(settings("joint"), spec) > 0
