"""Rematerialisation by block: the same step, less kept, nothing sent twice."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import tiny_step
from usis_jax.models import registry


def with_blocks(settings):
    return dataclasses.replace(settings, remat="blocks")


def gradients(settings, player, size):
    """Gradient of a scalar of one network's output by its parameters, and its new collections."""
    networks = registry.build(settings, tiny_step.CLASSES, axis_name=None)
    network = getattr(networks, player)
    photo = jax.random.normal(jax.random.key(1), (4, size, size, 3))
    label = jax.random.randint(jax.random.key(2), (4, size, size), 0, tiny_step.CLASSES)
    inputs = {
        "generator": (label, jax.random.normal(jax.random.key(3), (4, 4)), True),
        "segmenter": (photo, True),
        "discriminator": (photo,),
    }
    if player == "decoder":
        discriminator = networks.discriminator
        inputs["decoder"] = (discriminator.init_with_output(jax.random.key(4), photo)[0][1],)
    variables = dict(network.init(jax.random.key(0), *inputs[player]))
    params = variables.pop("params")

    def loss(params):
        out, updates = network.apply(
            {"params": params, **variables}, *inputs[player], mutable=list(variables)
        )
        return sum(jnp.square(jnp.sin(x)).sum() for x in jax.tree.leaves(out)), updates

    return jax.jit(jax.grad(loss, has_aux=True))(params)


@pytest.mark.parametrize(
    ("player", "networks"),
    [
        ("generator", ("spade", "wavelet", "none")),
        ("generator", ("wavelet", "wavelet", "none")),
        ("segmenter", ("spade", "wavelet", "none")),
        ("discriminator", ("spade", "wavelet", "none")),
        ("discriminator", ("spade", "whole", "none")),
        ("discriminator", ("spade", "patch", "none")),
        ("decoder", ("spade", "wavelet", "wavelet_upsample")),
        ("decoder", ("spade", "wavelet", "wavelet_upsample_batch_norm")),
        ("decoder", ("spade", "wavelet", "transposed")),
    ],
    ids=str,
)
@pytest.mark.slow
def test_gradients_and_parameters_stay_the_same(player, networks):
    settings = tiny_step.combination(*networks)
    size = settings.data.height
    kept, computed = (gradients(s, player, size) for s in (settings, with_blocks(settings)))
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(kept[0]))
    assert scale > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale), kept, computed)


def after_a_step(settings):
    """State after a step with R1 on four devices, and how often they exchanged something."""
    runner, step = tiny_step.mapped_step(settings, 4)
    state, batch = runner.place(tiny_step.created(settings)), runner.put(tiny_step.batch(0))
    compiled = step.lower(state, batch).compile()
    new, _ = compiled(state, batch)
    return runner.fetch(new), len(re.findall(r" all-(?:reduce|gather)\(", compiled.as_text()))


@pytest.mark.slow
def test_step_with_penalty_stays_the_same_and_sends_no_more():
    kept, exchanges = after_a_step(tiny_step.settings())
    computed, others = after_a_step(with_blocks(tiny_step.settings()))
    others_gradients = tiny_step.gradients(computed)
    for player, gradients in tiny_step.gradients(kept).items():
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients))
        jax.tree.map(
            lambda a, b, scale=scale: np.testing.assert_allclose(a, b, atol=1e-4 * scale),
            gradients,
            others_gradients[player],
        )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        kept.collections,
        computed.collections,
    )
    assert 0 < others <= exchanges


@pytest.mark.slow
def test_backward_pass_keeps_fewer_values():
    def kept_bytes(settings):
        network = registry.build(settings, tiny_step.CLASSES, axis_name=None).segmenter
        photo = jnp.zeros((2, 64, 64, 3))
        variables = network.init(jax.random.key(0), photo, True)

        def output(params):
            return network.apply(
                {**variables, "params": params}, photo, True, mutable=["spectral"]
            )[0]

        _, pullback = jax.eval_shape(lambda params: jax.vjp(output, params), variables["params"])
        return sum(leaf.size for leaf in jax.tree.leaves(pullback))

    settings = tiny_step.settings(
        data={"height": 64, "width": 64}, segmenter={"down": (8, 8, 8), "up": (8, 8, 8)}
    )
    assert kept_bytes(with_blocks(settings)) < 0.5 * kept_bytes(settings)
