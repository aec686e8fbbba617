"""Images of prepared data sets, read at random."""

import pathlib

import numpy as np

from usis_jax.data.datasets.base import FIELDS
from usis_jax.data.images import raw_png
from usis_jax.data.preparation import advice, locations, prepared_sets
from usis_jax.errors import UserError

# Bytes of decoded images that a stream keeps in memory.
MEMORY_LIMIT = 2**30


class Records:
    """Records of a prepared data set, each read when it is asked for.

    Args:
      source: TFDS data source.
      path: folder of the data set, for messages.
    """

    def __init__(self, source, path):
        self._source, self._path = source, path

    @property
    def path(self) -> pathlib.Path:
        """Folder of the data set."""
        return self._path

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index) -> dict:
        """Record; ValueError where its file is gone or damaged."""
        if not 0 <= index < len(self._source):
            raise IndexError(f"record {index} of {len(self._source)}")
        try:
            record = self._source[index]
            if record is None:
                raise EOFError("it is cut short")
            return record
        except Exception as error:  # ArrayRecord's reader raises RuntimeError and others
            raise UserError(
                f"{self._path}: record {index} cannot be read ({type(error).__name__}: {error}); "
                f"run: {advice.again(self._path)}"
            ) from error


class Encoded:
    """Images of a prepared data set, decoded at each reading.

    Args:
      source: data source whose records are dicts, with images as PNG.
      field: name of the image in a record.
    """

    def __init__(self, source, field: str):
        self._source, self._field = source, field

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index) -> np.ndarray:
        try:
            content = self._source[index][self._field]
            if content is None:  # what some files that were cut short read as
                raise OSError("it is empty")
            return raw_png.decode(content)
        except OSError as error:
            raise UserError(
                f"record {index} of a prepared data set is no image ({error}); {self._advice()}"
            ) from error

    def _advice(self) -> str:
        path = getattr(self._source, "path", None)
        return f"run: {advice.again(path)}" if path else "prepare the data set again"


class Decoded:
    """Images of `Encoded` in memory, each decoded when it is first read.

    Args:
      images: Encoded.
      shape: (H, W, C) of each image.
    """

    def __init__(self, images: Encoded, shape: tuple[int, int, int]):
        self._encoded = images
        self._images = np.empty((len(images), *shape), np.uint8)
        self._filled = np.zeros(len(images), bool)

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index) -> np.ndarray:
        if not self._filled[index]:
            self._images[index] = self._encoded[index]
            self._filled[index] = True
        return self._images[index]


class Joined:
    """Sequences of images one after the other.

    Args:
      parts: sequences of images of one shape.
    """

    def __init__(self, parts: list):
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index) -> np.ndarray:
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._parts[number][index - (self._ends[number - 1] if number else 0)]


def read(settings, kind: str, sources: list[tuple[str, str]]) -> list:
    """Images that training reads, kept in memory where all of them need MEMORY_LIMIT or less.

    Args:
      settings: Settings.
      kind: "photos" or "labels".
      sources: (name, split) of each data set.

    Returns:
      A sequence of uint8 [H, W, C] for each source, H and W as stored for training.

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
      UserError: a split is empty or unknown.
    """
    found = encoded(settings, kind, sources)
    shape = (*locations.size(settings), 3 if kind == "photos" else 1)
    if sum(map(len, found)) * np.prod(shape) > MEMORY_LIMIT:
        return found
    return [Decoded(images, shape) for images in found]


def encoded(settings, kind: str, sources: list[tuple[str, str]]) -> list[Encoded]:
    """Images of each source, decoded at each reading; arguments and errors as of `read`."""
    return [
        Encoded(open_split(folder(settings, name, kind), split, settings), FIELDS[kind])
        for name, split in sources
    ]


def folder(settings, name: str, kind: str, validation: bool = False) -> pathlib.Path:
    """Folder of a prepared data set; see `prepared.location`.

    Raises:
      FileNotFoundError: it is not prepared; says what to run.
    """
    path = locations.location(settings, name, kind, validation)
    if not locations.is_prepared(path):
        raise FileNotFoundError(prepared_sets.missing_message(settings, name, kind, validation))
    return path


def open_split(path: pathlib.Path, split: str, settings=None, fields=()):
    """Records that hold the name and the image as PNG.

    Args:
      path: folder of a prepared data set, from `folder`.
      split: such as "train[:50%]".
      settings: Settings that name it, for the command in errors; or None.
      fields: fields to change in that command, as of `suggestions.prepare`.

    Raises:
      UserError: the split is empty or unknown; says which there are.
    """
    import tensorflow_datasets as tfds

    builder = prepared_sets.builder(path)
    kind = next(kind for kind, field in FIELDS.items() if field in builder.info.features)
    try:
        skip = {FIELDS[kind]: tfds.decode.SkipDecoding()}
        return Records(builder.as_data_source(split, decoders=skip), path)
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(
            f"data set {builder.name!r} has no split {split!r} of {kind}, or it is empty; there "
            "are "
            + ", ".join(f"{key} ({info.num_examples})" for key, info in builder.info.splits.items())
            + (
                f"; run: {advice.command(settings, builder.name, fields=fields)}"
                if settings
                else ""
            )
        ) from error
