"""Checks of label specs: that nothing in one stands for two classes, or for none."""

import typing
import unicodedata

from usis_jax.errors import UserError

if typing.TYPE_CHECKING:
    from usis_jax.data.specs.label_spec import LabelSpec


def check(spec: "LabelSpec") -> None:
    """ValueError where fields of a label spec contradict each other; names classes and values."""
    size = len(spec.classes)
    if not 1 <= size <= 256:
        raise UserError(f"label spec {spec.name!r} has {size} classes; allowed are 1 to 256")
    if spec.palette and len(spec.palette) != size:
        raise UserError(f"label spec has {len(spec.palette)} colours for {size} classes")
    colours = [colour for colour, _ in spec.file_colours]
    if any(len(c) != 3 or min(c) < 0 or max(c) > 255 for c in (*spec.palette, *colours)):
        raise UserError("a colour of a label spec must be three numbers from 0 to 255")
    _check_once(spec, "file colour", spec.file_colours)
    _check_once(spec, "file id", spec.file_ids)
    _check_names(spec)
    ids = [a for a, _ in spec.file_ids]
    if any(not -(2**15) <= a < 2**16 for a in ids):
        raise UserError("a file id of a label spec must lie between -32768 and 65535")
    train = [b for _, b in (*spec.file_ids, *spec.file_colours)]
    train += [b for pair in spec.flip_pairs for b in pair]
    if spec.void is not None:
        train.append(spec.void)
    for b in train:
        if not 0 <= b < size:
            raise UserError(f"train id {b} of a label spec must lie between 0 and {size - 1}")


def class_words(spec: "LabelSpec", k: int) -> str:
    """A class in words, by position and name."""
    return f"class {k} {spec.classes[k]!r}" if 0 <= k < len(spec.classes) else f"class {k}"


def _check_once(spec: "LabelSpec", what: str, pairs) -> None:
    """ValueError where an id or a colour of files stands twice in a spec."""
    seen = {}
    for value, k in pairs:
        if value not in seen:
            seen[value] = k
        elif seen[value] == k:
            raise UserError(f"label spec gives {what} {value} twice to {class_words(spec, k)}")
        else:
            raise UserError(
                f"label spec gives {what} {value} to two classes, {class_words(spec, seen[value])} "
                f"and {class_words(spec, k)}; keep one of them"
            )


def _check_names(spec: "LabelSpec") -> None:
    """ValueError where two classes have one name, also but for case and spaces, or none."""
    seen = {}
    for k, name in enumerate(spec.classes):
        plain = " ".join(unicodedata.normalize("NFKC", str(name)).split()).casefold()
        if not plain:
            raise UserError(f"class {k} of label spec {spec.name!r} has an empty name")
        first = seen.setdefault(plain, k)
        if first != k:
            raise UserError(
                f"label spec {spec.name!r} gives one name to two classes, "
                f"{class_words(spec, first)} and {class_words(spec, k)}; rename one, or put the "
                "ids of both into one class"
            )
