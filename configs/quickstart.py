"""First run: the embedded street scenes on a laptop or any two CPU cores, with small networks.

Command: bash launch/quickstart.sh
  or: usis prepare --config=configs/quickstart.py
      usis train --config=configs/quickstart.py --workdir=runs/quickstart
Hardware: two CPU cores.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base with small networks and short intervals."""
    config = base.get_config()
    config.steps = 2000
    config.batch_size = 4
    config.update = "joint"
    config.sample_interval = 200
    config.checkpoint_interval = 500
    config.eval_interval = 500
    config.ema_decay = 0.995

    config.data.height = 64
    config.data.width = 128
    config.data.num_scenes = 1500
    config.data.num_validation = 200
    config.data.threads = 2

    config.generator.width = 8
    config.generator.multipliers = (8, 8, 8, 4, 2)
    config.generator.z_dim = 16
    config.generator.spade_width = 16
    config.generator.spade_kernel = 1
    config.segmenter.down = (16, 32, 64, 64)
    config.segmenter.up = (64, 64, 32, 16)
    config.discriminator.channel_base = 1024
    config.discriminator.channel_max = 64
    config.discriminator.dense = 64
    config.decoder.width_max = 64

    config.optimizer.generator_rate = 5e-4
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 5e-4
    return config
