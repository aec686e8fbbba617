"""CamVid street scenes: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/camvid.py --data_dir=DIR
         usis train --config=configs/camvid.py --workdir=runs/camvid
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 10 of the 11 classes and 11 for void.
Hardware: two CPU cores.
Time: 2.6 steps a second with both cores to itself, about 1 beside other jobs; 3,253 steps took 33
  minutes so (measured). 10,000 steps have not been run.
Result: at step 3,000 streets at 96x128: grey road, dark house fronts, bright sky, wintry trees
  where the map has them, other noise, other light; persons and cars are black silhouettes
  (measured). Sliced Wasserstein distance to the 101 validation photos 90.3, 77.9, 83.6 at steps
  1,000, 2,000, 3,000; 101 real training photos have 82.2, since validation is one drive (measured).
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
