"""ADE20K at 256x256 with the paper's settings: batch 32, K = 151, Z = 64.

Command: usis prepare --config=configs/ade20k.py --data_dir=DIR
         usis train --config=configs/ade20k.py --workdir=runs/ade20k
  DIR has ADEChallengeData2016.zip of sceneparsing.csail.mit.edu, or the folder that is in it.
  20,210 are for training, 2,000 for validation.
Data: as published. Training photos are resized to 286x286 (PIL bicubic, label maps nearest), of
  which training sees a random 256x256, mirrored at random; validation is resized to 256x256.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: FID 33.2, mIoU 17.38 of UperNet101 (paper). The number of steps is ours.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base at 256x256 with random crops."""
    config = base.get_config()
    config.data.photos = "ade20k:train"
    config.data.labels = "ade20k:train"
    config.data.validation = "ade20k:validation"
    # Training data are stored at 286x286, validation at 256x256.
    config.data.height = 256
    config.data.width = 256
    config.data.load_height = 286
    config.data.load_width = 286
    config.batch_size = 32
    return config
