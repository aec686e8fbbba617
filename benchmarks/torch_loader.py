"""The published preprocessing in a PyTorch DataLoader that reads the published files.

Written from the description of it: resize to 286x286 (bicubic for photos, nearest for label maps),
random crop of 256x256, random mirroring, photos to float [3, H, W] in [-1, 1], label maps to int.
"""

import pathlib
import random

import numpy as np
import torch
from PIL import Image

PASSES = 1000


class Pairs(torch.utils.data.Dataset):
    """Photos and label maps of a folder, each drawn by its own place in the list of files.

    Args:
      folder: folder with photos/train/*.jpg and labels/train/*.png.
      load_size: rows and columns after resizing.
      crop_size: rows and columns of what is returned.
    """

    def __init__(self, folder: pathlib.Path, load_size: int, crop_size: int):
        self._photos = sorted((folder / "photos/train").iterdir())
        self._labels = sorted((folder / "labels/train").iterdir())
        self._load_size, self._crop_size = load_size, crop_size

    def __len__(self) -> int:
        # One long pass, so that workers never wait for the next one to begin.
        return PASSES * len(self._photos)

    def __getitem__(self, index):
        photo = Image.open(self._photos[index % len(self._photos)]).convert("RGB")
        label = Image.open(self._labels[index // PASSES % len(self._labels)])
        photo = self._transform(photo, Image.Resampling.BICUBIC)
        label = self._transform(label, Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()
        return pixels.float().div(255).sub(0.5).div(0.5), torch.from_numpy(np.array(label)).long()

    def _transform(self, image, filter_):
        """Resizes, cuts out and mirrors at random."""
        image = image.resize((self._load_size, self._load_size), filter_)
        left, top = (random.randint(0, self._load_size - self._crop_size) for _ in range(2))
        image = image.crop((left, top, left + self._crop_size, top + self._crop_size))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


def batches(folder: pathlib.Path, load_size: int, crop_size: int, batch_size: int, workers: int):
    """Shuffled batches of (float [B, 3, H, W], int64 [B, H, W]) from worker processes; 0 = none."""
    torch.set_num_threads(1)
    # Fresh processes: those forked from one with threads, as JAX and Grain start, may hang.
    more = {"multiprocessing_context": "spawn", "prefetch_factor": 2} if workers else {}
    loader = torch.utils.data.DataLoader(
        Pairs(folder, load_size, crop_size),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        **more,
    )
    return iter(loader)
