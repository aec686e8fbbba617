"""KITTI: photos of streets from the object detection benchmark, 7,481 to train, 7,518 to test.

Source: Geiger, Lenz, Urtasun, "Are we ready for autonomous driving?", CVPR 2012.
"""

from usis_jax.data.datasets import published
from usis_jax.data.datasets.archives import Place


def _place(split: str, count: int) -> Place:
    inside = f"{split}/image_2"
    return Place(
        count,
        ".png",
        (inside, f"data_object_image_2/{inside}"),
        (("data_object_image_2.zip", inside),),
    )


_PLACES = {"photos": {"train": _place("training", 7481), "test": _place("testing", 7518)}}


class Kitti(published.Published, skip_registration=True):
    """Photos of KITTI's left colour camera; it has no label maps here."""

    name = "kitti"
    PLACES = _PLACES
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download data_object_image_2.zip (12 GB, left colour images) from
    https://www.cvlibs.net/datasets/kitti into DIR or DIR/kitti, or unpack it there, so that it
    holds training/image_2/*.png; then give --data_dir=DIR.
    """
