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
    config.steps = 2400
    config.batch_size = 4
    config.update = "joint"
    config.r1_gamma = 1.0
    config.ema_decay = 0.998
    config.log_interval = 20
    config.sample_interval = 300
    config.checkpoint_interval = 600
    config.eval_interval = 600

    config.data.height = 64
    config.data.width = 128
    config.data.threads = 0

    config.generator.width = 16
    config.generator.multipliers = (8, 8, 4, 4, 2, 1)
    config.generator.z_dim = 16
    config.generator.noise = "mixed"
    config.generator.spade_width = 32
    config.generator.spade_kernel = 1
    config.segmenter.down = (16, 32, 48, 64)
    config.segmenter.up = (48, 32, 24, 16)
    config.discriminator.channel_base = 2048
    config.discriminator.channel_max = 128
    config.discriminator.dense = 128
    config.decoder.width_max = 32

    config.optimizer.generator_rate = 1e-3
    config.optimizer.segmenter_rate = 1e-3
    config.optimizer.discriminator_rate = 1e-3
    return config
