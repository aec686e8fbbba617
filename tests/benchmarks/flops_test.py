"""The published step that operations are compared with makes the same step as ours."""

import dataclasses
import functools

import jax
import numpy as np

from benchmarks import flops
from tests.support import tiny_run, tiny_step
from usis_jax.aot import compile_report
from usis_jax.distributed import mesh
from usis_jax.models import registry
from usis_jax.ops import kernels


def settings(update, **changes):
    return tiny_step.combination(
        "spade", "wavelet", "wavelet_upsample", update, r1_interval=2, **changes
    )


def test_published_step_moves_the_state_as_the_alternating_one_does():
    chosen = settings("alternating")
    runner = mesh.Runner(devices=jax.devices()[:1])
    step = runner.compile(
        functools.partial(
            flops.published,
            settings=chosen,
            void=tiny_step.VOID,
            networks=registry.build(chosen, tiny_step.CLASSES, kernels=kernels.REFERENCE),
        )
    )
    state = runner.place(tiny_step.created(chosen))
    after, thrown_away = step(state, runner.put(tiny_step.batch(0)))
    expected, _ = tiny_step.run(chosen, 1, 1)
    for a, b in zip(jax.tree.leaves(runner.fetch(after)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(thrown_away)) > 0


def test_published_step_counts_more_than_alternating_and_that_more_than_joint():
    spec = tiny_run.SPEC
    count = functools.partial(compile_report.step_flops, spec=spec, targets=jax.devices()[:1])
    plain = settings("alternating")
    published = count(plain, train_step=flops.published, kernels=kernels.PUBLISHED)
    alternating = count(plain)
    assert published > alternating > count(settings("joint")) > 0


def test_penalty_counts_at_its_share():
    chosen = settings("joint")
    without, always, seldom = (
        compile_report.step_flops(
            dataclasses.replace(chosen, r1_interval=interval), tiny_run.SPEC, jax.devices()[:1]
        )
        for interval in (0, 1, 4)
    )
    assert always > 1.05 * without
    np.testing.assert_allclose(seldom, 0.75 * without + 0.25 * always, rtol=1e-4)
