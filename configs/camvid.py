"""CamVid street scenes: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/camvid.py --data_dir=DIR
         usis train --config=configs/camvid.py --workdir=runs/camvid
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 10 of the 11 classes and 11 for void.
Hardware: two CPU cores.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base with networks for a CPU and a few hundred photos."""
    config = base.get_config()
    config.steps = 12_000
    config.batch_size = 4
    config.update = "joint"
    config.r1_gamma = 1.0
    config.ema_decay = 0.999
    config.sample_interval = 500
    config.checkpoint_interval = 500
    config.eval_interval = 1000

    config.data.photos = "camvid:train[:50%]"
    config.data.labels = "camvid:train[50%:]"
    config.data.validation = "camvid:validation"
    config.data.height = 96
    config.data.width = 128
    config.data.threads = 0

    config.generator.width = 12
    config.generator.multipliers = (10, 10, 6, 4, 2, 1)
    config.generator.z_dim = 16
    config.generator.noise = "mixed"
    config.generator.spade_width = 24
    config.generator.spade_kernel = 1
    config.segmenter.down = (12, 24, 32, 48)
    config.segmenter.up = (32, 24, 16, 12)
    config.discriminator.channel_base = 2048
    config.discriminator.channel_max = 128
    config.discriminator.dense = 128
    # Fewer than two hundred photos are soon known by heart without it.
    config.discriminator.augment = "color,translation"
    config.decoder.width_max = 16

    config.optimizer.generator_rate = 1e-3
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 1e-3
    return config
