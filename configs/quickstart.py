"""First run: the embedded street scenes on a laptop or any two CPU cores, with small networks.

Command: bash launch/quickstart.sh
  or: usis prepare --config=configs/quickstart.py
      usis train --config=configs/quickstart.py --workdir=runs/quickstart
Hardware: two CPU cores.
"""

import ml_collections

from configs import small


def get_config() -> ml_collections.ConfigDict:
    """The small networks on the embedded scenes, for ten minutes."""
    config = small.get_config()
    config.steps = 2000
    config.ema_decay = 0.998
    config.log_interval = 20
    config.sample_interval = 250
    config.checkpoint_interval = 500
    config.eval_interval = 500

    config.data.height = 64
    config.data.width = 128
    return config
