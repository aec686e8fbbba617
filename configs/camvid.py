"""CamVid street scenes: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/camvid.py --data_dir=DIR
         usis train --config=configs/camvid.py --workdir=runs/camvid
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 10 of the 11 classes and 11 for void.
Hardware: two CPU cores.
Time: 2.6 steps a second with both cores to itself (measured); beside other jobs 4,545 steps took 1
  hour 7 minutes (measured). 10,000 steps have not been run.
Result: at step 4,000 streets at 96x128: grey road, kerbs and pavements, dark or sunlit house
  fronts, bright sky, wintry trees, thin poles where the map has them, and another light with other
  noise; cars are brown, persons pale shapes, fronts have texture but no windows (measured). Sliced
  Wasserstein distance to the 101 validation photos 92.6, 83.3, 81.9, 73.2 at steps 1,000 to 4,000;
  101 training photos have 80.5, since validation is one drive (measured). At step 4,545 FID 270.9,
  KID 0.350, mIoU 0.326 by an evaluator; training photos have FID 134.8 and KID 0.085, validation
  photos mIoU 0.523 by the same evaluator (measured, `usis evaluate --step=latest`, fid-published).
  A run that began with half the discriminator's rate and three times its penalty had 292.2, 0.388
  and 0.321 at step 4,700.
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
