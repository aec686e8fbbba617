"""Photos of Cityscapes from label maps of the game GTA-V, at 256x512 with the paper's settings.

Command: usis prepare --config=configs/gta5_to_cityscapes.py --data_dir=DIR
         usis train --config=configs/gta5_to_cityscapes.py --workdir=runs/gta5_to_cityscapes
  DIR has what configs/cityscapes.py says, and 01_labels.zip to 10_labels.zip of
  download.visinf.tu-darmstadt.de/data/from_games or the folder labels/ that is in them; all of it
  directly or in DIR/cityscapes and DIR/gta5. With KITTI's data_object_image_2.zip beside them,
  --config.data.photos=cityscapes:train@0.7,kitti:train@0.3 mixes its photos in.
Data: 24,966 label maps, 2,975 photos; validation is Cityscapes' own.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time and result: not measured.
"""

import ml_collections

from configs import cityscapes


def get_config() -> ml_collections.ConfigDict:
    """Cityscapes with other label maps."""
    config = cityscapes.get_config()
    config.data.labels = "gta5:train"
    config.data.label_spec = "cityscapes"
    return config
