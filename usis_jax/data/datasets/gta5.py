"""GTA-V: 24,966 pictures of a game's streets, with the ids and colours of Cityscapes' classes.

Source: Richter, Vineet, Roth, Koltun, "Playing for data", ECCV 2016.
"""

from usis_jax.data.datasets import published
from usis_jax.data.datasets.archives import Place


def _place(kind: str) -> Place:
    return Place(
        24966, ".png", (kind, f"??_{kind}/{kind}", f"??_{kind}"), ((f"??_{kind}.zip", kind),)
    )


_PLACES = {"photos": {"train": _place("images")}, "labels": {"train": _place("labels")}}


class Gta5(published.Published, skip_registration=True):
    """Pictures or label maps of GTA-V; all are the split train.

    Label maps may be PNGs with a palette, as published, or colour images of the same colours.
    """

    name = "gta5"
    PLACES = _PLACES
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download 01_labels.zip to 10_labels.zip (and 01_images.zip to 10_images.zip if the game's
    pictures are wanted) from https://download.visinf.tu-darmstadt.de/data/from_games/ into DIR or
    DIR/gta5, or unpack them there, so that it holds labels/*.png (and images/*.png); then give
    --data_dir=DIR.
    """
