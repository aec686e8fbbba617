"""Label specs: which classes a data set has and what the numbers in its label files mean."""

import dataclasses
import pathlib

import numpy as np

from usis_jax.data.specs import spec_checks, spec_format
from usis_jax.errors import UserError
from usis_jax.storage import paths

FILE_NAMES = ("label_spec.toml", "label_spec.yaml", "label_spec.yml", "label_spec.json")


@dataclasses.dataclass(frozen=True)
class LabelSpec:
    """Classes of a data set. A class's train id is its position in `classes`.

    Args:
      name: name of the data set or of its labelling.
      classes: class names, void included where the data set has it; at most 256.
      palette: (red, green, blue) of each class, 0 to 255, or () for generated colours.
      void: train id of pixels that do not count, or None.
      file_ids: map from ids in files to train ids, as dict or pairs; () for ids that are
        train ids already.
      flip_pairs: pairs of train ids that change places when a map is mirrored (left and right eye).
      file_colours: map from colours in files to train ids, as dict or pairs, for label files that
        are colour images; () for the palette, which must then have distinct colours.

    Raises:
      UserError: a field contradicts another one.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    void: int | None = None
    file_ids: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    file_colours: tuple[tuple[tuple[int, int, int], int], ...] = ()

    def __post_init__(self):
        pairs = self.file_ids.items() if hasattr(self.file_ids, "items") else self.file_ids
        pairs = tuple((int(a), int(b)) for a, b in pairs) or tuple(
            (i, i) for i in range(len(self.classes))
        )
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "palette", tuple(tuple(map(int, c)) for c in self.palette))
        object.__setattr__(self, "file_ids", pairs)
        object.__setattr__(self, "flip_pairs", tuple((int(a), int(b)) for a, b in self.flip_pairs))
        pairs = self.file_colours
        pairs = pairs.items() if hasattr(pairs, "items") else pairs
        pairs = tuple((tuple(map(int, c)), int(b)) for c, b in pairs)
        object.__setattr__(self, "file_colours", pairs)
        spec_checks.check(self)

    @property
    def num_classes(self) -> int:
        """Number of train ids, void included."""
        return len(self.classes)

    @property
    def colours(self) -> np.ndarray:
        """Colour of each class, uint8 [K, 3]; the palette, or generated where there is none."""
        if self.palette:
            return np.array(self.palette, np.uint8)
        return _generated_colours(self.num_classes, self.void)

    @property
    def flip_table(self) -> np.ndarray:
        """Train id after mirroring for each train id, uint8 [K]."""
        table = np.arange(self.num_classes, dtype=np.uint8)
        for a, b in self.flip_pairs:
            table[a], table[b] = b, a
        return table

    def to_train_ids(self, array, file) -> np.ndarray:
        """Train ids of a label file's pixels.

        Args:
          array: integers [H, W], ids of the file, or uint8 [H, W, 3], colours of the palette.
          file: name for messages.

        Returns:
          uint8 [H, W], train ids.

        Raises:
          UserError: an id or a colour is outside the spec; the message names file, id and the
            number of pixels.
        """
        array = np.asarray(array)
        if array.ndim == 3:
            return self._from_colours(array, file)
        ids = array.astype(np.int64)
        low = min(a for a, _ in self.file_ids)
        table = np.full(max(a for a, _ in self.file_ids) - low + 1, -1, np.int16)
        for file_id, train_id in self.file_ids:
            table[file_id - low] = train_id
        inside = (ids >= low) & (ids < low + len(table))
        train = np.where(inside, table[np.where(inside, ids - low, 0)], -1)
        if (train < 0).any():
            found, counts = np.unique(ids[train < 0], return_counts=True)
            what = [f"id {i} on {n} pixels" for i, n in zip(found, counts, strict=True)]
            raise UserError(
                f"{file}: label {_some(what)} outside label spec {self.name!r}, "
                f"which knows ids {_ranges([a for a, _ in self.file_ids])}{_smoothed(counts)}"
            )
        return train.astype(np.uint8)

    def _from_colours(self, array, file) -> np.ndarray:
        """Train ids of a colour label map; see `to_train_ids`."""
        pairs = self.file_colours or tuple((c, k) for k, c in enumerate(self.palette))
        if not pairs:
            raise UserError(
                f"{file}: label map is a colour image, and label spec {self.name!r} has no "
                "colours; save one id a pixel (8-bit grey PNG) or give each class a colour"
            )
        if len({colour for colour, _ in pairs}) < len(pairs):
            raise UserError(
                f"{file}: label map is a colour image, and two classes of label spec "
                f"{self.name!r} have the same colour; say with `file_colours` which one it means"
            )
        weights = np.array([65536, 256, 1], np.int64)
        codes = array[..., :3].astype(np.int64) @ weights
        known = np.array([colour for colour, _ in pairs], np.int64) @ weights
        order = np.argsort(known)
        index = order[np.searchsorted(known[order], codes).clip(max=len(known) - 1)]
        wrong = known[index] != codes
        if wrong.any():
            found, counts = np.unique(codes[wrong], return_counts=True)
            what = [
                f"colour ({c >> 16}, {c >> 8 & 255}, {c & 255}) on {n} pixels"
                for c, n in zip(found.tolist(), counts, strict=True)
            ]
            raise UserError(
                f"{file}: label {_some(what)} outside label spec {self.name!r}{_smoothed(counts)}"
            )
        return np.array([train_id for _, train_id in pairs], np.uint8)[index]

    def colour(self, label) -> np.ndarray:
        """Label map in the colours of its classes.

        Args:
          label: integers [...], train ids 0 to K - 1.

        Returns:
          uint8 [..., 3].
        """
        return self.colours[np.asarray(label)]

    def to_dict(self) -> dict:
        """Spec as a plain dict in the layout of a spec file."""
        ids = [[a for a, b in self.file_ids if b == k] for k in range(self.num_classes)]
        classes = [{"name": n, "ids": i} for n, i in zip(self.classes, ids, strict=True)]
        for entry, colour in zip(classes, self.palette, strict=False):
            entry["colour"] = list(colour)
        for colour, k in self.file_colours:
            classes[k].setdefault("file_colours", []).append(list(colour))
        result = {"name": self.name}
        if self.void is not None:
            result["void"] = self.void
        if self.flip_pairs:
            result["flip_pairs"] = [list(pair) for pair in self.flip_pairs]
        return result | {"classes": classes}

    @classmethod
    def from_dict(cls, content: dict, file="label spec") -> "LabelSpec":
        """Spec of a dict in the layout of a spec file.

        Args:
          content: `name`; `classes`, a list of dicts with `name`, optional `ids` (ids in files,
            default the position), optional `colour` and optional `file_colours` (colours in
            files, default the colour); optional `void` and `flip_pairs`, whose classes are given
            by name or position.
          file: name for messages.

        Returns:
          LabelSpec.

        Raises:
          UserError: a key is missing or unknown, or a value has no sense.
        """
        try:
            return cls(**spec_format.fields(content))
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{file}: {error}") from error

    @classmethod
    def load(cls, path) -> "LabelSpec":
        """Spec of a .toml, .yaml, .yml or .json file.

        Raises:
          FileNotFoundError: there is no such file.
          UserError: the file is no label spec.
        """
        path = paths.of(path, "label spec", paths.FILE)
        if not path.is_file():
            raise FileNotFoundError(f"label spec {path} does not exist")
        return cls.from_dict(spec_format.read(path), path)

    def save(self, path) -> None:
        """Writes the spec as .toml, .yaml, .yml or .json."""
        spec_format.write(self.to_dict(), pathlib.Path(path))


def _generated_colours(count: int, void: int | None) -> np.ndarray:
    """Distinct colours by the bits of the class number, as PASCAL VOC does; void is black."""
    numbers = np.arange(1, count + 1)
    colours = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(
                np.uint8
            )
    if void is not None:
        colours[void] = 0
    return colours


def _smoothed(counts: np.ndarray, least: int = 8) -> str:
    """What to say where so many values are unknown that no class can be meant."""
    if len(counts) < least:
        return ""
    return "; so many come from smoothed edges or lossy compression: export the label map without"


def _some(items: list[str], limit: int = 5) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def _ranges(ids: list[int]) -> str:
    """Sorted ids in short, such as "0 to 10, 255"."""
    parts, ids = [], sorted(ids)
    start = previous = ids[0]
    for i in [*ids[1:], None]:
        if i is None or i != previous + 1:
            parts.append(f"{start}" if start == previous else f"{start} to {previous}")
            start = i
        previous = i
    return ", ".join(parts)
