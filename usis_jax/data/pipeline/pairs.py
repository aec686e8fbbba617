"""Photos with their own label maps, for evaluators. The networks in training never see these."""

import re

import grain.python as grain
import numpy as np
from PIL import Image

from usis_jax.config import schema
from usis_jax.data.datasets.base import FIELDS, SPEC_FILE
from usis_jax.data.pipeline import record_source, samplers
from usis_jax.data.preparation import advice as advice_lib
from usis_jax.data.preparation import locations, prepared_sets
from usis_jax.data.specs import label_spec, spec_mapping
from usis_jax.errors import UserError

_THREADS = 2
_WHOLE = (0.0, 0.0, 1.0, 1.0)
# Of two random crops one is the whole image; the other shows at least this share of each side.
_LEAST_CROP = 0.7
# Brightness, contrast and saturation are multiplied by 1 - this to 1 + this.
_JITTER = 0.2


class Pairs:
    """Sequence of the pairs of one split: {"photo": uint8 [h, w, 3], "label": uint8 [h, w]}.

    Args:
      settings: Settings; its section `data` says where prepared data lie and at what size.
      source: data set and split, such as "camvid:train".

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
      UserError: no such split, or its photos and label maps do not belong together.
    """

    def __init__(self, settings, source: str):
        self.source = source
        name, self._split = schema.parse_data(source)
        self._name = name
        fields = [(f"data.{kind}", source) for kind in FIELDS]
        folders = {kind: _folder(settings, name, kind, self._split) for kind in FIELDS}
        sources = {
            kind: record_source.open_split(folders[kind], self._split, settings, fields)
            for kind in FIELDS
        }
        rows = {
            kind: {every[i]["name"].decode(): i for i in range(len(every))}
            for kind, every in sources.items()
        }
        photos, labels = rows["photos"], rows["labels"]
        self.names = sorted(photos.keys() & labels.keys())
        if 2 * len(self.names) < min(len(photos), len(labels)):
            raise UserError(
                f"{source} holds no pairs: {len(photos)} photos and {len(labels)} label maps, of "
                f"which {len(self.names)} have one name; give a split whose photos and label maps "
                "belong together"
            )
        self.spec = label_spec.LabelSpec.load(folders["labels"] / SPEC_FILE)
        self._rows = [(photos[each], labels[each]) for each in self.names]
        self._images = [record_source.Encoded(sources[k], FIELDS[k]) for k in ("photos", "labels")]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index) -> dict[str, np.ndarray]:
        photo, label = self._rows[index]
        return {"photo": self._images[0][photo], "label": self._images[1][label][..., 0]}

    def check_apart(self, other: "Pairs") -> None:
        """Checks that an evaluator can be trained on one sequence and measured on the other.

        Raises:
          UserError: they share pairs, or their label maps have other classes.
        """
        shared = set(self.names) & set(other.names)
        own, others = _bases(self._split), _bases(other._split)
        one_split = own & others or "all" in own | others
        if self._name == other._name and one_split and shared:
            raise UserError(
                f"{self.source} and {other.source} share {len(shared)} pairs; an evaluator must be "
                "measured on other pairs than it was trained on"
            )
        spec_mapping.check_same(self.spec, other.spec, self.source, other.source)


def default_source(settings) -> str:
    """Default split to train an evaluator on: train or test of the validation's data set.

    Args:
      settings: Settings; reads `data.validation`.

    Returns:
      Such as "camvid:train"; "scenes:test" for scenes, whose training split has no pairs.

    Raises:
      FileNotFoundError: the data set is not prepared; says what to run.
      UserError: neither split has pairs.
    """
    name, measured = schema.parse_data(settings.data.validation)
    for split in ("train", "test"):
        kinds = [_folder(settings, name, kind, split) for kind in FIELDS]
        if split in _bases(measured) or any(split not in prepared_sets.splits(k) for k in kinds):
            continue
        try:
            return Pairs(settings, f"{name}:{split}").source
        except ValueError:
            continue
    advice = "give --pairs=NAME:SPLIT"
    if name == "scenes" and "test" not in _bases(measured):
        fields = [(f"data.{kind}", "scenes:test") for kind in FIELDS]
        advice = f"run: {advice_lib.command(settings, name, fields=fields)}"
    raise UserError(
        f"data set {name!r} has no pairs of photos and label maps besides "
        f"{settings.data.validation}; {advice}"
    )


