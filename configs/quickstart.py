"""First run: the embedded street scenes on a laptop or any two CPU cores, with small networks.

Command: bash launch/quickstart.sh
  or: usis prepare --config=configs/quickstart.py
      usis train --config=configs/quickstart.py --workdir=runs/quickstart
Hardware: two CPU cores.
Time: 9 minutes for 1500 steps with compilation, grids and measuring, on two cores of a server
  (measured); 10 to 13 minutes from a fresh clone, with installing and drawing the scenes (measured,
  pip's downloads cached).
Result: launch/quickstart.png. Roads, skies, house fronts, trees, signs, persons and fences in
  colours and textures of their own where the map has them; cars as grey shapes with a roof; another
  noise gives another light and sky (measured). FID 183, mIoU 21 % by an evaluator; real images
  have 61 and 61 % (measured, `usis evaluate`, 200 images, fid-published). A run of the same seed
  with other rounding had 181 and 31 %.
"""

import ml_collections

from configs import small


def get_config() -> ml_collections.ConfigDict:
    """The small networks on the embedded scenes, for nine minutes."""
    config = small.get_config()
    config.steps = 1500
    # So few steps are too few for "joint" with some seeds, which learn the classes later.
    config.update = "alternating"
    # Too few steps for a rate that rises slowly.
    config.r1_gamma = 1.0
    config.optimizer.discriminator_rate = 1e-3
    config.optimizer.discriminator_warmup = 0
    config.ema_decay = 0.998
    config.log_interval = 20
    config.sample_interval = 250
    config.checkpoint_interval = 500
    config.eval_interval = 500

    config.data.height = 64
    config.data.width = 128
    return config
