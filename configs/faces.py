"""Faces of CelebAMask-HQ: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/faces.py --data_dir=DIR
         usis train --config=configs/faces.py --workdir=runs/faces
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 18 of the data set's 19 classes, without void.
Hardware: two CPU cores.
Time: 5.8 steps a second with both cores to itself (measured); beside other jobs 10,000 steps took
  1 hour 14 minutes (measured). 15,000 steps have not been run.
Result: at step 10,000 portraits at 64x64: skin with light from one side, hair with strands and
  highlights, hats, brows, eyes with iris and lid, nose and lips where the map has them; another
  noise gives another light, hair colour and background; cheeks and noses are sometimes uneven,
  backgrounds blurred (measured). Sliced Wasserstein distance to 100 validation photos 76.6, 59.6,
  47.8, 36.7 at steps 1,000 to 4,000 and 37.0 at 10,000; 100 training photos have 31.9 (measured).
  At step 10,063, 100 generated images against 100 validation photos: FID 131.4, KID 0.065, mIoU
  0.355 by an evaluator; 100 training photos have FID 73.6 and KID -0.001, the validation photos
  mIoU 0.454 by the same evaluator (measured, `usis evaluate --step=latest`, fid-published).
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

    config.generator.z_dim = 32
    # A few hundred photos are soon known by heart without it.
    config.discriminator.augment = "translation"
    return config
