"""Trains an evaluator on real pairs, measures it on others, and writes its folder.

500 steps of the default sizes, two CPU cores shared with other jobs (measured): scenes at 64x128,
trained on the 200 pairs of test, mIoU 61 % and 85 % of pixels on the 200 of validation, 205 s;
faces at 64x64, trained on 800, mIoU 45 % and 82 % of pixels on the 100 of validation, 145 s;
CamVid at 96x128, trained on 367, mIoU 52 % and 87 % of pixels on the 101 of validation, 361 s.

FD-evaluator to the validation photos (measured; scenes, faces, CamVid): training photos 0.05,
0.06, 2.4; the same photos blurred by 0.7 pixels 0.09, 0.05, 0.03, by 1.5 pixels 1.4, 1.9,
0.16, by 3 pixels 5.3, 6.8, 1.6; label maps in each class's mean colour 2.3, 1.1, 2.6; noise 16, 11,
12. So it hardly sees a faint blur, and CamVid's validation, one drive, is farther from other drives
than from itself blurred. mIoU of maps in mean colours is 43 %, 43 %, 30 %: it measures layout and
colour and says little of texture; read it beside a distance.
"""

import dataclasses
import functools
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from usis_jax import errors
from usis_jax.config.constraints import Section, limited
from usis_jax.data.pipeline import pairs as pairs_lib
from usis_jax.diagnostics import step_means
from usis_jax.display import image_grid
from usis_jax.display import progress as progress_lib
from usis_jax.distributed import mesh
from usis_jax.errors import UserError
from usis_jax.evaluation.evaluators.segmentation_evaluator import (
    BATCH,
    Evaluator,
    EvaluatorNetwork,
    check_free,
)
from usis_jax.evaluation.metrics import segmentation
from usis_jax.methods import losses
from usis_jax.ops import pixel_range

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Training(Section):
    """How an evaluator is trained.

    AdamW's rate rises to `rate` over a tenth of the steps and falls to 0 as a cosine.
    """

    steps: int = limited(500, at_least=1)
    batch_size: int = limited(8, at_least=1)
    seed: int = limited(0, at_least=0, below=2**32)
    rate: float = limited(3e-3, at_least=0)
    weight_decay: float = limited(1e-2, at_least=0)
    widths: tuple[int, ...] = limited((32, 64, 96, 128), at_least=1)


def train_evaluator(
    settings, out, pairs: str = "", training: Training = Training(), progress: bool = True
) -> dict[str, Any]:
    """Trains an evaluator, measures it on `data.validation`, and writes its folder.

    Args:
      settings: Settings; of `data` where the data lie, the size, whether to mirror, and the split
        to measure on.
      out: folder to write; must not exist, or be empty.
      pairs: split to train on, such as "scenes:test"; "" chooses (`pairs.default_source`).
      training: Training.
      progress: show a progress bar.

    Returns:
      dict: out, pairs, num_pairs, measure, num_measured, steps, seconds, steps_per_second, name,
      miou, accuracy, iou (class name -> float, None where it does not occur), picture.

    Raises:
      FileNotFoundError: data is not prepared.
      UserError: a split has no pairs, the splits overlap, sizes do not fit, or `out` is there.
      FloatingPointError: the loss is not finite.
    """
    check_free(out)
    size = settings.data.height, settings.data.width
    source = pairs or pairs_lib.default_source(settings)
    own = pairs_lib.Pairs(settings, source)
    others = pairs_lib.Pairs(settings, settings.data.validation)
    own.check_apart(others)
    for each in (own, others):
        _check_classes(each, size)
    began = time.perf_counter()
    variables, rates = fit(own, size, settings.data.flip, training, progress)
    evaluator = Evaluator(
        variables,
        own.spec,
        {
            "height": size[0],
            "width": size[1],
            "widths": list(training.widths),
            "scores": {},
            "training": dataclasses.asdict(training),
            "flip": settings.data.flip,
            "pairs": source,
            "num_pairs": len(own),
            "measure": others.source,
            "num_measured": len(others),
        },
    )
    evaluator.info["scores"], columns = measure(evaluator, others)
    if mesh.is_first():
        evaluator.save(out, image_grid.grid(columns))
    return {
        "out": str(out),
        "name": evaluator.name,
        "pairs": source,
        "num_pairs": len(own),
        "measure": others.source,
        "num_measured": len(others),
        "steps": training.steps,
        "seconds": time.perf_counter() - began,
        **rates,
        **evaluator.scores,
        "picture": str(out) + "/evaluator.png",
    }


def _check_classes(pairs, size) -> None:
    """Raises UserError where no label map has a pixel of a class: nothing to learn or measure."""
    void = pairs.spec.void
    batches = pairs_lib.in_order(pairs, BATCH, size)
    if all(segmentation.is_void_only(batch["label"], void) for batch in batches):
        raise errors.UserError(
            f"{pairs.source}: all its {len(pairs)} label maps are void only, so an evaluator can "
            "neither learn nor be measured there; give pairs whose label maps have classes "
            "(--pairs, --config.data.validation)"
        )


