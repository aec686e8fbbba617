"""Generates images from label maps with a trained generator."""

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax import methods
from usis_jax.checkpoint import manager, metadata, randomness
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.data.images import decode
from usis_jax.distributed import keys as keys_lib
from usis_jax.distributed import sharded_map
from usis_jax.errors import UserError
from usis_jax.inference import generator_file
from usis_jax.inference import photo_array as photos_lib
from usis_jax.layers import spectral
from usis_jax.models import generation
from usis_jax.ops import pixel_range
from usis_jax.storage import paths
from usis_jax.workdir import layout


class Generator:
    """A generator with its weights, ready to generate images.

    Args:
        network: Flax module, apply(variables, label, z, train=False).
        variables: its parameters and statistics.
        settings: Settings it was trained with.
        spec: LabelSpec of the label maps it understands.
        step: steps it was trained for.

    `sampler` is its compiled function, of `make_sampler`; call it with `folded`.
    """

    def __init__(self, network, variables, settings, spec, step=0):
        self.network, self.settings, self.spec, self.step = network, settings, spec, step
        self.variables = jax.tree.map(jnp.asarray, variables)
        self.sampler = make_sampler(network, settings.generator)
        self._folded, self._folded_from = None, []

    @classmethod
    def load(cls, workdir=None, best=False, step=None):
        """Loads the EMA generator of a run; nothing else of the checkpoint is read.

        Args:
            workdir: directory of the run; or a .safetensors file that `usis export` wrote; or None
                for the small generator of street scenes that comes with the package.
            best: take the checkpoint that `evaluation.best` chose, not the latest.
            step: number of a checkpoint, or None.
        Returns:
            Generator.
        Raises:
            FileNotFoundError: there is no such checkpoint.
            UserError: a file is none of `usis export`, or has another step.
        """
        return cls.of_meta(*read(workdir, best, step))

    @classmethod
    def of(cls, checkpoints, best=False, step=None):
        """Loads the EMA generator from open Checkpoints; otherwise as `load`."""
        return cls.of_meta(*checkpoints.restore_generator(step, best))

    @classmethod
    def of_meta(cls, variables, meta):
        """Generator of its variables and of what a checkpoint says about itself.

        Raises:
            UserError: this process draws other numbers from a seed than the one that made it.
        """
        randomness.check(meta, f"the generator of step {meta['step']}")
        settings = settings_lib.from_json(meta["settings"])
        spec = metadata.restore_spec(meta)
        method = methods.get(settings.method.name)
        network = method.networks(settings, spec.num_classes, axis_name=None).generator
        return cls(network, variables, settings, spec, meta["step"])

    def __call__(self, label, seed=0, num_samples=1, first=0):
        """Generates images.

        The noise of sample n of map b depends on (seed, n, first + b) only.

        Args:
            label: int [B, H, W] or [H, W], train ids in [0, K); H and W multiples of the stride.
            seed: int, 0 to randomness.MOST_SEED.
            num_samples: images generated from each map.
            first: number of the first map, when maps come in several batches.
        Returns:
            Photos, uint8 [N, B, H, W, 3]: an array that notebooks show as a picture.
        Raises:
            UserError: size, ids or shape do not fit.
        """
        label, seed = self._checked(label), randomness.check_seed(seed)
        if num_samples < 1:
            raise UserError(f"num_samples is {num_samples}; it must be at least 1")
        samples = range(num_samples)
        generated = [self.sampler(self.folded, label, seed, n, first) for n in samples]
        return np.stack(generated).view(photos_lib.Photos)

    @property
    def folded(self):
        """`variables` with the spectral norms in the kernels (`spectral.fold`), for inference only.

        Made at the first use, and anew once `variables` has another array.
        """
        leaves = jax.tree.leaves(self.variables)
        # An array of NumPy may have changed without being another one.
        same = len(leaves) == len(self._folded_from) and all(
            new is old and isinstance(new, jax.Array)
            for new, old in zip(leaves, self._folded_from, strict=True)
        )
        if not same:
            # In NumPy, which compiles nothing.
            folded = spectral.fold(jax.tree.map(np.asarray, self.variables))
            self._folded = jax.tree.map(jnp.asarray, folded)
            self._folded_from = leaves
        return self._folded

    def __repr__(self):
        data, number = self.settings.data, sum(map(np.size, jax.tree.leaves(self.variables)))
        return (
            f"Generator({self.spec.name}: {self.spec.num_classes} classes, "
            f"{data.height}x{data.width}, step {self.step}, {number / 1e6:.1f} M numbers)"
        )

    def read(self, path, height=None, width=None):
        """Reads a label map's file as `usis sample` does.

        Args:
            path: PNG or the like with the ids or colours of the label spec.
            height, width: size, by default that of training.
        Returns:
            int32 [H, W], train ids.
        Raises:
            UserError: it does not decode, or has an id outside the spec; names file and id.
        """
        data = self.settings.data
        size = (height or data.height, width or data.width)
        path = paths.of(path, "path", paths.FILE)
        return decode.load_label(path, *size, self.spec).astype(np.int32)

    def _checked(self, label):
        label = np.asarray(label)
        if label.ndim == 2:
            label = label[None]
        if label.ndim != 3 or label.dtype.kind not in "iu" or not label.size:
            raise UserError(
                f"label must be integers [B, H, W] or [H, W], got {label.dtype} {label.shape}"
            )
        stride = self.settings.generator.stride
        for name, size in zip(("height", "width"), label.shape[1:], strict=True):
            if size % stride:
                raise UserError(
                    f"label {name} is {size}; it must be a multiple of the generator's "
                    f"stride {stride}"
                )
        if label.min() < 0 or label.max() >= self.spec.num_classes:
            raise UserError(
                f"label has ids from {label.min()} to {label.max()}; this generator knows "
                f"0 to {self.spec.num_classes - 1}"
            )
        return label.astype(np.int32)


