"""Maps between label specs: classes of one data set in terms of another one's, by name."""

import dataclasses

import numpy as np

from usis_jax.errors import UserError

# (source, target): what the target calls a class of the source that it names otherwise.
_STREETS = {
    "pavement": "sidewalk",
    "tree": "vegetation",
    "sign": "traffic sign",
    "pedestrian": "person",
    "bicyclist": "rider",
    "grass": "terrain",
}
_STREET_SOURCES = ("camvid", "scenes")
_STREET_TARGETS = ("cityscapes", "cityscapes19", "gta5")
ALIASES = {(a, b): _STREETS for a in _STREET_SOURCES for b in _STREET_TARGETS}

# (source, target): classes of the source that are void to the target.
_NOT_SCORED = (
    "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "parking",
    "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer",
    "license plate",
)  # fmt: skip
TO_VOID = {(source, "cityscapes19"): _NOT_SCORED for source in ("cityscapes", "gta5")}
_MOST_NAMED = 3


def mapping(source, target, to_void=()) -> np.ndarray:
    """Train id in `target` of each train id of `source`.

    A class goes to the class of the same name, or of the name that `ALIASES` gives it for these
    two data sets; void goes to void.

    Args:
      source: LabelSpec.
      target: LabelSpec.
      to_void: names of classes of `source` that become void, besides those in `TO_VOID`.

    Returns:
      uint8 [K of source].

    Raises:
      UserError: classes of `source` have no counterpart in `target`; the message names them.
    """
    unknown = [name for name in to_void if name not in source.classes]
    if unknown:
        raise UserError(f"to_void has {unknown[0]!r}, which label spec {source.name!r} has not")
    pair = source.name, target.name
    aliases = ALIASES.get(pair, {})
    lost = {*to_void, *TO_VOID.get(pair, ())} if target.void is not None else set()
    table, missing = [], []
    for train_id, name in enumerate(source.classes):
        other = name if name in target.classes else aliases.get(name)
        if target.void is not None and (train_id == source.void or name in lost):
            table.append(target.void)
        elif other is not None:
            table.append(target.classes.index(other))
        else:
            missing.append(name)
    if missing:
        raise UserError(
            f"label spec {target.name!r} has no counterpart for {', '.join(map(repr, missing))} of "
            f"{source.name!r}; write a label spec file that says what each id of the files means"
        )
    return np.array(table, np.uint8)


def check_same(first, second, first_name: str, second_name: str) -> None:
    """Checks that two specs have the same classes and the same void.

    Args:
      first: LabelSpec.
      second: LabelSpec.
      first_name: what the first one belongs to, for the message, such as "data.labels=...".
      second_name: what the second one belongs to.

    Raises:
      UserError: they differ; says in what and what to do.
    """
    if (first.classes, first.void) == (second.classes, second.void):
        return
    only = [f"{c!r}" for c in first.classes if c not in second.classes]
    only += [f"{c!r}" for c in second.classes if c not in first.classes]
    what = f"not in both: {', '.join(only[:5])}"
    if not only:
        what = "; ".join(differences(first, second, "the first", "the second"))
    raise UserError(
        f"{first_name} has the {len(first.classes)} classes of label spec {first.name!r} and "
        f"{second_name} the {len(second.classes)} of {second.name!r} ({what}); give a label spec "
        "that both have a counterpart in, such as --config.data.label_spec=cityscapes"
    )


def differences(first, second, first_name: str, second_name: str) -> list[str]:
    """In what the train ids of two specs differ in meaning, in words; [] where in nothing.

    Args:
      first: LabelSpec.
      second: LabelSpec.
      first_name: what the first one belongs to, such as "the checkpoint".
      second_name: what the second one belongs to.

    Returns:
      Such as "class 1 is 'road' in the checkpoint and 'car' in the data", at most three of these,
      the numbers of classes and the voids.
    """
    sizes = len(first.classes), len(second.classes)
    found = [f"{first_name} has {sizes[0]} classes and {second_name} {sizes[1]}"]
    found = found if sizes[0] != sizes[1] else []
    other = [
        f"class {k} is {a!r} in {first_name} and {b!r} in {second_name}"
        for k, (a, b) in enumerate(zip(first.classes, second.classes, strict=False)) if a != b
    ]  # fmt: skip
    found += _some(other)
    for spec, name in ((first, first_name), (second, second_name)):
        if more := [repr(each) for each in spec.classes[min(sizes) :]]:
            found.append(f"only {name} has {', '.join(_some(more))}")
    if not found and first.void != second.void:
        found.append(f"void is {_void(first)} in {first_name} and {_void(second)} in {second_name}")
    return found


def only_renamed(first, second) -> bool:
    """Whether classes of two specs differ in names only, and no name stands for two positions."""
    same = (len(first.classes), first.void) == (len(second.classes), second.void)
    return same and all(
        name == second.classes[k] or name not in second.classes
        for k, name in enumerate(first.classes)
    )


def file_differences(first, second, first_name: str, second_name: str) -> list[str]:
    """In what two specs of the same classes read files or draw differently; as `differences`."""
    found = []
    for what, a, b in (
        ("id", dict(first.file_ids), dict(second.file_ids)),
        ("file colour", dict(first.file_colours), dict(second.file_colours)),
    ):
        for value in sorted(a.keys() | b.keys()):
            if a.get(value) != b.get(value):
                found.append(
                    f"{what} {value} is {_named(first, a.get(value))} in {first_name} and "
                    f"{_named(second, b.get(value))} in {second_name}"
                )
    for k, (a, b) in enumerate(zip(first.palette, second.palette, strict=False)):
        if a != b:
            found.append(
                f"colour of class {k} {first.classes[k]!r} is {a} in {first_name} and {b} "
                f"in {second_name}"
            )
    if set(map(frozenset, first.flip_pairs)) != set(map(frozenset, second.flip_pairs)):
        found.append(
            f"flip_pairs are {first.flip_pairs} in {first_name} and {second.flip_pairs} "
            f"in {second_name}"
        )
    return _some(found)


def _some(found: list[str]) -> list[str]:
    """The first few, with the number of the others."""
    more = len(found) - _MOST_NAMED
    return found[:_MOST_NAMED] + ([f"and {more} more"] if more > 0 else [])


def _void(spec) -> str:
    return "no class" if spec.void is None else f"class {spec.void} {spec.classes[spec.void]!r}"


def _named(spec, train_id) -> str:
    return "unknown" if train_id is None else f"class {train_id} {spec.classes[train_id]!r}"


def through(source, target, to_void=()):
    """Spec that reads the files of `source` into the classes of `target`.

    Args:
      source: LabelSpec of the files.
      target: LabelSpec of the classes wanted.
      to_void: as in `mapping`.

    Returns:
      LabelSpec with the name, classes, colours, void and flip pairs of `target`.

    Raises:
      UserError: as in `mapping`.
    """
    table = mapping(source, target, to_void)
    colours = source.file_colours
    if not colours and len(set(source.palette)) == len(source.palette):
        colours = [(colour, k) for k, colour in enumerate(source.palette)]
    return dataclasses.replace(
        target,
        file_ids=[(file_id, table[k]) for file_id, k in source.file_ids],
        file_colours=[(colour, table[k]) for colour, k in colours],
    )
