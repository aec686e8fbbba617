"""Faces of CelebAMask-HQ: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/faces.py --data_dir=DIR
         usis train --config=configs/faces.py --workdir=runs/faces
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 18 of the data set's 19 classes, without void.
Hardware: two CPU cores.
"""

import ml_collections

from configs import small


def get_config() -> ml_collections.ConfigDict:
    """The small networks on 400 photos and 400 label maps of other faces."""
    config = small.get_config()
    config.steps = 15_000
    config.sample_interval = 1000
    config.checkpoint_interval = 1000
    config.eval_interval = 1000

    config.data.photos = "faces:train[:50%]"
    config.data.labels = "faces:train[50%:]"
    config.data.validation = "faces:validation"
    config.data.height = 64
    config.data.width = 64

    config.r1_gamma = 0.3
    config.optimizer.discriminator_rate = 2e-3
    config.generator.z_dim = 32
    # A few hundred photos are soon known by heart without it.
    config.discriminator.augment = "translation"
    return config
