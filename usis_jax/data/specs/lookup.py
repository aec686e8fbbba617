"""Finding a label spec: by the name of one that comes with the package, or in a file."""

import pathlib

from usis_jax.data.specs import builtin_specs
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError


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
    return LabelSpec.load(value) if is_file(value) else get(value)


def generic_spec(num_classes: int) -> LabelSpec:
    """Classes without names, ids of files being train ids: for networks of unknown data."""
    return LabelSpec("imported", tuple(f"class_{number}" for number in range(num_classes)))
