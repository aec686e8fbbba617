"""The settings that are timed, and their sizes in plain numbers for the PyTorch twin."""

import dataclasses
import importlib
import pathlib

import numpy as np

from usis_jax.config import settings as settings_lib
from usis_jax.config.settings import Settings
from usis_jax.data.scenes import render
from usis_jax.data.specs import builtin_specs
from usis_jax.models.discriminator import WaveletDiscriminator

NAMES = ("small", "quickstart", "full")


def load(name: str, batch: int = 0, decoder: str = "") -> tuple[Settings, dict]:
    """A setting by name.

    Args:
      name: "small" (64x128, batch 4, generator width 16, published segmenter and discriminator
        widths, K = 35), "quickstart" (its preset) or "full" (Cityscapes, 256x512).
      batch: batch size; 0 = the setting's own.
      decoder: name of the decoder; "" = the setting's own.

    Returns:
      (settings with the paper's "alternating" update, plan); see `plan`.
    """
    config = importlib.import_module(
        "configs." + {"quickstart": "quickstart"}.get(name, "cityscapes")
    ).get_config()
    config.update = "alternating"
    if name == "small":
        config.data.height, config.data.width, config.batch_size = 64, 128, 4
        config.generator.width = 16
    if decoder:
        config.decoder.name = decoder
    if batch:
        config.batch_size = batch
    spec = builtin_specs.SPECS["scenes" if name == "quickstart" else "cityscapes"]
    settings = settings_lib.load(config)
    return settings, plan(settings, spec.num_classes, spec.void)


def plan(settings: Settings, classes: int, void: int | None) -> dict:
    """What the PyTorch twin needs to know, as JSON holds it.

    Args:
      settings: a run's.
      classes: K.
      void: id of unlabelled pixels, or None.

    Returns:
      dict of sizes, weights and rates; see benchmarks.pytorch_baseline.procedures.

    Raises:
      ValueError: the twin has no such network.
    """
    g, d, decoder = settings.generator, settings.discriminator, settings.decoder
    own = (g.name, d.name, decoder.name, d.augment)
    if own[:2] != ("spade", "wavelet") or own[2] not in ("wavelet_upsample", "none") or own[3]:
        raise ValueError(
            f"the PyTorch twin has spade, wavelet and wavelet_upsample without augmentation, not "
            f"generator.name={own[0]}, discriminator.name={own[1]}, decoder.name={own[2]}, "
            f"discriminator.augment={own[3]!r}"
        )
    height, width = settings.data.height, settings.data.width
    levels = settings.discriminator_levels
    widths = WaveletDiscriminator(d.channel_base, d.channel_max, levels).widths(height, width)
    rates = settings.optimizer
    return {
        "classes": classes, "void": void, "height": height, "width": width,
        "batch": settings.batch_size,
        "generator": {"width": g.width, "multipliers": list(g.multipliers), "z_dim": g.z_dim,
                      "hidden": g.spade_width, "kernel_size": g.spade_kernel, "noise": g.noise},
        "segmenter": {key: list(value) for key, value
                      in dataclasses.asdict(settings.segmenter).items()},
        "discriminator": {"widths": widths, "dense": d.dense, "group": d.stddev_group,
                          "grid": [height >> levels + 1, width >> levels + 1]},
        "decoder": None if decoder.name == "none" else {"width_max": decoder.width_max,
                                                        "weight": decoder.weight},
        "loss": dataclasses.asdict(settings.loss),
        "rates": {"generator": rates.generator_rate, "segmenter": rates.segmenter_rate,
                  "discriminator": rates.discriminator_rate},
        "betas": [rates.beta1, rates.beta2],
        "r1_interval": settings.r1_interval, "r1_gamma": settings.r1_gamma,
        "ema_decay": settings.ema_decay,
    }  # fmt: skip


def write_labels(plan: dict, count: int, path: pathlib.Path) -> str:
    """Label maps that all contenders get: views of drawn street scenes, whose ids are below K.

    Random blocks would have far more borders between classes than pictures have.

    Args:
      plan: see `plan`.
      count: number of maps.
      path: .npy file to write, int32 [count, H, W].

    Returns:
      The path as text.
    """
    maps = [render.draw_label(number, plan["height"], plan["width"]) for number in range(count)]
    np.save(path, np.minimum(np.stack(maps).astype(np.int32), plan["classes"] - 1))
    return str(path)
