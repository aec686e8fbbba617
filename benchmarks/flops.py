"""FLOPs of one training step as `usis_jax.aot.flops` counts them, against the published step's.

    python -m benchmarks.flops --config=coco_stuff --json FILE

Counted on the traced programs before optimisation, at the configuration's full size; nothing is
compiled or run. The published step is written here plainly: three passes of the generator, and
gradients of every network that a loss touches, of which the opponents' are thrown away; the
segmenter's and the discriminator's images come without the generator's gradient. Its convolutions
are those of the published networks (`ops.kernels.PUBLISHED`).
"""

import argparse
import dataclasses
import json
import pathlib

import jax

from usis_jax.aot import compile_report
from usis_jax.config import loading
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs import builtin_specs
from usis_jax.methods import losses, optimizers, train_state, usis
from usis_jax.methods import usis_losses as terms
from usis_jax.ops import kernels


def published(state, batch, *, settings, networks, void):
    """One step in the published way; to be mapped like usis.train_step."""
    inputs, weights = terms.inputs_of(state, batch, settings, networks, void), settings.loss
    first = state.collections

    def generator_loss(every):
        photo, updates = terms.generate(inputs, every["generator"], first["generator"], "generator")
        loss, _, _ = terms.segment(inputs, every["segmenter"], first["segmenter"], photo)
        score, _ = terms.discriminate(inputs, every["discriminator"], photo)
        return (
            weights.segmentation * loss
            + weights.adversarial * losses.nonsaturating_generator(score)
        ), updates

    def segmenter_loss(own, photo):
        loss, updates, _ = terms.segment(inputs, own["segmenter"], first["segmenter"], photo)
        return loss, updates

    def discriminator_loss(own, photo):
        real, _ = terms.real_loss(inputs, own)
        score, _ = terms.discriminate(inputs, own["discriminator"], photo)
        return real + weights.adversarial * losses.nonsaturating_fake(score)

    gradients, updates = jax.grad(generator_loss, has_aux=True)(state.params)
    thrown_away = {name: gradients[name] for name in ("segmenter", "discriminator")}
    state = _updated(state, "generator", gradients, settings, generator=updates)
    photo, updates = terms.generate(
        inputs, state.params["generator"], state.collections["generator"], "segmenter"
    )
    gradients, read = jax.grad(segmenter_loss, has_aux=True)(
        state.params, jax.lax.stop_gradient(photo)
    )
    state = _updated(state, "segmenter", gradients, settings, generator=updates, segmenter=read)
    photo, updates = terms.generate(
        inputs, state.params["generator"], state.collections["generator"], "discriminator"
    )
    gradients = jax.grad(discriminator_loss)(state.params, jax.lax.stop_gradient(photo))
    penalised, _ = terms.with_r1(
        inputs, state.step, state.params["discriminator"], gradients["discriminator"]
    )
    gradients = gradients | {"discriminator": penalised}
    state = _updated(state, "discriminator", gradients, settings, generator=updates)
    average = optimizers.moving_average(
        state.ema_params, state.params["generator"], state.step, settings.ema_decay
    )
    return state.replace(step=state.step + 1, ema_params=average), thrown_away


def _updated(state, player, gradients, settings, **collections):
    own = {name: gradients[name] for name in train_state.players(state.params, player)}
    state = usis.update(state, player, own, settings.optimizer)
    return state.replace(collections=state.collections | collections)


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
