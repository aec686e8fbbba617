"""What an evaluation measures: images that a run generates, and real ones beside them."""

import dataclasses
import hashlib
import sys
import weakref
from pathlib import Path

import numpy as np

from usis_jax import methods
from usis_jax.checkpoint import agreement, flat_trees, manager, randomness
from usis_jax.data.images import decode, image_files
from usis_jax.data.pipeline import input_pipeline
from usis_jax.data.preparation import folder_layout
from usis_jax.errors import UserError
from usis_jax.inference import label_folders, sampling
from usis_jax.storage import paths
from usis_jax.workdir import layout

# Samplers of generators, and their weights on the devices.
_placed = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is generated and measured.

    Args:
        photos: at most so many label maps and so many real photos; 0 for all.
        samples: images generated from each of a few label maps, for diversity; at least 2.
        diversity_maps: how many maps those are.
        seed: of the noise, and of every random choice of a measure.
    """

    photos: int = 0
    samples: int = 20
    diversity_maps: int = 5
    seed: int = 0

    def __post_init__(self):
        for name, least in (("photos", 0), ("samples", 2), ("diversity_maps", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be {least} or more")
        randomness.check_seed(self.seed, "--seed")


@dataclasses.dataclass(frozen=True)
class EvalInputs:
    """Images to measure, all uint8 [N, H, W, 3] of one size.

    Args:
        name: of the run.
        step: steps of its checkpoint.
        generator: sampling.Generator that made the images.
        labels: int32 [N, H, W], train ids.
        generated: one image of each label map.
        real: real photos of validation, [M, H, W, 3].
        paired: whether real[i] shows what labels[i] says.
        other: real photos of training, at most as many as generated images: the floor of distances;
            None where photos and label maps came from folders.
        samples: [S, R, H, W, 3], S images of each of R label maps.
        segmenter: (network, variables) of what its method calls the segmenter, or None.
        sizes: Sizes.
        folders: whether label maps or photos came from folders.
        maps_name, real_name: what the label maps and the real photos are, in protocols; those of
            folders bear their digests, since other folders make other measures.
        real_cache: results of `once`, which depend on the real photos only; EvalInputs of the same
            real photos may share one.
        discriminator: (network, variables) of its method's discriminator, or None.
    """

    name: str
    step: int
    generator: sampling.Generator
    labels: np.ndarray
    generated: np.ndarray
    real: np.ndarray
    paired: bool
    other: np.ndarray | None
    samples: np.ndarray
    segmenter: tuple | None
    sizes: Sizes
    folders: bool = False
    maps_name: str = "label maps"
    real_name: str = "validation photos"
    real_cache: dict = dataclasses.field(default_factory=dict, compare=False)
    discriminator: tuple | None = None

    def once(self, name, make):
        """Returns `make()`, of real photos only, from the first call with that name."""
        if name not in self.real_cache:
            self.real_cache[name] = make()
        return self.real_cache[name]


def collect(workdir, labels=None, photos=None, sizes=Sizes(), progress=None, step=None, best=False):
    """Generates images and loads whatever else the measures need.

    Args:
        workdir: directory of a run.
        labels: folder of label maps, or None for the run's validation data.
        photos: folder of real photos, or None for the run's validation data.
        sizes: Sizes.
        progress: called as progress(number, total) each time `number` more of `total` images are
            generated, or None.
        step, best: which checkpoint, as of `Generator.load`.
    Returns:
        EvalInputs.
    Raises:
        FileNotFoundError: no such run, checkpoint, folder or prepared data.
        UserError: a file cannot be used.
    """
    workdir = paths.of(workdir, "--workdir", paths.RUN)
    generator, segmenter, discriminator = _networks(workdir, step, best)
    real, maps, paired = _validation(generator, labels, photos, sizes.photos)
    both = labels is not None and photos is not None
    other = None if both else input_pipeline.first_photos(generator.settings, len(maps))
    generated, samples = generate_all(generator, maps, sizes, progress)
    names = {}
    if labels is not None:
        names["maps_name"] = f"label maps of a folder ({digest(maps)[:8]})"
    if photos is not None:
        names["real_name"] = f"photos of a folder ({digest(real)[:8]})"
    return EvalInputs(
        name=Path(workdir).name or str(workdir),
        step=int(generator.step),
        generator=generator,
        labels=maps,
        generated=generated,
        real=real,
        paired=paired,
        other=other,
        samples=samples,
        segmenter=segmenter,
        sizes=sizes,
        folders=labels is not None or photos is not None,
        discriminator=discriminator,
        **names,
    )


def generate_all(generator, maps, sizes, progress=None):
    """Generates the images and the samples of an EvalInputs.

    Args:
        generator: sampling.Generator.
        maps: int [N, H, W], train ids.
        sizes: Sizes.
        progress: as of `collect`.
    Returns:
        (generated uint8 [N, H, W, 3], samples uint8 [S, R, H, W, 3]).
    """
    # Maps next to each other are often of the same place.
    chosen = spread_out(len(maps), sizes.diversity_maps)
    total = len(maps) + sizes.samples * len(chosen)

    def advance(number):
        if progress:
            progress(number, total)

    (generated,) = generate(generator, maps, sizes.seed, (0,), advance)
    samples = generate(generator, maps[chosen], sizes.seed, range(1, sizes.samples + 1), advance)
    return generated, samples


def spread_out(number, wanted):
    """At most `wanted` of the numbers from 0 to `number` - 1, evenly over all of them: int [n]."""
    return np.linspace(0, number - 1, min(wanted, number)).astype(int)


def generate(generator, labels, seed=0, samples=(0,), advance=None):
    """Generates images of label maps, one for each sample, on all devices of all hosts.

    The last batch is padded; what its padding gives is thrown away, so no map counts twice.

    Args:
        generator: sampling.Generator.
        labels: int [N, H, W], train ids.
        seed: int, of the noise.
        samples: numbers of the samples, as in `Generator.__call__`.
        advance: called with the number of images each time some are generated, or None.
    Returns:
        uint8 [len(samples), N, H, W, 3]; independent of the number of devices and hosts.
    """
    if generator not in _placed:
        sampler = sampling.ShardedSampler(generator.network, generator.settings.generator)
        _placed[generator] = sampler, sampler.place(generator.variables)
    sampler, variables = _placed[generator]
    return sampler(variables, labels, seed, samples, advance)


def _networks(workdir, step, best):
    """The generator of a checkpoint; its method's segmenter and discriminator, see EvalInputs."""
    layout.load_settings(workdir)
    with manager.Checkpoints(workdir, read_only=True) as checkpoints:
        generator = sampling.Generator.of(checkpoints, best, step)
        if "imported" in checkpoints.meta(step, best):
            return generator, None, None
        flat = checkpoints.restore_arrays(step, best)
    method = methods.get(generator.settings.method.name)
    networks = method.networks(generator.settings, generator.spec.num_classes, None)
    return generator, *(
        name and (getattr(networks, name), _variables(flat, name))
        for name in (method.segmenter, method.discriminator)
    )


