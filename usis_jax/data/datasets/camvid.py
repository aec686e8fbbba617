"""CamVid street scenes: a folder data set with the 11 classes and void of the common version.

Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009. `--data_dir` holds
`images/{train,val}` and `labels/{train,val}`, label maps with one id a pixel (0 sky ... 11 void).
"""

from usis_jax.data.datasets.folder import Folder


class Camvid(Folder, skip_registration=True):
    """Photos or label maps of CamVid."""

    name = "camvid"
