"""COCO-Stuff: photos of COCO 2017 with things and stuff, 118,287 to train, 5,000 to validate.

Source: Caesar, Uijlings, Ferrari, "COCO-Stuff: thing and stuff classes in context", CVPR 2018.
"""

from usis_jax.data.datasets import published
from usis_jax.data.datasets.archives import Place


def _photos(split: str, count: int) -> Place:
    return Place(
        count,
        ".jpg",
        (f"{split}2017", f"images/{split}2017", f"{split}_img"),
        ((f"{split}2017.zip", f"{split}2017"),),
    )


def _labels(split: str, count: int) -> Place:
    return Place(
        count,
        ".png",
        (
            f"stuffthingmaps_trainval2017/{split}2017",
            f"stuffthingmaps/{split}2017",
            f"annotations/{split}2017",
            f"{split}_label",
        ),
        (("stuffthingmaps_trainval2017.zip", f"{split}2017"),),
    )


_PLACES = {
    "photos": {"train": _photos("train", 118287), "validation": _photos("val", 5000)},
    "labels": {"train": _labels("train", 118287), "validation": _labels("val", 5000)},
}


class CocoStuff(published.Published, skip_registration=True):
    """Photos or label maps of COCO-Stuff."""

    name = "coco_stuff"
    PLACES = _PLACES
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download train2017.zip (18 GB), val2017.zip (1 GB) and stuffthingmaps_trainval2017.zip (659 MB)
    as https://github.com/nightrome/cocostuff says into DIR or DIR/coco_stuff, or unpack them there,
    so that it holds {train2017,val2017}/*.jpg and
    stuffthingmaps_trainval2017/{train2017,val2017}/*.png; then give --data_dir=DIR.
    """