def _variables(flat, player):
    """A network's variables among the flat names of a checkpoint's state."""
    found = {}
    for kind in ("params", "collections"):
        start = f"{kind}/{player}/"
        inside = {k.removeprefix(start): v for k, v in flat.items() if k.startswith(start)}
        found |= (
            {"params": flat_trees.nest(inside)} if kind == "params" else flat_trees.nest(inside)
        )
    return found


def _validation(generator, labels, photos, number):
    """(real photos, label maps, paired) of folders, or of the run's validation data."""
    settings, size = (
        generator.settings,
        (generator.settings.data.height, generator.settings.data.width),
    )
    examples = (
        input_pipeline.validation(settings, number) if labels is None or photos is None else None
    )
    if examples is not None:
        agreement.check_classes(
            generator.spec,
            input_pipeline.spec(settings),
            f"the generator of step {generator.step}",
            f"data.labels={settings.data.labels}",
        )
    paired = examples is not None and labels is None and photos is None and examples.paired
    if labels is not None:
        if note := agreement.spec_beside(labels, generator.spec):
            print(f"note: {note}", file=sys.stderr)
        files = _spread(label_folders.list_labels(labels).values(), number)
        maps = np.stack([decode.load_label(f, *size, generator.spec) for f in files])
    else:
        maps = examples.labels
    if photos is not None:
        files = _spread(_photo_files(photos), number)
        real = np.stack([decode.load_photo(f, *size) for f in files])
    else:
        real = examples.photos
    return real, maps.astype(np.int32), paired


def _photo_files(folder):
    folder = paths.of(folder, "--photos", paths.FOLDER)
    if not folder.is_dir():
        raise FileNotFoundError(f"photos folder {folder} does not exist")
    folder_layout.check_one_kind(folder, "photos")
    files = image_files.by_name(folder)
    if not files:
        raise FileNotFoundError(f"photos folder {folder} has no image file")
    return list(files.values())


def _spread(files, number):
    """`number` of the files, evenly over all of them; 0 for all."""
    files = list(files)
    if not number or number >= len(files):
        return files
    return [files[i] for i in np.linspace(0, len(files) - 1, number).astype(int)]


def digest(photos):
    """Hash of photos, so that a result says which real photos it was made with."""
    array = np.ascontiguousarray(photos)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:16]
