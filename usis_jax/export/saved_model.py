"""Generators as TensorFlow SavedModels, by jax2tf: TensorFlow runs them without JAX."""

import jax
import numpy as np

from usis_jax.errors import UserError
from usis_jax.export import programs
from usis_jax.export.stablehlo import PLATFORMS


def write(folder, generator, height: int, width: int, given: str) -> None:
    """Write a SavedModel with two signatures, "noise" and "seed".

    Args:
      folder: new folder.
      generator: Generator.
      height, width: of label maps.
      given: which of the two is "serving_default" as well.

    Raises:
      UserError: TensorFlow is not installed.
    """
    programs.need("tensorflow", "--format=saved_model")
    import tensorflow as tf
    from jax.experimental import jax2tf

    module = tf.Module()
    module.variables_ = tf.nest.map_structure(
        lambda leaf: tf.Variable(leaf, trainable=False), generator.variables
    )

    def signature(kind):
        values = programs.inputs(generator, height, width, kind)
        shapes = [None, *(str(tuple(value.shape)) for value in values)]
        convert = jax2tf.convert(
            programs.function(generator, kind),
            with_gradient=False,
            polymorphic_shapes=[shape and shape.replace("'", "") for shape in shapes],
            native_serialization_platforms=PLATFORMS,
        )
        specs = [
            tf.TensorSpec(
                [None if size == "batch" else size for size in value.shape],
                value.dtype,
                name=value.name,
            )
            for value in values
        ]
        return tf.function(
            lambda *arguments: {"photo": convert(module.variables_, *arguments)},
            input_signature=specs,
            autograph=False,
        )

    module.noise, module.seed = signature("noise"), signature("seed")
    chosen = {"noise": module.noise, "seed": module.seed}
    tf.saved_model.save(module, str(folder), signatures=chosen | {"serving_default": chosen[given]})


def run(folder, values, arguments) -> np.ndarray:
    """Images that a SavedModel generates here: float32 [B, H, W, 3].

    Raises:
      UserError: TensorFlow is too old for programs of this JAX.
    """
    import tensorflow as tf

    named = {
        value.name: tf.constant(argument) for value, argument in zip(values, arguments, strict=True)
    }
    try:
        generated = tf.saved_model.load(str(folder)).signatures["serving_default"](**named)
    except tf.errors.InvalidArgumentError as error:
        if "Cannot deserialize computation" not in str(error):
            raise
        raise UserError(
            f"--format=saved_model: TensorFlow {tf.__version__} cannot read programs of JAX "
            f"{jax.__version__}; nothing was written. Install a newer TensorFlow or an older JAX "
            "(2.21 reads those of 0.10), or take --format=stablehlo"
        ) from error
    return generated["photo"].numpy()