def read(workdir, best=False, step=None):
    """Reads a generator and what is known of it; arguments and errors as of `Generator.load`.

    Returns:
        (variables, meta): nested dicts of arrays, and the dict of `checkpoint_meta`.
    """
    if workdir is not None:
        workdir = paths.of(workdir, "--workdir", paths.RUN)
    if generator_file.is_file(workdir):
        return generator_file.read(workdir, best, step)
    layout.load_settings(workdir)
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.restore_generator(step, best)


def make_sampler(network, options: schema.Generator):
    """Makes the compiled function that generates a batch of images.

    Args:
        network: generator module.
        options: the run's generator section, which says what noise it takes.
    Returns:
        generate(variables, label int32 [B, H, W], seed, sample, first=0) -> uint8 [B, H, W, 3];
        compiled once for each shape, on CPUs once for each image size.
    """

    @jax.jit
    def run(variables, label, key, first):
        z = map_noise(options, key, label.shape, first)
        return pixel_range.to_uint8(generation.generate(network, variables, label, z))

    def generate(variables, label, seed, sample, first=0):
        key = jax.random.fold_in(jax.random.key(seed), sample)
        # On CPUs each of several images at once costs more than one alone, and memory besides.
        each = 1 if jax.default_backend() == "cpu" else len(label)
        parts = [np.asarray(run(variables, label[i : i + each], key, first + i))
                 for i in range(0, len(label), each)]  # fmt: skip
        return np.concatenate(parts)

    return generate


class ShardedSampler:
    """Generates from any number of label maps, spread over all devices of all hosts.

    Args:
        network: generator module.
        options: the run's generator section, which says what noise it takes.
        size: most label maps a device at once.
        devices: of this host; default all.
    """

    def __init__(self, network, options: schema.Generator, size=8, devices=None):
        def generate(given, label, sample, number):
            keys = keys_lib.of_numbers(jax.random.wrap_key_data(given["key"]), sample)
            keys = jax.vmap(jax.random.fold_in)(keys, number)
            z = generation.draw_noise(options, keys, *label.shape[1:])
            image = generation.generate(network, given["variables"], label, z)
            return pixel_range.to_uint8(image)

        self._spread = sharded_map.Spread(generate, size, devices)

    def place(self, variables):
        """Copies a generator's variables to the devices, so that several calls do it once."""
        return self._spread.place(variables)

    def __call__(self, variables, labels, seed=0, samples=(0,), advance=None):
        """Generates images from label maps, one for each sample.

        Args:
            variables: the generator's.
            labels: int [N, H, W], train ids, the same on all hosts.
            seed: int, at least 0.
            samples: numbers of the samples; noise is as in `Generator.__call__`.
            advance: called with the number of images each time some are generated, or None.
        Returns:
            uint8 [len(samples), N, H, W, 3], the same on all hosts whatever the number of devices.
        """
        given = {"variables": variables, "key": jax.random.key_data(jax.random.key(seed))}
        number, times = len(labels), len(samples)
        rows = (
            np.tile(labels.astype(np.int32), (times, 1, 1)),
            np.repeat(np.asarray(samples, np.int32), number),
            np.tile(np.arange(number, dtype=np.int32), times),
        )
        generated = self._spread(given, *rows, advance=advance)
        return generated.reshape(times, *labels.shape, 3)


def map_noise(options: schema.Generator, key, shape, first=0):
    """Draws noise so that a map's noise does not depend on how many maps the batch has.

    Args:
        options: the run's generator section, which says what noise it takes.
        key: random key.
        shape: (B, H, W).
        first: number of the batch's first map.
    Returns:
        float32 [B, Z] or [B, H, W, Z], standard normal.
    """
    keys = keys_lib.of_numbers(key, first + jnp.arange(shape[0]))
    return generation.draw_noise(options, keys, *shape[1:])
