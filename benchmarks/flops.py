"""FLOPs of one training step as `usis_jax.aot.flops` counts them, against the published step's.

    python -m benchmarks.flops --config=coco_stuff --json FILE

Counted on the traced programs before optimisation, at the configuration's full size; nothing is
compiled or run. The published step is written here plainly: three passes of the generator, and
gradients of every network that a loss touches, of which the opponents' are thrown away; the
segmenter's and the discriminator's photos come without the generator's gradient. Its convolutions
are those of the published networks (`ops.kernels.PUBLISHED`).
"""

import argparse
import dataclasses
import json
import pathlib

import jax
import optax

from usis_jax.aot import compile_report
from usis_jax.config import loading
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs import builtin_specs
from usis_jax.distributed import mesh
from usis_jax.methods import losses, optimizers, usis
from usis_jax.ops import kernels


def published(state, batch, *, settings, networks, void):
    """One step in the published way; to be mapped like steps.train_step."""
    step = usis._Step(state, batch, settings, networks, void)
    params, memory, weights = dict(state.params), dict(state.opt_state), settings.loss

    def generator_loss(every):
        photo, updates = step.generate(every["generator"], "generator")
        loss, _, _ = step.segment(every["segmenter"], photo)
        score, _ = step.judge(every["discriminator"], photo)
        return (weights.segmentation * loss
                + weights.adversarial * losses.nonsaturating_generator(score)), updates

    def segmenter_loss(own, photo):
        loss, updates, _ = step.segment(own["segmenter"], photo)
        return loss, updates

    def discriminator_loss(own, photo):
        real, _ = step.real_loss(own)
        score, _ = step.judge(own["discriminator"], photo)
        return real + weights.adversarial * losses.nonsaturating_fake(score)

    gradients, step.collections["generator"] = jax.grad(generator_loss, has_aux=True)(params)
    thrown_away = {name: gradients[name] for name in ("segmenter", "discriminator")}
    _update(step, "generator", gradients, params, memory)
    photo, step.collections["generator"] = step.generate(params["generator"], "segmenter")
    gradients, step.collections["segmenter"] = jax.grad(segmenter_loss, has_aux=True)(
        params, jax.lax.stop_gradient(photo))
    _update(step, "segmenter", gradients, params, memory)
    photo, step.collections["generator"] = step.generate(params["generator"], "discriminator")
    gradients = jax.grad(discriminator_loss)(params, jax.lax.stop_gradient(photo))
    gradients["discriminator"], _ = step.with_r1(
        params["discriminator"], gradients["discriminator"])
    _update(step, "discriminator", gradients, params, memory)
    average = optimizers.moving_average(
        state.ema_params, params["generator"], state.step, settings.ema_decay)
    new = state.replace(step=state.step + 1, params=params, opt_state=memory, ema_params=average,
                        collections=step.collections)
    return new, thrown_away


def _update(step, player, gradients, params, memory):
    own = {name: params[name] for name in usis.players(params, player)}
    updates, memory[player] = optimizers.optimisers(step.settings)[player].update(
        jax.lax.pmean({name: gradients[name] for name in own}, mesh.AXIS), memory[player], own)
    params.update(optax.apply_updates(own, updates))


def main():
    """Counts, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="coco_stuff", help="configuration (coco_stuff)")
    parser.add_argument("--batch_size", type=int, help="instead of the configuration's")
    parser.add_argument("--json", help="file for the result")
    values = parser.parse_args()
    settings = settings_lib.load(loading.load_config(values.config))
    if values.batch_size:
        settings = dataclasses.replace(settings, batch_size=values.batch_size)
    spec = builtin_specs.SPECS[settings.data.labels.split(":")[0]]
    device, count = jax.devices()[:1], compile_report.step_flops
    result = {"published": count(settings, spec, device, published, kernels.PUBLISHED)}
    for rule in ("alternating", "joint"):
        result[rule] = count(dataclasses.replace(settings, update=rule), spec, device)
    for name, flops in result.items():
        print(f"{name:12} {flops / 1e12:8.3f} TFLOP  {flops / result['published']:.3f}", flush=True)
    if values.json:
        pathlib.Path(values.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
