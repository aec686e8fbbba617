import functools

import jax
import numpy as np
import pytest

from tests.support import tiny_step
from usis_jax.inference import sampling
from usis_jax.models import registry

DISCRIMINATORS = (
    ("patch", "none"),
    ("whole", "none"),
    ("wavelet", "none"),
    ("wavelet", "wavelet_upsample"),
    ("wavelet", "wavelet_upsample_batch_norm"),
    ("wavelet", "transposed"),
)


@functools.cache
def sampler(generator, run):
    """The compiled sampler of a generator; it does not depend on the other networks."""
    return sampling.make_sampler(generator, run.generator)


@pytest.mark.parametrize(("discriminator", "decoder"), DISCRIMINATORS)
@pytest.mark.parametrize("generator", ["spade", "wavelet"])
@pytest.mark.slow
def test_every_combination_trains_a_step_and_generates(generator, discriminator, decoder):
    """The alternating rule with the wavelet generator where there is no decoder, else joint."""
    update = "alternating" if (generator, decoder) == ("wavelet", "none") else "joint"
    run = tiny_step.combination(
        generator, discriminator, decoder, update, r1_interval=2 if generator == "spade" else 0
    )
    before = tiny_step.created(run)
    after, (metrics,) = tiny_step.run(run, 1, 1)
    assert all(np.isfinite(value) for value in metrics.values())
    assert ("decoder" in after.params) == (decoder != "none") == ("loss_reconstruction" in metrics)
    for name, params in before.params.items():
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params[name]))
        changed = jax.tree.map(lambda a, b: (a != b).any(), params, after.params[name])
        assert np.mean(jax.tree.leaves(changed)) > 0.5, name
    network = registry.build(run, tiny_step.CLASSES, axis_name=None).generator
    generate = sampler(network, tiny_step.combination(generator, "whole", "none"))
    photo = generate(
        {"params": after.ema_params, **after.ema_collections}, tiny_step.batch(0)["label"][:1], 0, 0
    )
    assert photo.shape == (1, 8, 8, 3) and photo.dtype == np.uint8
