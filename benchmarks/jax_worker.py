"""Our training step in a process of its own, told what to do by benchmarks.step."""

import dataclasses
import functools
import os
import statistics
import time
import types

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import workers
from usis_jax import methods
from usis_jax.aot import compile_report
from usis_jax.config import settings as settings_lib
from usis_jax.distributed import mesh
from usis_jax.methods import losses, optimizers, train_state
from usis_jax.methods.train_state import players
from usis_jax.models import generation
from usis_jax.ops import pixel_range
from usis_jax.runtime import compilation, trace_cache


class Training:
    """Steps of one update rule on one batch.

    Args:
      settings: JSON text of the run's settings; `update` chooses the rule.
      classes, void: of the label spec.
      labels: file of label maps, see plans.write_labels.
      began: time at which the process was started.
    """

    def __init__(self, settings: str, classes: int, void: int | None, labels: str, began: float):
        self.settings = settings_lib.from_json(settings)
        self.classes, self.void = classes, void
        self.method = methods.get(self.settings.method.name)
        self.networks = self.method.networks(self.settings, classes)
        self.plain = self.method.networks(self.settings, classes, axis_name=None)
        self.runner = mesh.Runner(self.settings.mapping)
        imported = time.time()
        self.state = self.runner.place(self.method.create(self.settings, classes))
        self.batch = self.runner.put(_batch(self.settings, labels))
        created = time.time()
        step = functools.partial(
            self.method.step, settings=self.settings, networks=self.networks, void=void
        )
        spec = types.SimpleNamespace(num_classes=classes, void=void)
        self.compiled = compilation.compile_ahead(
            trace_cache.of(step, self.settings, spec, self.runner), self.state, self.batch
        )
        compiled = time.time()
        self.step(penalise=True)
        stepped = time.time()
        self.step(penalise=False)
        self.start = {
            "imports": imported - began,
            "state": created - imported,
            "compile": compiled - created,
            "first_step": stepped - began,
            "both_kinds": time.time() - began,
        }

    def step(self, penalise: bool, count: int = 1) -> dict:
        """Runs steps; returns seconds of each, processor seconds and the last one's metrics."""
        seconds, used = [], time.process_time()
        for _ in range(count):
            # By its number a step knows whether it has R1.
            number = self.runner.place(np.int32(0 if penalise else 1))
            self.state = self.state.replace(step=number)
            began = time.perf_counter()
            self.state, metrics = self.compiled(self.state, self.batch)
            jax.block_until_ready((self.state, metrics))
            seconds.append(time.perf_counter() - began)
        return {
            "seconds": seconds,
            "processor_seconds": (time.process_time() - used) / count,
            "metrics": {k: float(v) for k, v in metrics.items()},
        }

    def report(self) -> dict:
        """What is known after compiling: times, and memory by XLA's count."""
        return {
            "start_seconds": self.start,
            "xla_temp_mib": self.compiled.memory_analysis().temp_size_in_bytes / 2**20,
            "versions": {"jax": jax.__version__, "jaxlib": jax.lib.__version__},
            "threads": len(os.sched_getaffinity(0)),
        }  # fmt: skip

    def flops(self) -> dict:
        """FLOPs of a step without and with R1, counted before the compiler changes it."""
        labels = types.SimpleNamespace(num_classes=self.classes, void=self.void)
        kinds = {"plain": dataclasses.replace(self.settings, r1_interval=0), "r1": self.settings}
        return {
            kind: compile_report.program_flops("step", settings, labels, jax.devices())
            for kind, settings in kinds.items()
        }

    @functools.cached_property
    def parts(self) -> dict:
        """Part of the step -> compiled function of (params, collections)."""
        photo = pixel_range.to_float(self.batch["photo"])
        label = self.batch["label"].astype(jnp.int32)
        keys = jax.random.split(jax.random.key(0), len(label))
        z = generation.draw_noise(self.settings.generator, keys, *label.shape[1:])
        arguments = (self.state.params, self.state.collections, photo, label, z)
        functions = part_functions(self.plain, self.void)
        made = {}
        for name, function in functions.items():
            compiled = jax.jit(function).lower(*arguments).compile()
            made[name] = functools.partial(compiled, *arguments)
        update = jax.jit(functools.partial(_update_all, self.settings)).lower(self.state).compile()
        made["update"] = functools.partial(update, self.state)
        return made

    def part(self, name: str, count: int) -> float:
        """Median seconds of a part."""
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            jax.block_until_ready(self.parts[name]())
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)


