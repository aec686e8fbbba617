"""Cityscapes at 256x512 as the published code trains it: batch 4, higher rates, R1 every 4 steps.

Command: usis prepare --config=configs/released/cityscapes.py --data_dir=DIR
         usis train --config=configs/released/cityscapes.py --workdir=runs/released_cityscapes
  DIR as for configs/cityscapes.py; `configs/released/__init__.py` says what remains different.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: the published code names none; the paper's is FID 53.7, mIoU 44.8 of DRN-D-105.
"""

import ml_collections

from configs import cityscapes, released


def get_config() -> ml_collections.ConfigDict:
    """The paper's configuration with the published code's values."""
    config = cityscapes.get_config()
    released.apply(config)
    # 200 epochs of 2,975 photos in batches of 4; the paper names no number of steps.
    config.steps = 200 * (2975 // config.batch_size)
    # Paper: 1e-4 and 0.9999.
    config.optimizer.generator_rate = 4e-4
    config.ema_decay = 0.999
    # Paper: WaveletUpsample and instance norm. This is the nearest to the published one; it is
    # trained here.
    config.decoder.name = "transposed"
    return config
