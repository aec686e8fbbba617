"""Small stand-ins for published data sets, laid out as their owners distribute them."""

import pathlib
import shutil
import tempfile
import zipfile

import numpy as np
from PIL import Image

from usis_jax.data.specs import lookup

# Files in the tree and the zip file of each kind and split. {} stands for the image's name; the zip
# file has the part of the path that follows "//".
LAYOUTS = {
    "cityscapes": {
        ("photos", "train"): ("//leftImg8bit/train/{}_leftImg8bit.png", "leftImg8bit_trainvaltest"),
        ("photos", "validation"): (
            "//leftImg8bit/val/{}_leftImg8bit.png", "leftImg8bit_trainvaltest",
        ),
        ("labels", "train"): ("//gtFine/train/{}_gtFine_labelIds.png", "gtFine_trainvaltest"),
        ("labels", "validation"): ("//gtFine/val/{}_gtFine_labelIds.png", "gtFine_trainvaltest"),
    },
    "ade20k": {
        (kind, split): (
            f"//ADEChallengeData2016/{folder}/{name}/{{}}.{suffix}", "ADEChallengeData2016",
        )
        for kind, folder, suffix in (("photos", "images", "jpg"), ("labels", "annotations", "png"))
        for split, name in (("train", "training"), ("validation", "validation"))
    },
    "coco_stuff": {
        ("photos", "train"): ("//train2017/{}.jpg", "train2017"),
        ("photos", "validation"): ("//val2017/{}.jpg", "val2017"),
        ("labels", "train"): (
            "stuffthingmaps_trainval2017//train2017/{}.png", "stuffthingmaps_trainval2017",
        ),
        ("labels", "validation"): (
            "stuffthingmaps_trainval2017//val2017/{}.png", "stuffthingmaps_trainval2017",
        ),
    },
    "gta5": {
        ("photos", "train"): ("//images/{}.png", "{part}_images"),
        ("labels", "train"): ("//labels/{}.png", "{part}_labels"),
    },
    "kitti": {
        ("photos", "train"): ("//training/image_2/{}.png", "data_object_image_2"),
        ("photos", "test"): ("//testing/image_2/{}.png", "data_object_image_2"),
    },
}  # fmt: skip
COUNTS = {"train": 5, "validation": 3, "test": 2}
SIZE = (20, 36)


def splits(name: str, kind: str) -> dict[str, int]:
    """Number of images of each split that `write` makes."""
    return {split: COUNTS[split] for k, split in LAYOUTS[name] if k == kind}


def names(name: str, split: str) -> list[str]:
    """Names of images, as the data set's owners write them."""
    numbers = range(COUNTS[split])
    if name == "cityscapes":
        cities = ("aachen", "bochum") if split == "train" else ("lindau",)
        return [f"{cities[i % len(cities)]}_{i:06d}_000019" for i in numbers]
    if name == "ade20k":
        return [f"ADE_{'train' if split == 'train' else 'val'}_{i + 1:08d}" for i in numbers]
    width, first = {"coco_stuff": (12, 9), "gta5": (5, 1), "kitti": (6, 0)}[name]
    offset = {"train": 0, "validation": 100, "test": 0}[split]
    return [f"{first + offset + i:0{width}d}" for i in numbers]


def write(name: str, root, zipped: bool = False, size=SIZE) -> pathlib.Path:
    """Writes a data set of a few random images of about `size` below `root`; returns `root`."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    target = pathlib.Path(tempfile.mkdtemp(dir=root)) if zipped else root
    for kind, split in LAYOUTS[name]:
        for number, image in enumerate(names(name, split)):
            file = path(name, target, kind, split, image)
            file.parent.mkdir(parents=True, exist_ok=True)
            random = np.random.default_rng([len(name), len(kind), COUNTS[split], number])
            (_photo if kind == "photos" else _label)(name, random, number, size).save(file)
    if zipped:
        _zip(name, target, root)
        shutil.rmtree(target)
    return root


def path(name: str, root, kind: str, split: str, image: str) -> pathlib.Path:
    """File of an image in the folders that `write` makes."""
    pattern, _ = LAYOUTS[name][kind, split]
    city = f"{image.split('_')[0]}/" if name == "cityscapes" else ""
    return pathlib.Path(root) / pattern.replace("//", "/").lstrip("/").format(city + image)


def _photo(name: str, random, number: int, size) -> Image.Image:
    """A random photo; ADE20K and COCO have photos of many sizes, some of them grey."""
    varies = name in ("ade20k", "coco_stuff")
    height, width = (size[0] + 7 * number, size[1] - 3 * number) if varies else size
    shape = (height, width) if varies and number == 1 else (height, width, 3)
    return Image.fromarray(random.integers(0, 256, shape, np.uint8))


def _label(name: str, random, number: int, size) -> Image.Image:
    """A random label map; GTA-V's have a palette, the second one here is in colours."""
    spec = lookup.get(name)
    ids = np.array([i for i, _ in spec.file_ids if i >= 0 and (i < 255 or name == "coco_stuff")])
    label = random.choice(ids, size).astype(np.uint8)
    if name != "gta5":
        return Image.fromarray(label)
    if number == 1:
        return Image.fromarray(spec.colour(label))
    image = Image.fromarray(label).convert("P")
    image.putdata(label.ravel().tolist())
    image.putpalette(spec.colours.ravel().tolist())
    return image


def _zip(name: str, tree: pathlib.Path, root: pathlib.Path) -> None:
    """Packs a tree as the owners do."""
    entries = {}
    for pattern, archive in LAYOUTS[name].values():
        outside, inside = pattern.split("//")
        for file in sorted((tree / outside / inside.split("{}")[0]).rglob("*.*")):
            packed = archive
            if "{part}" in archive:
                packed = archive.format(part=f"{1 + int(file.stem) % 2:02d}")
            entries[packed, file.relative_to(tree / outside).as_posix()] = file
    for (packed, inside), file in entries.items():
        with zipfile.ZipFile(root / f"{packed}.zip", "a") as archive:
            if not archive.namelist():
                archive.writestr("README.md", "not an image")
            archive.write(file, inside)
