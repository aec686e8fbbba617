"""Base of the TFDS builders: a data set stores photos or label maps, never both in one record."""

import collections
import concurrent.futures
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow_datasets as tfds

from usis_jax.data.images import raw_png
from usis_jax.data.preparation import locations
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError

KINDS = ("photos", "labels")
FIELDS = {"photos": "photo", "labels": "label"}
SPEC_FILE = "label_spec.json"
SOURCE_FILE = "source.json"


@dataclasses.dataclass(eq=False, kw_only=True)
class DataConfig(tfds.core.BuilderConfig):
    """What one builder stores.

    Attributes:
      kind: "photos" or "labels".
      height: rows of the stored images.
      width: columns of the stored images.
      spec: LabelSpec; with kind "labels" its file is stored beside the records.
      files: {split: {name: file}} of the user's files; empty where a builder draws its images.
      origin: what the images were made of, as JSON values; stored beside the records so that
        preparing again can tell whether anything differs.
      allow_partial: whether a published data set may have another number of files than published;
        read where the builder itself looks for files.
    """

    name: str = ""
    kind: str = "photos"
    height: int = 0
    width: int = 0
    spec: LabelSpec | None = None
    files: dict = dataclasses.field(default_factory=dict, repr=False)
    origin: dict = dataclasses.field(default_factory=dict)
    allow_partial: bool = False

    def __post_init__(self):
        self.name = self.name or locations.config_name(self.kind, self.height, self.width)


class BadFiles(UserError):
    """Files of a data set that cannot be used; `problems` has one line for each.

    Args:
      problems: the lines.
      advice: what to do.
      limit: how many of the lines the message has.
    """

    def __init__(self, problems: list[str], advice: str = "", limit: int = 10):
        self.problems = problems
        text = "; ".join(problems[:limit])
        if len(problems) > limit:
            text += f"; and {len(problems) - limit} more"
        text = text if len(problems) == 1 else f"{len(problems)} bad files: {text}"
        super().__init__(f"{text}; {advice}" if advice else text)


class ImageBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Stores photos or label maps of one size; subclasses say which images there are.

    Args:
      data_dir: folder of the prepared data sets.
      config: DataConfig.

    After `download_and_prepare`, `problems` holds one line for each file that cannot be used. With
    `skip_bad` those are left out; else, and where `empty` names splits in which no file was good,
    the caller must throw the result away (`prepare` does).
    """

    VERSION = tfds.core.Version(locations.VERSION)

    def __init__(self, *, data_dir=None, config=None, version=None):
        self.problems: list[str] = []
        self.empty: list[str] = []
        self.skip_bad = False
        self.on_image: Callable[[], None] = lambda: None
        super().__init__(data_dir=data_dir, config=config, version=version)
        self.files = self.builder_config.files
        self.origin = self.builder_config.origin

    def images(self) -> dict[str, Iterable[tuple[str, Callable[[], np.ndarray]]]]:
        """For each split, the name of each image and a function that makes it."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        channels = 3 if config.kind == "photos" else 1
        image = tfds.features.Image(
            shape=(config.height, config.width, channels), dtype=np.uint8, encoding_format="png"
        )
        features = {FIELDS[config.kind]: image, "name": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        config = self.builder_config
        if config.kind == "labels":
            config.spec.save(self.data_path / SPEC_FILE)
        (self.data_path / SOURCE_FILE).write_text(json.dumps(self.origin, indent=1))
        return {
            split: self._generate_examples(split, items) for split, items in self.images().items()
        }

    def _generate_examples(self, split, items):
        """Yields (key, example); the key is the name, so photo and label map get one order."""
        field, good = FIELDS[self.builder_config.kind], 0
        for name, encoded, problem in _in_threads(_encode, items):
            self.on_image()
            if problem is not None:
                self.problems.append(problem)
            good += problem is None
            if problem is None or not self.skip_bad:
                yield name, {field: encoded, "name": name}
        if not good:
            self.empty.append(split)
            if self.skip_bad:  # TFDS does not store a split without examples
                yield name, {field: encoded, "name": name}


def _encode(item) -> tuple[str, bytes, str | None]:
    """Name, PNG and problem of one image; with a problem the PNG is a black pixel."""
    name, make = item
    problem = None
    try:
        array = make()
    except ValueError as error:
        array, problem = np.zeros((1, 1), np.uint8), str(error)
    return name, raw_png.encode(array), problem


def _in_threads(function, items, threads: int = 4) -> Iterator:
    """function(item) for each item, in order, a few at a time."""
    items = iter(items)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        pending = collections.deque(
            pool.submit(function, item) for item in itertools.islice(items, 4 * threads)
        )
        while pending:
            yield pending.popleft().result()
            for item in itertools.islice(items, 1):
                pending.append(pool.submit(function, item))
