"""Generators as StableHLO, by jax.export: one file for CPU, CUDA and TPU."""

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.export import programs

PLATFORMS = ("cpu", "cuda", "tpu")


def serialised(generator, height: int, width: int, given: str) -> bytes:
    """The generator with its weights, for any number of label maps.

    Args:
      generator: Generator.
      height, width: of label maps.
      given: "noise" or "seed".

    Returns:
      What `jax.export.deserialize` reads.

    Raises:
      ValueError: the package flatbuffers is not installed.
    """
    programs.need("flatbuffers", "--format=stablehlo")
    (batch,) = jax.export.symbolic_shape("batch")
    shapes = [
        jax.ShapeDtypeStruct(
            tuple(batch if size == "batch" else size for size in value.shape),
            jnp.dtype(value.dtype),
        )
        for value in programs.inputs(generator, height, width, given)
    ]
    generate = programs.function(generator, given)

    @jax.jit
    def images(*arguments):
        return generate(generator.variables, *arguments)

    return bytes(jax.export.export(images, platforms=PLATFORMS)(*shapes).serialize())


def run(content: bytes, arguments) -> np.ndarray:
    """Images that an exported generator generates here: float32 [B, H, W, 3]."""
    return np.asarray(jax.export.deserialize(bytearray(content)).call(*arguments))
