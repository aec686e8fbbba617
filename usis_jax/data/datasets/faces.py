"""Faces of CelebAMask-HQ: a folder data set with its 19 classes.

Source: Lee, Liu, Wu, Luo, "MaskGAN", CVPR 2020. `--data_dir` holds `images/{train,val}` and
`labels/{train,val}`, label maps with one id a pixel (0 background ... 18 cloth, no void).
"""

from usis_jax.data.datasets.folder import Folder


class Faces(Folder, skip_registration=True):
    """Photos or label maps of faces."""

    name = "faces"
