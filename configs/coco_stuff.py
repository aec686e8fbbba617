"""COCO-Stuff at 256x256 with the paper's settings: batch 32, K = 183, Z = 64.

Command: usis prepare --config=configs/coco_stuff.py --data_dir=DIR
         usis train --config=configs/coco_stuff.py --workdir=runs/coco_stuff
  This version does not read COCO-Stuff's own folders: DIR has photos/ and labels/, each with train/
  and val/ in it. Its classes are built in.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: FID 27.8, mIoU 14.06 of DeepLabV2 (paper). The number of steps is ours.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base at 256x256 with random crops."""
    config = base.get_config()
    config.data.photos = "coco_stuff:train"
    config.data.labels = "coco_stuff:train"
    config.data.validation = "coco_stuff:validation"
    # Stored at 286x286, of which training sees a random 256x256.
    config.data.height = 256
    config.data.width = 256
    config.data.load_height = 286
    config.data.load_width = 286
    config.batch_size = 32
    return config
