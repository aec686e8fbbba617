"""Streams of training batches: photos and label maps, drawn independently of each other.

Batch n is a function of (seed, n) alone. Each stream shuffles its own data set anew in each pass,
by its own seed, then crops and mirrors each image by a random number that depends on its place in
the stream; with P processes, process p reads rows p*b to (p+1)*b of each global batch.
"""

import functools
import io

import grain.python as grain
import numpy as np
from PIL import Image

from usis_jax import sections
from usis_jax.data import label_spec, prepared
from usis_jax.data.builder import FIELDS, SPEC_FILE

MEMORY_LIMIT = 2**30
# Images in a stream. Without a number, Grain's repeat overflows when batches hold one image.
_ENDLESS = 2**48


class Decoded:
    """Images of a prepared data set in memory, each decoded when it is first read.

    Args:
      source: data source whose records are dicts, with images as PNG.
      field: name of the image in a record.
      shape: (H, W, C) of each image.
    """

    def __init__(self, source, field: str, shape: tuple[int, int, int]):
        self._source = Encoded(source, field)
        self._images = np.empty((len(source), *shape), np.uint8)
        self._filled = np.zeros(len(source), bool)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index) -> np.ndarray:
        if not self._filled[index]:
            self._images[index] = self._source[index]
            self._filled[index] = True
        return self._images[index]


class Encoded:
    """Images of a prepared data set, decoded at each reading; see `Decoded`."""

    def __init__(self, source, field: str):
        self._source, self._field = source, field

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index) -> np.ndarray:
        with Image.open(io.BytesIO(self._source[index][self._field])) as image:
            array = np.asarray(image)
        return array if array.ndim == 3 else array[..., None]


class Batches:
    """Iterator over batches; its state is one integer, the number of the next batch.

    Args:
      photos: Grain dataset of photo batches.
      labels: Grain dataset of label-map batches.
      threads: reading threads of each; 0 reads when asked.
      start_step: number of the first batch.
    """

    def __init__(self, photos, labels, threads: int, start_step: int):
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
      ValueError: batch_size does not divide over the processes, or a split is empty or unknown.
    """
    if settings.batch_size % process_count:
        raise ValueError(
            f"batch_size is {settings.batch_size}; it must be a multiple of the "
            f"{process_count} processes"
        )
    local = settings.batch_size // process_count
    flip_table = spec(settings).flip_table
    streams = []
    for number, kind in enumerate(("photos", "labels")):
        seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
        transform = functools.partial(
            _crop_and_flip,
            size=(settings.data.height, settings.data.width),
            flip=settings.data.flip,
            table=flip_table if kind == "labels" else None,
        )
        source = _source(settings, kind)
        dataset = grain.MapDataset.source(source).seed(seed).shuffle()
        dataset = dataset.repeat(_ENDLESS // len(source) + 1).random_map(transform).batch(local)
        streams.append(dataset[process_index::process_count])
    return Batches(*streams, settings.data.threads, start_step)


def validation(settings, count: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Photos and label maps that belong together, for sample grids and measuring only.

    Args:
      settings: Settings; reads `data.validation`.
      count: number wanted, spread evenly over the names; 0 for all.

    Returns:
      photos uint8 [n, H, W, 3], labels int32 [n, H, W], names, sorted; n <= count. They are
      stored at H x W, also where training crops from larger ones.

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
      ValueError: no photo and label map have the same name.
    """
    name, split = sections.parse_data(settings.data.validation)
    sources = {kind: _open(settings, name, kind, split, validation=True) for kind in FIELDS}
    rows = {
        kind: {source[i]["name"].decode(): i for i in range(len(source))}
        for kind, source in sources.items()
    }
    names = sorted(rows["photos"].keys() & rows["labels"].keys())
    if not names:
        raise ValueError(
            f"data.validation={settings.data.validation} has no photo and label map of one name"
        )
    if count and count < len(names):
        names = [names[i * len(names) // count] for i in range(count)]
    own = label_spec.LabelSpec.load(_directory(settings, name, "labels", True) / SPEC_FILE)
    if own.classes != spec(settings).classes:
        raise ValueError(
            f"data.validation={settings.data.validation} has other classes than "
            f"data.labels={settings.data.labels}; choose one labelling for both"
        )
    photos, labels = (
        np.stack([Encoded(sources[k], FIELDS[k])[rows[k][n]] for n in names])
        for k in ("photos", "labels")
    )
    return photos, labels[..., 0].astype(np.int32), names


def spec(settings) -> label_spec.LabelSpec:
    """LabelSpec that was stored with the label maps of `data.labels`.

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
    """
    name, _ = sections.parse_data(settings.data.labels)
    return label_spec.LabelSpec.load(_directory(settings, name, "labels") / SPEC_FILE)


def _source(settings, kind: str):
    """Images of data.photos or data.labels, kept in memory up to MEMORY_LIMIT bytes."""
    name, split = sections.parse_data(getattr(settings.data, kind))
    source = _open(settings, name, kind, split)
    shape = (settings.data.stored_height, settings.data.stored_width, 3 if kind == "photos" else 1)
    if len(source) * np.prod(shape) <= MEMORY_LIMIT:
        return Decoded(source, FIELDS[kind], shape)
    return Encoded(source, FIELDS[kind])


def _directory(settings, name: str, kind: str, validation: bool = False):
    path = prepared.location(settings, name, kind, validation)
    if not prepared.is_prepared(path):
        raise FileNotFoundError(prepared.missing_message(settings, name, kind, validation))
    return path


def _open(settings, name: str, kind: str, split: str, validation: bool = False):
    """TFDS data source of a split, whose records hold the name and the image as PNG."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(_directory(settings, name, kind, validation))
    try:
        skip = {FIELDS[kind]: tfds.decode.SkipDecoding()}
        source = builder.as_data_source(split, decoders=skip)
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"data set {name!r} has no split {split!r} of {kind}, or it is empty; there are "
            + ", ".join(f"{key} ({info.num_examples})" for key, info in builder.info.splits.items())
        ) from error
    return source


def _crop_and_flip(image, rng, *, size, flip: bool, table) -> np.ndarray:
    """Random crop to `size` and random mirroring; `table` renames the classes of a mirrored map."""
    top = rng.integers(image.shape[0] - size[0] + 1)
    left = rng.integers(image.shape[1] - size[1] + 1)
    image = image[top : top + size[0], left : left + size[1]]
    if flip and rng.random() < 0.5:
        image = image[:, ::-1]
        if table is not None:
            image = table[image]
    return image.copy()
