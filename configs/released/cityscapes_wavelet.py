"""Cityscapes with the wavelet generator as the published code trains it (USIS-Wavelet, ICASSP).

Command: usis prepare --config=configs/released/cityscapes_wavelet.py --data_dir=DIR
         usis train --config=configs/released/cityscapes_wavelet.py --workdir=runs/usis_wavelet
  DIR as for configs/cityscapes.py; `configs/released/__init__.py` says what remains different.
Hardware: GPU or TPU; these networks are far too large for a CPU.
Time: not measured.
Result: FID 50.14, mIoU 42.32 of DRN-D-105 (ICASSP version of the paper).
"""

import ml_collections

from configs.released import cityscapes


def get_config() -> ml_collections.ConfigDict:
    """The published values for Cityscapes with those of the published script for this generator."""
    config = cityscapes.get_config()
    # The wavelet generator is four times as wide as its width says, so 16 makes it as wide as the
    # SPADE generator of width 64.
    config.generator.name = "wavelet"
    config.generator.width = 16
    # The script trains without a decoder, and the README recommends 8 photos in a batch.
    config.decoder.name = "none"
    config.batch_size = 8
    config.steps = 200 * (2975 // config.batch_size)
    return config
