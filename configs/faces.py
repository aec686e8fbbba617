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
    config.steps = 30_000
    config.batch_size = 4
    config.update = "joint"
    config.r1_gamma = 1.0
    config.ema_decay = 0.999
    config.sample_interval = 1000
    config.checkpoint_interval = 1000
    config.eval_interval = 2000

    config.data.photos = "faces:train[:50%]"
    config.data.labels = "faces:train[50%:]"
    config.data.validation = "faces:validation"
    config.data.height = 64
    config.data.width = 64
    config.data.threads = 0

    config.generator.width = 16
    config.generator.multipliers = (8, 8, 4, 4, 2, 1)
    config.generator.z_dim = 32
    config.generator.noise = "mixed"
    config.generator.spade_width = 32
    config.generator.spade_kernel = 1
    config.segmenter.down = (16, 32, 48, 64)
    config.segmenter.up = (48, 32, 24, 16)
    config.discriminator.channel_base = 2048
    config.discriminator.channel_max = 128
    config.discriminator.dense = 128
    # A few hundred photos are soon known by heart without it.
    config.discriminator.augment = "color,translation"
    config.decoder.width_max = 16

    config.optimizer.generator_rate = 1e-3
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 1e-3
    return config
