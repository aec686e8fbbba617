"""DeepLab v2 with ResNet-101, read at three scales: which measures COCO-Stuff's published mIoU.

Source: Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous
Convolution, and Fully Connected CRFs", TPAMI 2018, without the random field; sizes and names of
github.com/kazuto1011/deeplab-pytorch.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.errors import UserError
from usis_jax.evaluation.networks.residual import EXPANSION, Bottleneck, Convolution, resize

CLASSES = 182
"""Outputs of the COCO-Stuff network: the ids of its label files, 11 of which name nothing."""
MEAN = (122.675, 116.669, 104.008)
"""Red, green and blue of the mean photo, taken away in front of the network."""
STAGES = ((3, 64, 1, 1), (4, 128, 2, 1), (23, 256, 1, 2), (3, 512, 1, 4))
"""Of each stage: blocks, inner width, stride of the first block, dilation."""
RATES = (6, 12, 18, 24)
"""Dilations of the convolutions whose sum is the result."""
SCALES = (0.5, 0.75)
"""At which photos are read besides their own size."""
SMALLEST = 32
"""Photos must have this side, or the smallest scale has nothing to look at."""


class SingleScale(nn.Module):
    """DeepLab v2 at one scale; arguments as `DeepLab`.

    Source: Chen et al. 2018, large field of view ("LargeFOV") in four rates.
    """

    num_classes: int = CLASSES

    @nn.compact
    def __call__(self, x):
        """Args: x: float [B, H, W, 3], BGR without mean. Returns: float [B, h, w, classes]."""
        x = Convolution(64, 7, 2, name="stem")(x)
        # As wide as a last pool that begins inside the photo, but may end behind it, makes it.
        margins = [(1, 2 - size % 2) for size in x.shape[1:3]]
        x = nn.max_pool(x, (3, 3), (2, 2), margins)
        for stage, (blocks, width, stride, dilation) in enumerate(STAGES):
            for block in range(blocks):
                x = Bottleneck(
                    width, 1 if block else stride, dilation, strided_first=True,
                    projected=not block, name=f"stage_{stage}_{block}")(x)  # fmt: skip
        parts = [
            Convolution(self.num_classes, 3, dilation=rate, relu=False, name=f"rate_{rate}")(x)
            for rate in RATES
        ]
        return sum(parts)


class DeepLab(nn.Module):
    """Photos to logits: of each place the highest of three scales.

    Attributes:
      num_classes: of the output.

    Source: Chen et al. 2018, multi-scale inputs fused by the maximum. Where a scaled side is no
    whole number, places are mapped by the scale itself, as PyTorch does since 1.6; earlier
    versions mapped them by the ratio of the sides.
    """

    num_classes: int = CLASSES

    @nn.compact
    def __call__(self, photos):
        """Classifies places.

        Args:
          photos: float [B, H, W, 3], RGB in [0, 255]; of their own size as published.

        Returns:
          float32 [B, h, w, num_classes], h about H / 8; to be resized by `residual.resize`.

        Raises:
          UserError: photos are too small or no photos.
        """
        if photos.ndim != 4 or photos.shape[3] != 3 or min(photos.shape[1:3]) < SMALLEST:
            raise UserError(
                f"photos must be [B, H, W, 3] with sides of {SMALLEST} or more, got {photos.shape}"
            )
        x = (photos.astype(jnp.float32) - jnp.asarray(MEAN))[..., ::-1]
        network = SingleScale(self.num_classes, name="base")
        logits = network(x)
        height, width = logits.shape[1:3]
        for scale in SCALES:
            sides = [int(side * scale) for side in x.shape[1:3]]
            part = network(resize(x, *sides, scale))
            logits = jnp.maximum(logits, resize(part, height, width))
        return logits


def read(variables, photos) -> np.ndarray:
    """Most likely class of each pixel, as the published evaluation finds it, without its CRF.

    Args:
      variables: of `DeepLab`.
      photos: uint8 [B, H, W, 3].

    Returns:
      int32 [B, H, W], outputs of the network.

    Raises:
      UserError: as `DeepLab`.
    """
    return np.asarray(_read(variables, np.asarray(photos)))


@jax.jit
def _read(variables, photos):
    classes = variables["params"]["base"][f"rate_{RATES[0]}"]["conv"]["bias"].size
    logits = DeepLab(classes).apply(variables, photos)
    return resize(logits, *photos.shape[1:3]).argmax(-1).astype(jnp.int32)


def convolutions(num_classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Every convolution's path in the variables and (size, channels read, width), as computed."""
    found, read = {"stem": (7, 3, 64)}, 64
    for stage, (blocks, width, _, _) in enumerate(STAGES):
        for block in range(blocks):
            name, wide = f"stage_{stage}_{block}", EXPANSION * width
            found[f"{name}/narrow"] = (1, read, width)
            found[f"{name}/middle"] = (3, width, width)
            found[f"{name}/widen"] = (1, width, wide)
            if not block:
                found[f"{name}/project"] = (1, read, wide)
            read = wide
    return found | {f"rate_{rate}": (3, read, num_classes) for rate in RATES}
