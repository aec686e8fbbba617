"""Streams of training batches: photos and label maps, drawn independently of each other.

Batch n is a function of (seed, n) alone. Each stream shuffles its own data set anew in each pass,
by its own seed (`sampling_order`), then crops and mirrors each image by a random number that
depends on its place in the stream; with P processes, process p reads rows p*b to (p+1)*b of each
global batch.
"""

import functools
import os
from typing import NamedTuple

import grain.python as grain
import numpy as np

from usis_jax.config import schema
from usis_jax.data.datasets.base import FIELDS, SPEC_FILE
from usis_jax.data.pipeline import class_frequency, record_source, samplers
from usis_jax.data.specs import label_spec, spec_mapping
from usis_jax.errors import UserError


class Examples(NamedTuple):
    """Validation data, at the size that networks see.

    Attributes:
      photos: uint8 [n, H, W, 3].
      labels: int32 [n, H, W], train ids.
      names: names of the label maps, sorted.
      paired: whether each photo shows what its label map says; if not, they have nothing to do
        with each other.
    """

    photos: np.ndarray
    labels: np.ndarray
    names: list[str]
    paired: bool


# More would wait for one another: what is not decoding runs one at a time in Python.
_MOST_THREADS = 8


class Batches:
    """Iterator over batches; its state is one integer, the number of the next batch.

    Args:
      photos: Grain dataset of photo batches.
      labels: Grain dataset of label-map batches.
      threads: reading threads of each; 0 reads when asked, -1 is one for each core, at most 8.
      start_step: number of the first batch.
    """

    def __init__(self, photos, labels, threads: int, start_step: int):
        if threads < 0:
            threads = min(os.cpu_count() or 1, _MOST_THREADS)
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        self._photos = iter(photos.to_iter_dataset(options))
        self._labels = iter(labels.to_iter_dataset(options))
        self.set_state({"next_index": start_step})

    def __iter__(self):
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        photo, label = next(self._photos), next(self._labels)
        self._next += 1
        return {"photo": photo, "label": label[..., 0].astype(np.int32)}

    def get_state(self) -> dict[str, int]:
        """State to go on from: {"next_index": number of the next batch}."""
        return {"next_index": self._next}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on from a state of `get_state`."""
        self._next = int(state["next_index"])
        for iterator in (self._photos, self._labels):
            iterator.set_state({"next_index": self._next})


def training(
    settings, start_step: int = 0, process_index: int = 0, process_count: int = 1
) -> Batches:
    """Endless batches of unpaired photos and label maps.

    Args:
      settings: Settings; `batch_size` is that of all processes together.
      start_step: number of the first batch.
      process_index: this process.
      process_count: number of processes.

    Returns:
      Batches of {"photo": uint8 [b, H, W, 3], "label": int32 [b, H, W]}, b = batch_size /
      process_count.

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
      UserError: batch_size does not divide over the processes, or a split is empty or unknown.
    """
    if settings.batch_size % process_count:
        raise UserError(
            f"batch_size is {settings.batch_size}; it must be a multiple of the "
            f"{process_count} processes"
        )
    local = settings.batch_size // process_count
    flip_table = spec(settings).flip_table
    mirrored_names = (flip_table != np.arange(len(flip_table))).any()
    streams = []
    for kind, table in (("photos", None), ("labels", flip_table if mirrored_names else None)):
        transform = functools.partial(
            _crop_and_flip,
            size=(settings.data.height, settings.data.width),
            flip=settings.data.flip,
            table=table,
        )
        dataset = _order(settings, kind).random_map(transform).batch(local)
        streams.append(dataset[process_index::process_count])
    return Batches(*streams, settings.data.threads, start_step)


def validation(settings, count: int = 0) -> Examples:
    """Photos and label maps for sample grids and measuring only.

    They are pairs of one name if at least half of the photos or of the label maps have a partner;
    otherwise label maps and as many photos of whatever names.

    Args:
      settings: Settings; reads `data.validation`.
      count: number wanted, spread evenly over the names; 0 for all.

    Returns:
      At most `count` Examples. They are stored at H x W, also where training crops from larger
      ones.

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
      UserError: the label maps have other classes than those of data.labels.
    """
    name, split = schema.parse_data(settings.data.validation)
    folders = {kind: record_source.folder(settings, name, kind, True) for kind in FIELDS}
    sources = {kind: record_source.open_split(folders[kind], split, settings) for kind in FIELDS}
    rows = {
        kind: {source[i]["name"].decode(): i for i in range(len(source))}
        for kind, source in sources.items()
    }
    shared = rows["photos"].keys() & rows["labels"].keys()
    paired = 2 * len(shared) >= min(map(len, rows.values()))
    names = {kind: sorted(shared if paired else rows[kind]) for kind in rows}
    number = min(map(len, names.values()))
    number = min(count, number) if count else number
    names = {
        kind: [every[i * len(every) // number] for i in range(number)]
        for kind, every in names.items()
    }
    own = label_spec.LabelSpec.load(folders["labels"] / SPEC_FILE)
    spec_mapping.check_same(
        spec(settings),
        own,
        f"data.labels={settings.data.labels}",
        f"data.validation={settings.data.validation}",
    )
    photos, labels = (
        np.stack([record_source.Encoded(sources[k], FIELDS[k])[rows[k][n]] for n in names[k]])
        for k in ("photos", "labels")
    )
    return Examples(photos, labels[..., 0].astype(np.int32), names["labels"], paired)


def spec(settings) -> label_spec.LabelSpec:
    """LabelSpec that was stored with the label maps of `data.labels`.

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
    """
    name, _ = schema.parse_data(settings.data.labels)
    return label_spec.LabelSpec.load(record_source.folder(settings, name, "labels") / SPEC_FILE)


def number_of_photos(settings) -> int:
    """Photos of all sources of `data.photos` together.

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
    """
    sources = [source[:2] for source in schema.parse_sources(settings.data.photos)]
    return sum(map(len, record_source.read(settings, "photos", sources)))


def counts(settings) -> dict[str, dict[str, int]]:
    """Images of each source that training reads and measures on.

    Those of training decide the order of its batches, those of validation which checkpoint is best.

    Args:
      settings: Settings.

    Returns:
      Such as {"photos": {"own:train": 12}, "labels": {"own:train": 12}, "validation":
      {"own:validation": 4}}.

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
      UserError: a split is empty or unknown.
    """
    data = settings.data
    sources = {
        "photos": [source[:2] for source in schema.parse_sources(data.photos)],
        "labels": [schema.parse_data(data.labels)],
    }
    found = {
        kind: {
            f"{name}:{split}": len(images)
            for (name, split), images in zip(
                pairs, record_source.encoded(settings, kind, pairs), strict=True
            )
        }
        for kind, pairs in sources.items()
    }
    name, split = schema.parse_data(data.validation)
    photos = record_source.open_split(record_source.folder(settings, name, "photos", True), split)
    return found | {"validation": {data.validation: len(photos)}}


def first_photos(settings, number: int) -> np.ndarray:
    """The first photos of a pass over the training photos, as networks see them.

    Args:
      settings: Settings.
      number: how many; fewer where there are fewer.

    Returns:
      uint8 [n, H, W, 3].

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
    """
    number = min(number, number_of_photos(settings))
    batches, found = training(settings), []
    while sum(map(len, found)) < number:
        found.append(next(batches)["photo"])
    return np.concatenate(found)[:number]


def _order(settings, kind: str) -> grain.MapDataset:
    """Endless images of data.photos or data.labels, as they are stored."""
    number = ("photos", "labels").index(kind)
    seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
    if kind == "photos":
        sources = schema.parse_sources(settings.data.photos)
        images = record_source.read(settings, kind, [source[:2] for source in sources])
        return samplers.mixture(images, [weight for _, _, weight in sources], seed)
    name, split = schema.parse_data(settings.data.labels)
    (images,) = record_source.read(settings, kind, [(name, split)])
    balance = settings.data.class_balance
    if not balance:
        return samplers.passes(images, seed)
    pixels = class_frequency.of_split(record_source.folder(settings, name, kind), split)
    return samplers.balanced(images, pixels, spec(settings).void, balance, seed)


def _crop_and_flip(image, rng, *, size, flip: bool, table) -> np.ndarray:
    """Random crop to `size` and random mirroring; `table` renames the classes of a mirrored map."""
    top = rng.integers(image.shape[0] - size[0] + 1)
    left = rng.integers(image.shape[1] - size[1] + 1)
    image = image[top : top + size[0], left : left + size[1]]
    if not flip or rng.random() >= 0.5:
        return image.copy()
    mirrored = np.empty(image.shape, np.uint8)
    # A channel at a time takes a quarter of the time.
    for channel in range(image.shape[2]):
        mirrored[..., channel] = image[:, ::-1, channel]
    return mirrored if table is None else table[mirrored]
