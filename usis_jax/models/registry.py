"""Networks by configuration."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from usis_jax.config.settings import Settings
from usis_jax.models.decoder import TransposedDecoder, WaveletDecoder
from usis_jax.models.discriminator import WaveletDiscriminator
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.patch_discriminator import PatchDiscriminator
from usis_jax.models.segmenter import Segmenter
from usis_jax.models.wavelet_generator import WaveletGenerator
from usis_jax.models.whole_discriminator import WholeDiscriminator
from usis_jax.ops.kernels import Kernels, for_platform


class Networks(NamedTuple):
    """The Flax modules of one run; `decoder` is None where none is configured."""

    generator: nn.Module
    segmenter: nn.Module
    discriminator: nn.Module
    decoder: nn.Module | None


def build(
    settings: Settings,
    num_classes: int,
    axis_name: str | None = "batch",
    kernels: Kernels | None = None,
) -> Networks:
    """Modules for the settings of a run.

    Args:
      settings: the run's settings.
      num_classes: K, from the label spec.
      axis_name: devices' axis over which batch statistics are taken; None outside of a mapped step.
      kernels: what the networks compute with; None = those of JAX's default platform.

    Returns:
      Networks, without parameters.

    Source: paper §5.
    """
    dtype = jnp.dtype(settings.compute_dtype)
    kernels = kernels or for_platform(jax.default_backend())
    g, s, d = settings.generator, settings.segmenter, settings.discriminator
    generator = {"spade": SpadeGenerator, "wavelet": WaveletGenerator}[g.name](
        num_classes,
        g.width,
        g.multipliers,
        g.z_dim,
        g.spade_width,
        g.spade_kernel,
        axis_name,
        dtype,
        settings.remat,
        kernels,
    )
    shared = (
        d.channel_base,
        d.channel_max,
        settings.discriminator_levels,
        d.dense,
        d.stddev_group,
        d.stddev_grouping,
        axis_name,
        dtype,
        settings.remat,
        kernels,
    )
    discriminator = {
        "wavelet": lambda: WaveletDiscriminator(*shared),
        "whole": lambda: WholeDiscriminator(*shared),
        "patch": lambda: PatchDiscriminator(*shared, patch=d.patch),
    }[d.name]()
    width, remat = settings.decoder.width_max, settings.remat
    decoder = {
        "wavelet_upsample": lambda: WaveletDecoder(width, dtype, remat=remat, kernels=kernels),
        "wavelet_upsample_batch_norm": lambda: WaveletDecoder(
            width, dtype, True, axis_name, remat, kernels
        ),
        "transposed": lambda: TransposedDecoder(width, dtype, axis_name, remat),
        "none": lambda: None,
    }[settings.decoder.name]()
    segmenter = Segmenter(num_classes, s.down, s.up, dtype, remat, kernels)
    return Networks(generator, segmenter, discriminator, decoder)
