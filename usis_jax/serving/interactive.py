"""Generates one image at a time, with noise that may differ between regions."""

import dataclasses
import math
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.errors import UserError
from usis_jax.inference import sampling
from usis_jax.models import generation
from usis_jax.ops import pixel_range

MOST_REGIONS = 15
MOST_PIXELS = 2**21
_PRESETS = (
    ("as trained", 1.0, 1.0),
    ("larger", 1.5, 1.5),
    ("double", 2.0, 2.0),
    ("wide", 1.0, 1.5),
    ("tall", 1.5, 1.0),
)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Which noise an image is generated from.

    A region has all channels of its noise: of one noise an image the same vector at each of its
    pixels, so that its colours and light change, and of a noise at each pixel its own ones.

    Args:
        seed: decides the noise, as in `Generator.__call__`.
        seed_to: seed of the noise at the other end of an interpolation.
        mix: 0 (noise of `seed`) to 1 (noise of `seed_to`).
        regions: uint8 [H, W], 0 for the noise above, n for the noise of `region_seeds[n - 1]`; or
            None.
        region_seeds: seed of each region, at most MOST_REGIONS.
    """

    seed: int = 0
    seed_to: int = 0
    mix: float = 0.0
    regions: np.ndarray | None = None
    region_seeds: tuple[int, ...] = ()


class InteractiveSampler:
    """Generates images of a few sizes; each is compiled once, ahead or when it is first asked for.

    Args:
        generator: Generator.

    `sizes` is a dict of (height, width) by name, the size of training first.
    """

    def __init__(self, generator):
        self.generator = generator
        self.sizes = presets(generator.settings)
        # With one noise an image and no region, z is [1, Z], as `usis sample` has it, and faster.
        self.spread_always = generator.settings.generator.noise != "image"
        self._run = jax.jit(self._generate, static_argnames="spread")
        self._compiled, self._compiling = {}, set()
        self._locks = {key: threading.Lock() for key in self.programs()}

    def programs(self):
        """(height, width, spread) of every program there is to compile, most wanted first."""
        kinds = (True,) if self.spread_always else (False, True)
        return [(*size, spread) for size in self.sizes.values() for spread in kinds]

    def prepare(self, program):
        """Compiles one of `programs`, unless it is compiled."""
        with self._locks[program]:
            if program not in self._compiled:
                self._compiling.add(program)
                try:
                    self._compiled[program] = self._compile(*program)
                finally:
                    self._compiling.discard(program)
            return self._compiled[program]

    def _compile(self, height, width, spread):
        arguments = _arguments(np.zeros((height, width), np.int32), Noise(), 0)
        return self._run.lower(self.generator.folded, *arguments, spread=spread).compile()

    def program_of(self, size, noise):
        """Which of `programs` generates an image of a size (height, width) from a noise."""
        return (*size, self.spread_always or bool(noise.region_seeds))

    def wait_for(self, size, noise):
        """Waits until the program for this is compiled; returns the seconds, 0.0 if it was."""
        program = self.program_of(size, noise)
        if program in self._compiled:
            return 0.0
        start = time.perf_counter()
        self.prepare(program)
        return time.perf_counter() - start

    def states(self):
        """What there is to compile, for each size without regions of other noise and with them.

        Returns:
            list of {"size": "HxW", "regions": bool, "state": "ready", "compiling" or "not asked"}.
        """
        found = []
        for size in self.sizes.values():
            for regions in (False, True):
                program = (*size, self.spread_always or regions)
                state = "compiling" if program in self._compiling else "not asked"
                state = "ready" if program in self._compiled else state
                found.append({"size": f"{size[0]}x{size[1]}", "regions": regions, "state": state})
        return found

    def __call__(self, label, noise, sample=0):
        """Generates an image.

        From noise without regions it is sample number `sample` of `Generator.__call__` with seed
        `noise.seed`.

        Args:
            label: integers [H, W], train ids, of one of `sizes`.
            noise: Noise.
            sample: number of the sample.
        Returns:
            (image uint8 [H, W, 3], seconds it took without compiling).
        Raises:
            UserError: the size is none of `sizes`.
        """
        if label.shape not in self.sizes.values():
            raise UserError(f"label map is {label.shape}; it must be one of {self.sizes}")
        program = self.prepare(self.program_of(label.shape, noise))
        start = time.perf_counter()
        image = np.asarray(program(self.generator.folded, *_arguments(label, noise, sample)))
        return image, time.perf_counter() - start

    def _generate(self, variables, label, seeds, count, regions, weights, sample, *, spread):
        """The compiled part; see `_arguments`. Returns uint8 [H, W, 3]."""
        shape = (1, *label.shape)

        def draw(number):
            key = jax.random.fold_in(jax.random.key(seeds[number]), sample)
            return sampling.map_noise(self.generator.settings.generator, key, shape)

        z = jax.lax.cond(
            weights[1] == 0,
            lambda: draw(0),
            lambda: weights[0] * draw(0) + weights[1] * draw(1),
        )
        if spread:
            full = (*shape, z.shape[-1])

            def over(z):
                return jnp.broadcast_to(z if z.ndim == 4 else z[:, None, None], full)

            def region(number, z):
                inside = (regions == number)[None, ..., None]
                return jnp.where(inside, over(draw(number + 1)), z)

            z = jax.lax.fori_loop(1, count + 1, region, over(z))
        image = generation.generate(self.generator.network, variables, label[None], z)
        return pixel_range.to_uint8(image)[0]


def mix_weights(mix):
    """Weights of two Gaussian noises on the way from one (0) to the other (1).

    Their squares sum to 1 (spherical interpolation of independent Gaussians), so that every noise
    on the way is standard normal too; the generator has seen no other.
    """
    angle = mix * math.pi / 2
    return {0.0: (1.0, 0.0), 1.0: (0.0, 1.0)}.get(mix, (math.cos(angle), math.sin(angle)))


def presets(settings):
    """Image sizes that are offered: those of training first, all multiples of the stride.

    Returns:
        dict of (height, width) by name.
    """
    stride = settings.generator.stride
    height, width = settings.data.height, settings.data.width
    square = math.sqrt(height * width)
    wanted = [(name, height * down, width * across) for name, down, across in _PRESETS]
    sizes = {}
    for name, down, across in [*wanted, ("square", square, square)]:
        size = tuple(max(stride, round(side / stride) * stride) for side in (down, across))
        fits = size[0] * size[1] <= max(MOST_PIXELS, height * width)
        if fits and size not in sizes.values():
            sizes[name] = size
    return sizes


def _arguments(label, noise, sample):
    """Arrays of fixed shapes for `InteractiveSampler._generate`."""
    seeds = np.zeros(2 + MOST_REGIONS, np.int32)
    seeds[: 2 + len(noise.region_seeds)] = (noise.seed, noise.seed_to, *noise.region_seeds)
    regions = np.zeros(label.shape, np.uint8) if noise.regions is None else noise.regions
    return (
        np.asarray(label, np.int32),
        seeds,
        np.int32(len(noise.region_seeds)),
        np.asarray(regions, np.uint8),
        np.array(mix_weights(noise.mix), np.float32),
        np.int32(sample),
    )
