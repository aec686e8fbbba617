"""What an exported generator computes: functions of label maps, and of noise or a seed."""

import dataclasses
import importlib.util
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax import methods
from usis_jax.config import suggestions
from usis_jax.errors import UserError
from usis_jax.inference import sampling
from usis_jax.models import generation
from usis_jax.ops.kernels import PUBLISHED, Kernels

GIVEN = ("noise", "seed")


class Value(NamedTuple):
    """An input or output: name, dtype, and sizes with "batch" for the number of label maps."""

    name: str
    dtype: str
    shape: tuple


def network(generator, kernels: Kernels | None = PUBLISHED):
    """The generator's module in float32, with kernels that serve every platform.

    Args:
      generator: Generator.
      kernels: others; None = those of JAX's default platform.

    Returns:
      Flax module; with the generator's variables it generates the same images.
    """
    plain = dataclasses.replace(generator.settings, remat="none", compute_dtype="float32")
    return (
        methods.get(plain.method.name)
        .networks(plain, generator.spec.num_classes, axis_name=None, kernels=kernels)
        .generator
    )


def inputs(generator, height: int, width: int, given: str) -> tuple[Value, ...]:
    """Inputs of an exported function.

    Args:
      generator: Generator.
      height, width: of label maps.
      given: "noise", or "seed" to draw it inside.

    Returns:
      Values: label, and noise or seed and sample.
    """
    own = generator.settings.generator
    label = Value("label", "int32", ("batch", height, width))
    if given == "seed":
        return label, Value("seed", "int32", ()), Value("sample", "int32", ())
    size = () if own.noise == "image" else (height, width)
    return label, Value("noise", "float32", ("batch", *size, own.z_dim))


def output(height: int, width: int) -> Value:
    """The output: images in [-1, 1]."""
    return Value("photo", "float32", ("batch", height, width, 3))


def function(generator, given: str):
    """The exported function itself.

    Args:
      generator: Generator.
      given: "noise" or "seed".

    Returns:
      generate(variables, label, noise), or generate(variables, label, seed, sample), which draws
      the noise of `Generator.__call__` for maps numbered from 0: float32 [B, H, W, 3] in [-1, 1].
    """
    module = network(generator)

    def of_noise(variables, label, noise):
        return generation.generate(module, variables, label, noise)

    def of_seed(variables, label, seed, sample):
        key = jax.random.fold_in(jax.random.key(seed), sample)
        options = generator.settings.generator
        return of_noise(variables, label, sampling.map_noise(options, key, label.shape))

    return of_seed if given == "seed" else of_noise


def trial(generator, height: int, width: int, given: str, maps: int = 2):
    """Arguments to try an export with, and the images that the generator makes of them.

    Args:
      generator: Generator.
      height, width: of label maps.
      given: "noise" or "seed".
      maps: number of label maps.

    Returns:
      (arrays in the order of `inputs`, float32 [maps, H, W, 3] by this package's own paths).
    """
    random = np.random.default_rng(0)
    rows = random.integers(0, generator.spec.num_classes, (maps, 4, 4), dtype=np.int32)
    label = rows[:, np.arange(height) * 4 // height][:, :, np.arange(width) * 4 // width]
    key = jax.random.fold_in(jax.random.key(3), 1)
    noise = np.asarray(sampling.map_noise(generator.settings.generator, key, label.shape))
    ours = network(generator, kernels=None)
    generate = jax.jit(lambda *arguments: generation.generate(ours, *arguments))
    images = np.asarray(generate(generator.variables, jnp.asarray(label), noise))
    more = (noise,) if given == "noise" else (np.int32(3), np.int32(1))
    return (label, *more), images


def need(module: str, what: str, extra: str = "export") -> None:
    """Raises UserError with the command that installs what is missing."""
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"{what} needs the package {module}, which is not installed: "
            f"{suggestions.install(extra)}"
        )
