"""COCO-Stuff at 256x256 with the paper's settings: batch 32, K = 183, Z = 64.

Command: usis prepare --config=configs/coco_stuff.py --data_dir=DIR
         usis train --config=configs/coco_stuff.py --workdir=runs/coco_stuff
  DIR has train2017.zip, val2017.zip and stuffthingmaps_trainval2017.zip (github.com/nightrome/
  cocostuff), or what is in them: {train2017,val2017}/*.jpg and
  stuffthingmaps_trainval2017/{train2017,val2017}/*.png. 118,287 are for training, 5,000 for
  validation.
Data: as published. Training photos are resized to 286x286 (PIL bicubic, label maps nearest), of
  which training sees a random 256x256, mirrored at random; validation is resized to 256x256.
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
    # Training data are stored at 286x286, validation at 256x256.
    config.data.height = 256
    config.data.width = 256
    config.data.load_height = 286
    config.data.load_width = 286
    config.batch_size = 32
    return config
