"""A training step small enough to compile many times, for a batch of 8 on any number of devices."""

import functools

import jax
import numpy as np

from tests.support import tiny_run
from usis_jax import methods
from usis_jax.distributed import mesh

CLASSES, VOID, BATCH = 4, 0, 8


def settings(update="joint", **changes):
    """Settings of all four networks at 8x8, with augmentation and R1.

    Groups of the minibatch standard deviation span two of four devices, or, with the alternating
    rule, lie within one.
    """
    values = {
        "batch_size": BATCH,
        "update": update,
        "r1_interval": 2,
        "r1_gamma": 1.0,
        "data": {"height": 8, "width": 8},
        "generator": {
            "width": 4,
            "multipliers": (2, 1),
            "z_dim": 4,
            "spade_width": 4,
            "noise": "image",
        },
        "segmenter": {"down": (4,), "up": (4,)},
        "discriminator": {
            "channel_base": 32,
            "channel_max": 8,
            "levels": 1,
            "dense": 8,
            "stddev_group": 4 if update == "joint" else 2,
            "augment": "color,translation,cutout",
        },
        "decoder": {"name": "wavelet_upsample", "width_max": 8},
        # So that Adam keeps a first moment, which has the gradients, see `gradients`.
        "optimizer": {"beta1": 0.5},
    }
    return tiny_run.settings(**(values | changes))


def combination(generator, discriminator, decoder, update="joint", **changes):
    """The same with networks by name and without augmentation; for patches at 16x16: four each."""
    group = settings(update).discriminator.stddev_group
    size = 16 if discriminator == "patch" else 8
    return settings(
        update,
        data={"height": size, "width": size},
        generator={
            "name": generator,
            "width": 4,
            "multipliers": (2, 1),
            "z_dim": 4,
            "spade_width": 4,
        },
        discriminator={
            "name": discriminator,
            "patch": 8,
            "channel_base": 32,
            "channel_max": 8,
            "dense": 8,
            "stddev_group": group,
        },
        decoder={"name": decoder, "width_max": 8},
        **changes,
    )


def gradients(now):
    """Player -> the gradients of the first step, from the state after it."""
    return {
        player: jax.tree.map(lambda moment: moment / 0.5, memory[0].mu)
        for player, memory in now.opt_state.items()
    }


def batch(step, size=8):
    """The global batch of a step."""
    return tiny_run.batch(0, step, BATCH, size)


@functools.cache
def mapped_step(mapped, devices, kernels=None):
    """(runner, mapped step) for settings on the first so many devices."""
    runner = mesh.Runner(mapped.mapping, jax.devices()[:devices])
    method = methods.get(mapped.method.name)
    step = functools.partial(
        method.step,
        settings=mapped,
        void=VOID,
        networks=method.networks(mapped, CLASSES, kernels=kernels),
    )
    return runner, runner.compile(step)


@functools.cache
def created(mapped):
    """Initial state, NumPy."""
    return jax.tree.map(np.asarray, methods.get(mapped.method.name).create(mapped, CLASSES))


def run(mapped, devices, count, start=None):
    """NumPy state and metrics after so many steps; with r1_interval 2 the first has R1."""
    now = created(mapped) if start is None else start
    metrics = []
    runner, step = mapped_step(mapped, devices)
    now = runner.place(now)
    for number in range(count):
        now, measured = step(now, runner.put(batch(number, mapped.data.height)))
        metrics.append(runner.fetch(measured))
    return runner.fetch(now), metrics