def part_functions(networks, void) -> dict:
    """Part of the step -> function of (params, collections, photo, label, z) that runs it alone.

    A network's forward and backward pass, with gradients for its weights, its input or (no comma)
    both; the same names as in benchmarks.pytorch_baseline.worker.
    """

    def generate(own, collections, label, z):
        return networks.generator.apply(
            {"params": own, **collections["generator"]},
            label,
            z,
            train=True,
            mutable=list(collections["generator"]),
        )

    def read(own, photo, collections, label):
        logits, updates = networks.segmenter.apply(
            {"params": own, **collections["segmenter"]},
            photo,
            train=True,
            mutable=list(collections["segmenter"]),
        )
        return losses.balanced_cross_entropy(logits, label, void=void), updates

    def discriminate(own, photo):
        return networks.discriminator.apply({"params": own}, photo)

    def score(own, photo):
        return losses.nonsaturating_fake(discriminate(own, photo)[0])

    def generator(params, collections, photo, label, z):
        _, pullback, updates = jax.vjp(
            lambda own: generate(own, collections, label, z), params["generator"], has_aux=True
        )
        return pullback(photo)[0], updates

    def segmenter(argnums):
        def part(params, collections, photo, label, z):
            return jax.value_and_grad(read, argnums, has_aux=True)(
                params["segmenter"], photo, collections, label
            )

        return part

    def discriminator(argnums):
        return lambda params, collections, photo, label, z: jax.value_and_grad(score, argnums)(
            params["discriminator"], photo
        )

    def penalty(params, collections, photo, label, z):
        return jax.value_and_grad(
            lambda own: losses.r1_penalty(lambda x: discriminate(own, x)[0], photo)
        )(params["discriminator"])

    parts = {
        "generator, forward":
            lambda params, collections, photo, label, z: generate(
                params["generator"], collections, label, z),
        "generator": generator,
        "segmenter": segmenter((0, 1)), "segmenter, weights": segmenter(0),
        "segmenter, photo": segmenter(1),
        "discriminator": discriminator((0, 1)), "discriminator, weights": discriminator(0),
        "discriminator, photo": discriminator(1), "r1": penalty,
    }  # fmt: skip
    if networks.decoder is not None:

        def decoder(params, collections, photo, label, z):
            features = discriminate(params["discriminator"], photo)[1]
            return jax.value_and_grad(
                lambda own, x: losses.reconstruction(
                    photo, networks.decoder.apply({"params": own}, x)
                ),
                (0, 1),
            )(params["decoder"], features)

        parts["decoder, with D's forward"] = decoder
    return parts


def _update_all(settings, now: train_state.TrainState):
    """Adam of all players and the average, with the parameters themselves for gradients."""
    params, opt_state = dict(now.params), {}
    for player, optimiser in optimizers.optimisers(settings.optimizer).items():
        own = players(now.params, player)
        updates, opt_state[player] = optimiser.update(own, now.opt_state[player], own)
        params |= jax.tree.map(jnp.add, own, updates)
    return (
        params,
        opt_state,
        optimizers.moving_average(
            now.ema_params, params["generator"], now.step, settings.ema_decay
        ),
    )


def _batch(settings, labels: str) -> dict:
    """A batch as training gets it."""
    label = np.load(labels)[: settings.batch_size].astype(np.uint8)
    photo = np.random.default_rng(0).integers(0, 256, (*label.shape, 3), np.uint8)
    return {"photo": photo, "label": label}


def main() -> None:
    """Serves requests."""
    made = {}

    def start(**arguments):
        made["it"] = Training(**arguments)
        return made["it"].report()

    workers.serve({
        "start": start,
        "step": lambda **a: made["it"].step(**a),
        "flops": lambda: made["it"].flops(),
        "parts": lambda: list(made["it"].parts),
        "part": lambda **a: made["it"].part(**a),
        "forget_peak": workers.forget_peak, "peak": workers.peak_mib,
    })  # fmt: skip


if __name__ == "__main__":
    main()
