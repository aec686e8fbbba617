"""What label files hold: ids or colours with their pixels, and what makes a file suspicious."""

import collections
import dataclasses
import pathlib

import numpy as np
from PIL import Image

from usis_jax.data.images import decode, label_pixels

EXAMPLES = 3
_MOST_VALUES = 4096  # of one file; a label map with more is no label map
_MOST_KNOWN = 60_000  # of all files together
_LOOK = 128


@dataclasses.dataclass
class LabelFile:
    """One label file.

    Attributes:
      problem: why it cannot be read, or None; the other fields then mean nothing.
      size: (width, height).
      mode: PIL's name of the pixel format.
      lossy: name of its format if that changes ids, or None.
      colour: whether values are colours, red * 65536 + green * 256 + blue, and not ids.
      values: int64 [N], the most frequent values.
      counts: int64 [N], their pixels.
      solid: int64 [N], those pixels whose four neighbours have the same value.
      distinct: how many values there are.
      like_photo: whether it has as many colours as photos have.
      alpha: whether it has transparency.
      palette: colour of each of `values` in a palette image, else ().
    """

    problem: str | None = None
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    lossy: str | None = None
    colour: bool = False
    values: np.ndarray | None = None
    counts: np.ndarray | None = None
    solid: np.ndarray | None = None
    distinct: int = 0
    like_photo: bool = False
    alpha: bool = False
    palette: tuple[tuple[int, int, int], ...] = ()


def read(path) -> LabelFile:
    """Reads one label file and counts its values; a file that cannot be read has a `problem`."""
    try:
        image = decode.open_image(path, "label map")
        lossy = decode.lossy_format(image)
        if lossy:  # said as such, whatever else it has
            image.info["stored"] = label_pixels.Stored()
        codes = to_values(image, path)
    except ValueError as error:
        return LabelFile(problem=str(error))
    values, counts = np.unique(codes, return_counts=True)
    inside, inside_counts = np.unique(codes[solid_pixels(codes)], return_counts=True)
    solid = np.zeros(len(values), np.int64)
    solid[np.searchsorted(values, inside)] = inside_counts
    order = np.argsort(-counts, kind="stable")[:_MOST_VALUES]
    file = LabelFile(
        size=image.size,
        mode=image.mode,
        lossy=lossy,
        colour=image.mode in label_pixels.COLOUR_MODES,
        values=values[order].astype(np.int64),
        counts=counts[order],
        solid=solid[order],
        distinct=len(values),
        alpha=decode.has_alpha(image),
    )
    distinct, share = variety(image)
    file.like_photo = distinct > 128 and share < 0.35
    if image.mode == "P":
        table = np.asarray(image.getpalette("RGB")).reshape(-1, 3)
        table = np.concatenate([table, np.zeros((256 - len(table), 3), table.dtype)])
        file.palette = tuple(tuple(colour) for colour in table[file.values].tolist())
    return file


def to_values(image: Image.Image, path) -> np.ndarray:
    """Ids, or colours as red * 65536 + green * 256 + blue, of an image's pixels: int [H, W].

    Raises:
      ValueError: they are not exactly those of the file; the message names `path`.
    """
    array = label_pixels.values(image, path)
    if array.ndim == 3:
        channels = array.astype(np.int32)
        return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return array


