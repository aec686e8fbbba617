"""Faces of CelebAMask-HQ: photos of one half of the training split, label maps of the other.

Command: usis prepare --config=configs/faces.py --data_dir=DIR
         usis train --config=configs/faces.py --workdir=runs/faces
  DIR has images/{train,val}/*.png and labels/{train,val}/*.png with the same names, in which a
  label is one byte a pixel with the ids 0 to 18 of the data set's 19 classes, without void.
Hardware: two CPU cores.
Time: 5.8 steps a second with both cores to itself, 2 to 3.4 beside one or two other jobs; 7,429
  steps took 50 minutes so (measured). 15,000 steps have not been run.
Result: at step 7,000 recognisable faces at 64x64: skin, hair, brows, nose and mouth where the map
  has them, teeth, light from one side, another noise gives another light, hair colour and
  background; eyes are smeared, backgrounds blurred (measured). Sliced Wasserstein distance to 100
  validation photos 45.6, 44.7, 37.2 at steps 2,000, 4,000, 6,000; 100 real training photos have
  31.9 (measured). That run went on from step 1,433 with --accept_config_change and a stronger
  discriminator: --config.r1_gamma=0.3 --config.optimizer.discriminator_rate=2e-3; until there
  augment was "color,translation".
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
