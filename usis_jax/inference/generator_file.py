"""A generator in one .safetensors file: its weights, and all else that inference needs."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax import methods
from usis_jax.checkpoint import flat_trees, metadata
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs import lookup
from usis_jax.errors import UserError
from usis_jax.inference import pretrained
from usis_jax.interop import safetensors
from usis_jax.interop.pickles import BadFile
from usis_jax.storage import atomic, paths

SUFFIX = ".safetensors"
DTYPES = ("float32", "float16")
_KEY = "usis_jax"
# Of what a checkpoint says, the training state's own part is left there.
_LEFT = ("checksum", "checksums", "progress")


def is_file(workdir) -> bool:
    """Whether what stands for a work directory is a file of weights: one by its name, or None."""
    return workdir is None or pathlib.Path(workdir).suffix == SUFFIX


def write(path, variables, meta: dict, dtype: str = "float32") -> None:
    """Write a generator, whole or not at all.

    Args:
      path: file to write.
      variables: nested dict of arrays, as a checkpoint has them.
      meta: what is known of it, as `checkpoint_meta.described`; further JSON values are kept.
      dtype: "float32" or "float16" for parameters; statistics stay float32, they are few.

    Raises:
      UserError: a parameter is too large for the type; names it, and nothing is written.
    """
    flat = flat_trees.flatten(variables)
    # The larger type first, so that every array begins at a multiple of its own size.
    kept = {name: value for name, value in flat.items() if not name.startswith("params/")}
    with np.errstate(over="ignore"):
        params = {name: value.astype(dtype) for name, value in flat.items() if name not in kept}
    if name := flat_trees.first_not_finite(params):
        raise UserError(
            f"--dtype is {dtype}, which cannot hold the values of {name} (up to "
            f"{np.abs(flat[name]).max():.3g}); leave it out"
        )
    arrays = kept | params if dtype == "float16" else params | kept
    texts = {_KEY: json.dumps(described(meta))}
    atomic.write_with(path, lambda file: safetensors.write(file, arrays, texts))


def check_written(path, variables, dtype: str = "float32") -> None:
    """Reads a file of `write` back, and compares every value with what was to be written.

    Raises:
      UserError: they are not the same.
    """
    found, _ = read(path)
    found, flat = flat_trees.flatten(found), flat_trees.flatten(variables)
    for name, value in flat.items():
        kept = value.astype(dtype).astype(np.float32) if name.startswith("params/") else value
        if name not in found or not np.array_equal(found[name], kept):
            raise BadFile(
                f"{path} does not read back as it was written: {name} differs; write it "
                "on another disk"
            )


def read(path=None, best: bool = False, step: int | None = None) -> tuple[dict, dict]:
    """A generator that `write` wrote.

    Args:
      path: the file; None for the one that comes with the package.
      best: always False: a file has one generator.
      step: None, or the file's own.

    Returns:
      (variables, meta) as of `Checkpoints.restore_generator`, float32.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it is damaged, of another program, or of another step than asked for.
    """
    path = pretrained.FILE if path is None else paths.of(path, "the file of weights", paths.FILE)
    meta = _meta(safetensors.metadata(path), path)
    with path.open("rb") as file:
        arrays = safetensors.read(file, path)
    if best or step not in (None, meta["step"]):
        raise UserError(
            f"{path} holds one generator, that of step {meta['step']}; leave the step "
            "out, or give a work directory"
        )
    variables = {name: value.astype(np.float32) for name, value in arrays.items()}
    if name := flat_trees.first_not_finite(variables):
        raise BadFile(f"{path} is damaged: {name} has values that are not finite")
    return _fitted(variables, meta, path), meta


def described(meta: dict) -> dict:
    """What a checkpoint says of its generator, without places on the machine that trained."""
    run = settings_lib.from_json(meta["settings"])
    named = lookup.is_file(run.data.label_spec)
    data = dataclasses.replace(
        run.data, prepared_dir="", label_spec="" if named else run.data.label_spec
    )
    evaluation = dataclasses.replace(run.evaluation, inception="")
    evaluation = schema.Evaluation() if evaluation.evaluator else evaluation
    run = dataclasses.replace(run, data=data, evaluation=evaluation)
    kept = {name: value for name, value in meta.items() if name not in _LEFT}
    return kept | {"settings": settings_lib.to_json(run)}


def _meta(texts, path) -> dict:
    """What the file says of its generator, with the settings and label spec checked."""
    if _KEY not in texts:
        raise BadFile(
            f"{path} was not written by usis export; usis import-torch reads published weights"
        )
    try:
        meta = json.loads(texts[_KEY])
        metadata.check_version(meta, path)
        settings_lib.from_json(meta["settings"])
        metadata.restore_spec(meta)
        int(meta["step"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadFile(
            f"{path} cannot be used: what it says of its generator is damaged or of "
            f"another version ({type(error).__name__}: {error})"
        ) from None
    return meta


def _fitted(flat, meta, path) -> dict:
    """Nested variables, if they are those of the network that the settings describe."""
    run, classes = settings_lib.from_json(meta["settings"]), metadata.restore_spec(meta)
    method = methods.get(run.method.name)
    network = method.networks(run, classes.num_classes, axis_name=None).generator
    label = jnp.zeros((1, run.data.height, run.data.width), jnp.int32)
    z = jnp.zeros((1, run.generator.z_dim))
    template = jax.eval_shape(network.init, jax.random.key(0), label, z)
    try:
        return flat_trees.unflatten(template, flat, path)
    except ValueError as error:
        raise BadFile(str(error)) from None
