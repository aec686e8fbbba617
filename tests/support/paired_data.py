"""Prepared pairs for tests of evaluators: photos whose colours say their classes."""

import numpy as np
from PIL import Image

from tests.support import tiny_data
from usis_jax.data.preparation import prepare
from usis_jax.data.specs import label_spec

SIZE = (16, 32)
SPEC = label_spec.LabelSpec(
    "yard",
    ("left", "right", "sky", "void"),
    ((200, 0, 0), (0, 200, 0), (0, 0, 200), (0, 0, 0)),
    void=3,
    flip_pairs=((0, 1),),
)
COLOURS = np.array([(180, 60, 60), (180, 60, 60), (60, 80, 180), (0, 0, 0)])


def label(number):
    """Sky of some height above left and right, and a corner of void: uint8 [16, 32]."""
    made = np.zeros(SIZE, np.uint8)
    made[:, 16 - number % 5 :] = 1
    made[: 4 + number % 7] = 2
    made[14:, :4] = 3
    return made


def photo(number):
    """The photo of `label(number)`, in which nothing but the place tells left from right."""
    noise = np.random.default_rng(number).integers(-30, 30, (*SIZE, 3))
    return np.clip(COLOURS[label(number)] + noise, 0, 255).astype(np.uint8)


def write(folder, counts, paired=("train", "val", "test")):
    """Writes a data set of {split: number of pairs}; splits not in `paired` share no names."""
    folder.mkdir(parents=True)
    SPEC.save(folder / "label_spec.json")
    for split, count in counts.items():
        for kind, make in (("photos", photo), ("labels", label)):
            (folder / kind / split).mkdir(parents=True)
            prefix = "" if split in paired else kind
            for i in range(count):
                number = i + 100 * sorted(counts).index(split)
                name = f"{prefix}{i:03d}.png"
                Image.fromarray(make(number)).save(folder / kind / split / name)


def settings(prepared_dir, name="yard", **data):
    """Settings whose data are those of `write`, prepared in `prepared_dir`."""
    fields = {
        "photos": f"{name}:train",
        "labels": f"{name}:train",
        "validation": f"{name}:validation",
        "height": SIZE[0],
        "width": SIZE[1],
    }
    return tiny_data.settings(prepared_dir, **fields | data)


def make(source, target):
    """Prepares "yard" (20 pairs to train, 10 to measure) and "garden" (unpaired to train)."""
    write(source / "yard", {"train": 20, "val": 10})
    write(source / "garden", {"train": 6, "val": 4, "test": 5}, paired=("val", "test"))
    prepare.prepare(settings(target), source / "yard", progress=False)
    for split in ("validation", "test"):
        both = settings(target, "garden", validation=f"garden:{split}")
        prepare.prepare(both, source / "garden", progress=False)
    return target
