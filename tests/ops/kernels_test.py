"""Kernels: the reference on accelerators, others with the same results on CPUs."""

import functools
import re
import subprocess
import sys

import flax
import jax
import numpy as np
import pytest

from tests.support import places, tiny_step
from usis_jax.distributed import mesh
from usis_jax.methods import train_state, usis
from usis_jax.models import registry
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.wavelet_generator import WaveletGenerator
from usis_jax.ops import conv, kernels
from usis_jax.ops.cpu import label_area_conv

COMBINATIONS = [("spade", "wavelet", "wavelet_upsample", "joint"),
                ("wavelet", "whole", "none", "alternating")]  # fmt: skip


def traced(settings, chosen):
    """The equations of a step on one device."""
    networks = registry.build(settings, tiny_step.CLASSES, kernels=chosen)
    step = functools.partial(
        usis.train_step, settings=settings, void=tiny_step.VOID, networks=networks
    )
    mapped = mesh.Runner(devices=jax.devices()[:1]).map(step)
    state = train_state.shapes(settings, tiny_step.CLASSES)
    return str(jax.make_jaxpr(mapped)(state, tiny_step.batch(0)))


@pytest.mark.parametrize("platform", ["tpu", "gpu", "cuda", "rocm"])
def test_accelerators_trace_the_references_step_equation_for_equation(platform):
    settings = tiny_step.combination(*COMBINATIONS[0])
    given = traced(settings, kernels.for_platform(platform))
    assert given == traced(settings, kernels.REFERENCE)
    # Nothing of a CPU's: no choice by platform at run time, no convolution with rules of its own.
    assert "platform_index" not in given
    assert own_rules(given) == {"forward", "inverse"}  # of the Haar transform
    assert "conv" in own_rules(traced(settings, kernels.for_platform("cpu")))


def own_rules(text):
    """Names of the functions with gradients of their own."""
    return set(re.findall(r"custom_vjp_call\[\s*name=(\w+)", text))


def test_accelerators_do_not_import_the_kernels_of_cpus():
    code = (
        "import sys\n"
        "from usis_jax.models import registry\n"
        "from usis_jax.ops import kernels\n"
        "assert kernels.for_platform('tpu') is kernels.REFERENCE\n"
        "assert not [name for name in sys.modules if name.startswith('usis_jax.ops.cpu')]\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=places.REPOSITORY, check=True)


def test_reference_convolution_is_differentiated_forward_too():
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(2, 6, 5, 3)), random.normal(size=(3, 3, 3, 4))
    way = random.normal(size=kernel.shape)
    with jax.enable_x64(True):
        _, slope = jax.jvp(lambda kernel: conv.conv(x, kernel, padding=1), (kernel,), (way,))
        # The convolution is linear in its kernel.
        np.testing.assert_allclose(slope, conv.conv(x, way, padding=1), rtol=1e-9)


@pytest.mark.parametrize("networks", COMBINATIONS)
def test_step_takes_the_references_gradients(networks, monkeypatch):
    settings = tiny_step.combination(*networks)
    plain = taken(settings, kernels.REFERENCE)
    fast = taken(settings, kernels.for_platform("cpu"))
    for player, gradients in plain.items():
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients))
        assert scale > 0
        jax.tree.map(
            lambda a, b, scale=scale: np.testing.assert_allclose(a, b, atol=1e-4 * scale),
            fast[player],
            gradients,
        )


def taken(settings, chosen):
    """The gradients of a step with the R1 penalty."""
    runner, step = tiny_step.mapped_step(settings, 1, chosen)
    state, _ = step(
        runner.place(tiny_step.created(settings)),
        runner.put(tiny_step.batch(0, settings.data.height)),
    )
    return tiny_step.gradients(runner.fetch(state))


@pytest.mark.parametrize("generator", [SpadeGenerator, WaveletGenerator])
@pytest.mark.parametrize("batch", [1, 2])
def test_generated_image_is_the_references(monkeypatch, generator, batch):
    """On a map with areas of one class, which are computed once."""
    monkeypatch.setattr(label_area_conv, "SMALLEST", 1)
    random = np.random.default_rng(0)
    label = random.integers(0, 5, (batch, 4, 8)).repeat(12, 1).repeat(8, 2).astype(np.int32)
    z = random.normal(size=(batch, 3)).astype(np.float32)
    plain = generator(5, width=2, multipliers=(2, 1), z_dim=3, hidden=4)
    variables = jax.jit(plain.init)(jax.random.key(0), label, z)
    # Kernels large enough for the image to depend on the map; spectral norm scales the others.
    flat = flax.traverse_util.flatten_dict(variables["params"])
    flat = {
        path: leaf
        if path[-1] == "bias" or "conv" in path[-2]
        else 0.2 * random.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in flat.items()
    }
    variables = {**variables, "params": flax.traverse_util.unflatten_dict(flat)}
    image, fast = (
        jax.jit(network.apply)(variables, label, z)
        for network in (plain, plain.clone(kernels=kernels.for_platform("cpu")))
    )
    assert np.std(image) > 0.05
    np.testing.assert_allclose(fast, image, atol=1e-4)
