"""Finding a label spec: by the name of one that comes with the package, or in a file."""

import pathlib

from usis_jax.data.specs import builtin_specs, spec_checks
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError

UNNAMED = "imported"
"""Name of label specs whose classes have no names."""


def get(name: str) -> LabelSpec:
    """Built-in spec: scenes, camvid, faces, cityscapes, cityscapes19, gta5, ade20k, coco_stuff."""
    if name not in builtin_specs.SPECS:
        raise UserError(
            f"label spec {name!r} is neither a file nor one of {', '.join(builtin_specs.SPECS)}"
        )
    return builtin_specs.SPECS[name]


def is_file(value: str) -> bool:
    """Whether a value of data.label_spec is a file's path and not a built-in name."""
    return "/" in value or bool(pathlib.Path(value).suffix) or pathlib.Path(value).is_file()


def find(value: str) -> LabelSpec:
    """Spec of a file's path or of a built-in name."""
    return read_own(value) if is_file(value) else get(value)


def read_own(path) -> LabelSpec:
    """Spec of a user's file; as `LabelSpec.load`, and no two classes may have one colour.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is no label spec, or two classes have one colour.
    """
    spec = LabelSpec.load(path)
    try:
        check_colours(spec)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return spec


def check_colours(spec: LabelSpec) -> None:
    """Checks that no two classes of a user's label spec have one colour.

    Published palettes have such classes, and so may specs that take them over.

    Raises:
      ValueError: two have; names them and the colour.
    """
    published = [
        set(zip(known.classes, known.palette, strict=False))
        for known in builtin_specs.SPECS.values()
    ]
    seen: dict[tuple[int, int, int], int] = {}
    for k, colour in enumerate(spec.palette):
        first = seen.setdefault(colour, k)
        pair = {(spec.classes[first], colour), (spec.classes[k], colour)}
        if first != k and not spec.file_colours and not any(pair <= known for known in published):
            raise UserError(
                f"label spec {spec.name!r} gives colour {colour} to two classes, "
                f"{spec_checks.class_words(spec, first)} and {spec_checks.class_words(spec, k)}; "
                "give each one of its own"
            )


def generic_spec(num_classes: int) -> LabelSpec:
    """Classes without names, ids of files being train ids: for networks of unknown data."""
    return LabelSpec(UNNAMED, tuple(f"class_{number}" for number in range(num_classes)))
