"""Cityscapes at 256x512 with the paper's settings: batch 8, K = 35, Z = 64.

Command: usis prepare --config=configs/cityscapes.py --data_dir=DIR
         usis train --config=configs/cityscapes.py --workdir=runs/cityscapes
  DIR has leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of www.cityscapes-dataset.com,
  or what is in them: leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and
  gtFine/{train,val}/CITY/*_gtFine_labelIds.png. 2,975 are for training, 500 for validation.
Data: resized to 512x256 (PIL bicubic, label maps nearest) and mirrored at random, as published.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured; a step without R1 is 32 TFLOP (XLA's count for update=alternating).
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
