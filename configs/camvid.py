"""CamVid street scenes: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/camvid.py --data_dir=DIR
         usis train --config=configs/camvid.py --workdir=runs/camvid
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 10 of the 11 classes and 11 for void.
Hardware: two CPU cores.
"""

import ml_collections

from configs import small


def get_config() -> ml_collections.ConfigDict:
    """The small networks on 184 photos and 183 label maps of other moments."""
    config = small.get_config()
    config.steps = 10_000
    config.sample_interval = 500
    config.checkpoint_interval = 500
    config.eval_interval = 1000

    config.data.photos = "camvid:train[:50%]"
    config.data.labels = "camvid:train[50%:]"
    config.data.validation = "camvid:validation"
    config.data.height = 96
    config.data.width = 128

    config.generator.width = 12
    config.generator.multipliers = (10, 10, 6, 4, 2, 1)
    config.generator.spade_width = 24
    # Fewer than two hundred photos are soon known by heart without it.
    config.discriminator.augment = "translation"
    return config