def fit(
    pairs, size: tuple[int, int], flip: bool, training: Training, progress: bool = True
) -> tuple[Any, dict[str, float | None]]:
    """Trains an evaluator's network.

    Args:
      pairs: Pairs, or a sequence of such dicts with the attribute `spec`.
      size: (H, W).
      flip: mirror half of the pairs.
      training: Training.
      progress: show a progress bar.

    Returns:
      (variables, rates): the network's parameters and statistics, and `Progress.overall()`.

    Raises:
      UserError: H or W is no multiple of the network's stride.
      FloatingPointError: the loss is not finite.
    """
    spec = pairs.spec
    network = EvaluatorNetwork(spec.num_classes, training.widths, spec.void, mesh.AXIS)
    if size[0] % network.stride or size[1] % network.stride:
        raise UserError(
            "an evaluator reads images whose height and width are multiples of "
            f"{network.stride}, not {size[0]}x{size[1]}; change data.height or "
            "data.width"
        )
    runner = mesh.Runner(devices=_devices(training.batch_size))
    variables = jax.device_get(
        jax.jit(network.init)(jax.random.key(training.seed), jnp.zeros((1, *size, 3), jnp.float32))
    )
    optimiser = _optimiser(training)
    state = runner.place((variables, optimiser.init(variables["params"])))
    step_function = runner.compile(functools.partial(_step, network=network, optimiser=optimiser))
    bar = progress_lib.Progress(
        0,
        training.steps,
        training.batch_size,
        progress and mesh.is_first(),
        lines={"loss_evaluator": "evaluator {:.3g}"},
    )
    means, interval = step_means.Means(), max(1, training.steps // 20)
    batches = mesh.prefetch(
        pairs_lib.training(
            pairs,
            training.batch_size,
            size,
            flip,
            training.seed,
            runner.process_index,
            runner.process_count,
        ),
        runner,
    )
    try:
        for step in range(1, training.steps + 1):
            state, metrics = step_function(state, next(batches))
            bar.advance()
            if step == 1:
                bar.restart(1)
            if step % interval == 0 or step == training.steps:
                means.add(step, {"loss_evaluator": float(metrics["loss"])})
                bar.show(step, means.take() | bar.rates(step))
    finally:
        bar.close()
    return runner.fetch(state[0]), bar.overall()


def measure(evaluator: Evaluator, pairs) -> tuple[dict[str, Any], list]:
    """Scores an evaluator on real pairs.

    Args:
      evaluator: Evaluator.
      pairs: Pairs that it was not trained on.

    Returns:
      (scores, columns): miou, accuracy and iou by class name (None where a class occurs neither in
      label maps nor in predictions); and columns of a few pairs for `image_grid.grid`.
    """
    spec = evaluator.spec
    counts = np.zeros((spec.num_classes, spec.num_classes), np.int64)
    wanted = {i * len(pairs) // _SHOWN for i in range(_SHOWN)}
    shown, first = [], 0
    for batch in pairs_lib.in_order(pairs, BATCH, (evaluator.height, evaluator.width)):
        read = evaluator.predict(batch["photo"])
        counts += segmentation.confusion(batch["label"], read, spec.num_classes, spec.void)
        for i in range(len(read)):
            if first + i in wanted:
                shown.append((batch["photo"][i], batch["label"][i], read[i]))
        first += len(read)
    found = segmentation.scores(counts, spec.void, first)
    by_name = {
        name: value
        for k, (name, value) in enumerate(zip(spec.classes, found.iou, strict=True))
        if k != spec.void
    }
    scores = {"miou": found.miou, "accuracy": found.accuracy, "iou": by_name}
    photos, labels, maps = (np.stack(each) for each in zip(*shown, strict=True))
    columns = [
        ("photo", photos),
        ("label map", spec.colour(labels)),
        ("evaluator's prediction", spec.colour(maps)),
    ]
    return scores, columns


def loss_of(logits: Array, label: Array, void: int | None, axis_name: str | None = None) -> Array:
    """Cross-entropy; a pixel weighs the inverse square root of its class's share of the batch.

    Between plain, which leaves out rare classes, and inverse frequency, which overstates them.

    Args:
      logits: float [B, H, W, K].
      label: int [B, H, W], ids in [0, K).
      void: id that does not count, or None.
      axis_name: axis of the devices that share the batch, or None.

    Returns:
      float32 scalar, the weighted mean; of several devices the mean over them is the whole batch's.
    """
    weights = jnp.sqrt(losses.class_weights(label, logits.shape[-1], void, axis_name))[label]
    costs = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    total, devices = weights.sum(), 1
    if axis_name is not None:
        total, devices = jax.lax.psum((total, devices), axis_name)
    return devices * (weights * costs).sum() / jnp.maximum(total, 1e-6)


def _step(state, batch, *, network, optimiser):
    """One update on each device: (variables, optimiser's state), a batch -> the same, the loss."""
    variables, opt_state = state
    photo, label = pixel_range.to_float(batch["photo"]), batch["label"]

    def cost(params):
        logits, updates = network.apply(
            {**variables, "params": params}, photo, train=True, mutable=["batch_stats"]
        )
        return loss_of(logits, label, network.void, mesh.AXIS), updates

    (loss, updates), gradient = jax.value_and_grad(cost, has_aux=True)(variables["params"])
    gradient, loss = jax.lax.pmean((gradient, loss), mesh.AXIS)
    change, opt_state = optimiser.update(gradient, opt_state, variables["params"])
    params = optax.apply_updates(variables["params"], change)
    return ({"params": params, **updates}, opt_state), {"loss": loss}


def _devices(batch_size: int) -> list:
    """The devices that share a batch: all, or on one host as many as divide it."""
    devices = jax.devices()
    if jax.process_count() == 1:
        return devices[: math.gcd(batch_size, len(devices))]
    if batch_size % len(devices):
        raise UserError(
            f"--batch_size is {batch_size}; on several hosts it must be a multiple of "
            f"their {len(devices)} devices"
        )
    return devices


def _optimiser(training: Training) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(
        0.0, training.rate, max(1, training.steps // 10), training.steps
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=training.weight_decay)
    )
