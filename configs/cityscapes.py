"""Cityscapes at 256x512 with the paper's settings: batch 8, K = 35, Z = 64.

Command: usis train --config=configs/cityscapes.py --workdir=runs/cityscapes
  This version has no builder for Cityscapes. Until it has, give your copy as a folder data set
  (README, "Your own data") under another name, for example
  --config.data.photos=streets:train --config.data.labels=streets:train
  --config.data.validation=streets:validation --config.data.label_spec=cityscapes
  with `usis prepare` and `usis train`.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Result: FID 53.7, mIoU 44.8 of DRN-D-105 (paper). The number of steps is ours.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base, which is this data set's."""
    config = base.get_config()
    config.data.photos = "cityscapes:train"
    config.data.labels = "cityscapes:train"
    config.data.validation = "cityscapes:validation"
    config.data.height = 256
    config.data.width = 512
    config.batch_size = 8
    return config