def solid_pixels(codes: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours have the same value, bool [H, W]; beyond the border all have."""
    rows = codes[1:] == codes[:-1]
    columns = codes[:, 1:] == codes[:, :-1]
    solid = np.ones(codes.shape, bool)
    solid[1:] &= rows
    solid[:-1] &= rows
    solid[:, 1:] &= columns
    solid[:, :-1] &= columns
    return solid


def variety(image: Image.Image) -> tuple[int, float]:
    """How varied an image is, by a grid of its pixels.

    Args:
      image: of any mode.

    Returns:
      Number of different colours, and share of the pixels that have one of the 16 commonest.
    """
    small = image.resize((_LOOK, _LOOK), Image.Resampling.NEAREST)
    if small.mode not in label_pixels.ID_MODES:
        small = small.convert("RGB")
    array = np.asarray(small).astype(np.int64)
    if array.ndim == 3:
        array = array @ np.array([65536, 256, 1])
    counts = np.sort(np.unique(array, return_counts=True)[1])
    return len(counts), float(counts[-16:].sum() / counts.sum())


@dataclasses.dataclass
class Value:
    """An id or a colour over all files: pixels, solid ones, files, names of the first files."""

    pixels: int = 0
    solid: int = 0
    files: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)


class Labels:
    """Sums over label files; memory does not grow with their pixels.

    Args:
      root: folder that names are relative to.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.count = 0
        self.sizes: dict[str, tuple[int, int]] = {}
        self.modes = collections.Counter()
        self.marked: dict[str, list[str]] = collections.defaultdict(list)
        self.problems: list[str] = []
        self.values: dict[bool, dict[int, Value]] = {True: {}, False: {}}
        self.pixels = {True: 0, False: 0}
        self.files = {True: 0, False: 0}
        self.palettes: dict[int, set] = collections.defaultdict(set)
        self.pruned = 0

    def add(self, path: pathlib.Path, file: LabelFile) -> None:
        """Counts one file in."""
        name = path.relative_to(self.root).as_posix()
        self.count += 1
        if file.problem:
            self.problems.append(file.problem)
            return
        self.sizes[name] = file.size
        self.modes[file.mode] += 1
        for mark, holds in (
            ("lossy", file.lossy),
            ("like_photo", file.like_photo and not file.lossy),
            ("alpha", file.alpha),
            ("many", file.distinct > _MOST_VALUES and not file.like_photo),
        ):
            if holds:
                self.marked[mark].append(name)
        if file.lossy or file.like_photo:
            return
        self.files[file.colour] += 1
        self.pixels[file.colour] += file.size[0] * file.size[1]
        self._add_values(name, file)

    def _add_values(self, name: str, file: LabelFile) -> None:
        known = self.values[file.colour]
        rows = zip(file.values.tolist(), file.counts.tolist(), file.solid.tolist(), strict=True)
        for value, pixels, solid in rows:
            entry = known.setdefault(value, Value())
            entry.pixels += pixels
            entry.solid += solid
            entry.files += 1
            if len(entry.examples) < EXAMPLES:
                entry.examples.append(name)
        for value, colour in zip(file.values.tolist(), file.palette, strict=False):
            if len(self.palettes[value]) < 2:
                self.palettes[value].add(colour)
        if len(known) > _MOST_KNOWN:
            kept = sorted(known, key=lambda v: (known[v].solid, known[v].pixels))[len(known) // 2 :]
            self.pruned += len(known) - len(kept)
            self.values[file.colour] = {value: known[value] for value in kept}

    @property
    def in_colour(self) -> bool:
        """Whether most files that can be read are colour images."""
        return self.files[True] > self.files[False]

    def ranked(self) -> list[tuple[int, Value]]:
        """Values of the commoner kind of files, the most frequent first."""
        return sorted(self.values[self.in_colour].items(), key=lambda item: -item[1].pixels)

    def smoothing(self) -> set[int]:
        """Values that smoothing or compression made, not a class: many, on few pixels each.

        A class has places where all neighbours have its colour. Where many values have none, or
        lie close to a far more frequent colour, they are blends at edges.
        """
        ranked = self.ranked()
        found = {value for value, entry in ranked if not entry.solid}
        found |= self._near_a_frequent_one(ranked)
        if len(found) < 8 or 2 * len(found) <= len(ranked):
            return set()
        # Some blends happen to lie in a flat place somewhere.
        most = ranked[0][1].pixels
        rare = {v for v, e in ranked if 50 * e.solid < e.pixels and 500 * e.pixels < most}
        return found | rare

    def _near_a_frequent_one(self, ranked) -> set[int]:
        """Colours close to one that is 30 times as frequent; ids only of 0/255 masks."""
        if not self.in_colour and {value for value, _ in ranked[:2]} != {0, 255}:
            return set()
        colours = np.array([channels(v) if self.in_colour else (v,) * 3 for v, _ in ranked])
        pixels = np.array([entry.pixels for _, entry in ranked])
        found = set()
        for i in range(min(len(ranked), 256)):
            close = np.abs(colours - colours[i]).max(axis=1) <= 24
            small = pixels * 30 < pixels[i]
            found |= {ranked[k][0] for k in np.flatnonzero(close & small)}
        return found


def channels(code: int) -> tuple[int, int, int]:
    """Red, green and blue of a colour's code."""
    return code >> 16 & 255, code >> 8 & 255, code & 255
