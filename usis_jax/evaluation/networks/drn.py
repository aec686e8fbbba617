"""DRN-D-105, which measures Cityscapes' published mIoU, at one scale and at six.

Source: Yu, Koltun, Funkhouser, "Dilated Residual Networks", CVPR 2017; sizes, mean photo and scales
of github.com/fyu/drn.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from usis_jax.errors import UserError
from usis_jax.evaluation.networks.residual import EXPANSION, Bottleneck, Convolution

CLASSES = 19
"""Outputs: the classes of Cityscapes' benchmark."""
STRIDE = 8
"""Sides of photos must be multiples of this, or the result is larger than the photo."""
MEAN = (0.29010095242892997, 0.32808144844279574, 0.28696394422942517)
DEVIATION = (0.1829540508368939, 0.18656561047509476, 0.18447508988480435)
"""Red, green and blue of Cityscapes' training photos in [0, 1]."""
PLAIN = {0: (7, 16, 1, 1), 1: (3, 16, 1, 1), 2: (3, 32, 2, 1), 7: (3, 512, 1, 2), 8: (3, 512, 1, 1)}
"""Levels of one convolution: size, width, stride, dilation."""
BLOCKS = {3: (3, 64, 2, 1), 4: (4, 128, 2, 1), 5: (23, 256, 1, 2), 6: (3, 512, 1, 4)}
"""Levels of residual blocks: how many, inner width, stride of the first, dilation."""
SCALES = (1.0, 0.5, 0.75, 1.25, 1.5, 1.75)
"""Sizes at which photos are read for the multi-scale score."""
_REACH = 2 * STRIDE


class Drn(nn.Module):
    """Photos to logits.

    Attributes:
      num_classes: of the output.
      enlarged: the logits have the photos' size, else an eighth of it.

    Source: Yu et al. 2017, architecture D; its published segmentation head.
    """

    num_classes: int = CLASSES
    enlarged: bool = True

    @nn.compact
    def __call__(self, photos):
        """Classifies pixels.

        Args:
          photos: float [B, H, W, 3], RGB in [0, 255]; 1024 x 2048 as published.

        Returns:
          float32 [B, h, w, num_classes]; h is H rounded up to a multiple of 8, or an eighth of it.

        Raises:
          UserError: photos are no photos.
        """
        if photos.ndim != 4 or photos.shape[3] != 3 or not all(photos.shape):
            raise UserError(f"photos must be [B, H, W, 3], got {photos.shape}")
        x = (photos.astype(jnp.float32) / 255 - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)
        for level in range(len(PLAIN) + len(BLOCKS)):
            x = _level(x, level)
        logits = Convolution(self.num_classes, relu=False, name="classes")(x)
        shape = _REACH, _REACH, self.num_classes
        kernel = self.param("enlarge", nn.initializers.ones, shape)
        return _enlarge(logits, kernel) if self.enlarged else logits


def convolutions(num_classes: int = CLASSES) -> dict[str, tuple[int, int, int]]:
    """Every convolution's path in the variables and (size, channels read, width), as computed."""
    found, read = {}, 3
    for level in range(len(PLAIN) + len(BLOCKS)):
        if level in PLAIN:
            size, width, _, _ = PLAIN[level]
            found[f"level_{level}"], read = (size, read, width), width
            continue
        blocks, width, _, _ = BLOCKS[level]
        for block in range(blocks):
            name, wide = f"level_{level}_{block}", EXPANSION * width
            found[f"{name}/narrow"] = (1, read, width)
            found[f"{name}/middle"] = (3, width, width)
            found[f"{name}/widen"] = (1, width, wide)
            if not block:
                found[f"{name}/project"] = (1, read, wide)
            read = wide
    return found | {"classes": (1, read, num_classes)}


def read_scales(log_shares: Callable, photos) -> jax.Array:
    """Sums what a network reads at six sizes of each photo.

    Args:
      log_shares: float32 [B, h, w, 3] of any size in [0, 255] -> float [B, h', w', C], the
        logarithms of the classes' shares, h' about h.
      photos: uint8 [B, H, W, 3].

    Returns:
      float32 [B, H, W, C].

    Source: the multi-scale test of github.com/fyu/drn; photos are resized by PIL's bicubic filter
    in 8 bits, results by its bilinear one.
    """
    height, width = photos.shape[1:3]
    total = 0
    for scale in SCALES:
        sides = (int(width * scale), int(height * scale))
        sized = np.stack([
            np.asarray(Image.fromarray(photo).resize(sides, Image.Resampling.BICUBIC))
            for photo in photos])  # fmt: skip
        part = log_shares(sized.astype(np.float32))
        shape = (len(photos), height, width, part.shape[3])
        total += jax.image.resize(part, shape, "linear", antialias=True)
    return total


def _level(x, level):
    """One level of the network; a submodule of the caller for each convolution or block."""
    if level in PLAIN:
        size, width, stride, dilation = PLAIN[level]
        return Convolution(width, size, stride, dilation, name=f"level_{level}")(x)
    blocks, width, stride, dilation = BLOCKS[level]
    for block in range(blocks):
        x = Bottleneck(
            width,
            1 if block else stride,
            dilation,
            projected=not block,
            name=f"level_{level}_{block}",
        )(x)
    return x


def _enlarge(x, kernel):
    """Transposed convolution of each channel with stride 8 and a kernel of 16 x 16.

    Every pixel lies under the kernels of two rows and two columns, so it is a sum of four terms.
    """
    batch, height, width, channels = x.shape
    total = 0
    for row in range(2):
        for column in range(2):
            part = jnp.pad(x, ((0, 0), (row, 1 - row), (column, 1 - column), (0, 0)))
            taps = kernel[row * STRIDE :][:STRIDE, column * STRIDE :][:, :STRIDE]
            total += part[:, :, None, :, None] * taps[:, None]
    shape = batch, STRIDE * (height + 1), STRIDE * (width + 1), channels
    half = STRIDE // 2
    return total.reshape(shape)[:, half:-half, half:-half]
