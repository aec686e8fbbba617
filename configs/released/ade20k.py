"""ADE20K at 256x256 as the published code trains it: batch 4, higher rates, R1 every 4 steps.

Command: usis prepare --config=configs/released/ade20k.py --data_dir=DIR
         usis train --config=configs/released/ade20k.py --workdir=runs/released_ade20k
  DIR as for configs/ade20k.py; `configs/released/__init__.py` says what remains different.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: the published code names none; the paper's is FID 33.2, mIoU 17.38 of UperNet101.
"""

import ml_collections

from configs import ade20k, released


def get_config() -> ml_collections.ConfigDict:
    """The paper's configuration with the published code's values."""
    config = ade20k.get_config()
    released.apply(config)
    # 200 epochs of 20,210 photos in batches of 4; the paper names no number of steps.
    config.steps = 200 * (20210 // config.batch_size)
    # Paper: WaveletUpsample and instance norm. The published one crashes at this size.
    config.decoder.name = "none"
    return config
