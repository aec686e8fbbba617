"""Faces of CelebAMask-HQ: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/faces.py --data_dir=DIR
         usis train --config=configs/faces.py --workdir=runs/faces
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 18 of the data set's 19 classes, without void.
Hardware: two CPU cores.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base with networks for a CPU and a few hundred photos."""
    config = base.get_config()
    config.steps = 20_000
    config.batch_size = 4
    config.update = "joint"
    config.sample_interval = 500
    config.checkpoint_interval = 500
    config.eval_interval = 1000
    config.ema_decay = 0.998

    config.data.photos = "faces:train[:50%]"
    config.data.labels = "faces:train[50%:]"
    config.data.validation = "faces:validation"
    config.data.height = 96
    config.data.width = 96
    config.data.threads = 2

    config.generator.width = 12
    config.generator.multipliers = (8, 8, 8, 4, 2, 1)
    config.generator.z_dim = 16
    config.generator.spade_width = 24
    config.generator.spade_kernel = 1
    config.segmenter.down = (16, 32, 64, 64)
    config.segmenter.up = (64, 64, 32, 16)
    config.discriminator.channel_base = 2048
    config.discriminator.channel_max = 96
    config.discriminator.dense = 96
    # A few hundred photos are soon known by heart without it.
    config.discriminator.augment = "color,translation,cutout"
    config.decoder.width_max = 96

    config.optimizer.generator_rate = 5e-4
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 5e-4
    return config
