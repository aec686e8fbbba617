"""Cityscapes street scenes with fine annotations: 2,975 to train, 500 to validate.

Source: Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016.
"""

from usis_jax.data.datasets import published
from usis_jax.data.datasets.archives import Place


def _photos(split: str, count: int) -> Place:
    return Place(
        count,
        "_leftImg8bit.png",
        (f"leftImg8bit/{split}/*", f"leftImg8bit_trainvaltest/leftImg8bit/{split}/*"),
        (("leftImg8bit_trainvaltest.zip", f"leftImg8bit/{split}/*"),),
    )


def _labels(split: str, count: int) -> Place:
    return Place(
        count,
        "_gtFine_labelIds.png",
        (f"gtFine/{split}/*", f"gtFine_trainvaltest/gtFine/{split}/*"),
        (("gtFine_trainvaltest.zip", f"gtFine/{split}/*"),),
    )


_PLACES = {
    "photos": {
        "train": _photos("train", 2975),
        "validation": _photos("val", 500),
        "test": _photos("test", 1525),
    },
    "labels": {"train": _labels("train", 2975), "validation": _labels("val", 500)},
}


class Cityscapes(published.Published, skip_registration=True):
    """Photos or label maps of Cityscapes; test has photos only."""

    name = "cityscapes"
    PLACES = _PLACES
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Register at https://www.cityscapes-dataset.com and download leftImg8bit_trainvaltest.zip (11 GB)
    and gtFine_trainvaltest.zip (241 MB) into DIR or DIR/cityscapes, or unpack them there, so that
    it holds leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and
    gtFine/{train,val}/CITY/*_gtFine_labelIds.png; then give --data_dir=DIR.
    """
