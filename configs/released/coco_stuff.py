"""COCO-Stuff at 256x256 as the published code trains it: batch 4, higher rates, R1 every 4 steps.

Command: usis prepare --config=configs/released/coco_stuff.py --data_dir=DIR
         usis train --config=configs/released/coco_stuff.py --workdir=runs/released_coco_stuff
  DIR as for configs/coco_stuff.py; `configs/released/__init__.py` says what remains different.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: the published code names none; the paper's is FID 27.8, mIoU 14.06 of DeepLabV2.
"""

import ml_collections

from configs import coco_stuff, released


def get_config() -> ml_collections.ConfigDict:
    """The paper's configuration with the published code's values."""
    config = coco_stuff.get_config()
    released.apply(config)
    # 100 epochs of 118,287 photos in batches of 4; the paper names no number of steps.
    config.steps = 100 * (118287 // config.batch_size)
    # Paper: WaveletUpsample and instance norm. The published one crashes at this size.
    config.decoder.name = "none"
    return config
