"""ADE20K in the version of the scene parsing challenge 2016: 20,210 to train, 2,000 to validate.

Source: Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017.
"""

from usis_jax.data.datasets import published
from usis_jax.data.datasets.archives import Place


def _place(kind: str, split: str, ending: str, count: int) -> Place:
    inside = f"ADEChallengeData2016/{kind}/{split}"
    return Place(
        count, ending, (f"{kind}/{split}", inside), (("ADEChallengeData2016.zip", inside),)
    )


_PLACES = {
    "photos": {
        "train": _place("images", "training", ".jpg", 20210),
        "validation": _place("images", "validation", ".jpg", 2000),
    },
    "labels": {
        "train": _place("annotations", "training", ".png", 20210),
        "validation": _place("annotations", "validation", ".png", 2000),
    },
}


class Ade20k(published.Published, skip_registration=True):
    """Photos or label maps of ADE20K."""

    name = "ade20k"
    PLACES = _PLACES
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download ADEChallengeData2016.zip (923 MB) from http://sceneparsing.csail.mit.edu into DIR or
    DIR/ade20k, or unpack it there, so that it holds
    ADEChallengeData2016/images/{training,validation}/*.jpg and
    ADEChallengeData2016/annotations/{training,validation}/*.png; then give --data_dir=DIR.
    """