def training(
    pairs,
    batch_size: int,
    size: tuple[int, int],
    flip: bool,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
):
    """Endless batches of pairs: shuffled, cropped, mirrored, with changed colours.

    Args:
      pairs: Pairs.
      batch_size: pairs a batch of all processes together, a multiple of their number.
      size: (H, W) of the batches.
      flip: whether half of the pairs are mirrored.
      seed: decides everything; batch n is a function of (seed, n).
      process_index: this process.
      process_count: number of processes.

    Returns:
      Iterator of {"photo": uint8 [b, H, W, 3], "label": int32 [b, H, W]}, b = batch_size /
      process_count.
    """
    table = pairs.spec.flip_table

    def transform(pair, rng):
        return _augmented(pair, rng, size, flip, table)

    order = samplers.passes(pairs, seed).random_map(transform)
    order = order.batch(batch_size // process_count)[process_index::process_count]
    options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=4 * _THREADS)
    return iter(order.to_iter_dataset(options))


def in_order(pairs, batch_size: int, size: tuple[int, int]):
    """All pairs once, resized to one size; the last batch may be smaller.

    Args:
      pairs: Pairs.
      batch_size: pairs a batch.
      size: (H, W).

    Returns:
      Iterator of {"photo": uint8 [b, H, W, 3], "label": int32 [b, H, W]}.
    """
    for start in range(0, len(pairs), batch_size):
        rows = range(start, min(start + batch_size, len(pairs)))
        made = [_resized(pairs[row], _WHOLE, size) for row in rows]
        yield {key: np.stack([pair[key] for pair in made]) for key in ("photo", "label")}


def _augmented(pair, rng, size, flip, table):
    """One pair as an evaluator sees it in training."""
    share = rng.uniform(_LEAST_CROP, 1.0) if rng.random() < 0.5 else 1.0
    left, top = (1.0 - share) * rng.random(2)
    pair = _resized(pair, (left, top, left + share, top + share), size)
    photo, label = pair["photo"], pair["label"]
    if flip and rng.random() < 0.5:
        photo, label = photo[:, ::-1], table[label[:, ::-1]].astype(np.int32)
    return {"photo": _jittered(photo, rng), "label": label}


def _resized(pair, box, size):
    """A part of a pair, (left, top, right, bottom) as shares, at (H, W): bilinear and nearest."""
    made = {}
    for key, filter_ in (("photo", Image.Resampling.BILINEAR), ("label", Image.Resampling.NEAREST)):
        array = pair[key]
        if array.shape[:2] != tuple(size) or box != _WHOLE:
            height, width = array.shape[:2]
            part = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
            part = tuple(np.clip(part, 0, (width, height, width, height)).tolist())
            array = np.asarray(Image.fromarray(array).resize(tuple(size)[::-1], filter_, part))
        made[key] = array
    return {"photo": made["photo"], "label": made["label"].astype(np.int32)}


def _jittered(photo, rng):
    """uint8 [H, W, 3] with another brightness, contrast and saturation."""
    brightness, contrast, saturation = rng.uniform(1 - _JITTER, 1 + _JITTER, 3).astype(np.float32)
    colour = photo.astype(np.float32) * brightness
    colour += (1 - contrast) * (colour.mean() - colour)
    colour += (1 - saturation) * (colour.mean(-1, keepdims=True) - colour)
    return np.clip(np.round(colour), 0, 255).astype(np.uint8)


def _folder(settings, name, kind, split):
    """Folder of a split at the size of networks, or else at the size that training crops from."""
    for validation in (True, False):
        path = locations.location(settings, name, kind, validation)
        if locations.is_prepared(path) and _bases(split) <= prepared_sets.splits(path).keys():
            return path
    path = locations.location(settings, name, kind, validation=True)
    if not locations.is_prepared(path):
        fields = [(f"data.{each}", f"{name}:{split}") for each in FIELDS]
        raise FileNotFoundError(prepared_sets.missing_message(settings, name, kind, True, fields))
    return path


def _bases(split: str) -> set[str]:
    """Names of the splits in such as "train[:50%]+test"."""
    return set(re.sub(r"\[[^]]*\]", "", split).split("+"))
