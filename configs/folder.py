"""Your own photos and label maps, from a folder, at 256x256 with the paper's networks.

Command: usis inspect DIR
         usis prepare --photos=DIR/photos --labels=DIR/labels
         and the `usis train` command that it prints; or, with this configuration's own names,
         usis prepare --config=configs/folder.py --data_dir=DIR
         usis train --config=configs/folder.py --workdir=runs/folder
  DIR has photos/ and labels/, and label_spec.toml (docs/own_data.md); for
  --data_dir photos/ and labels/ have train/ and validation/ in them.
Hardware: GPU or TPU. For a CPU give usis prepare --config=configs/small.py --height=64 --width=96.
Time and result: your data's; not measured.
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """Base at 256x256 on a folder data set."""
    config = base.get_config()
    config.data.photos = "folder:train"
    config.data.labels = "folder:train"
    config.data.validation = "folder:validation"
    config.data.height = 256
    config.data.width = 256
    return config
