"""UPerNet with ResNet-101, which measures ADE20K's published mIoU.

Source: Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018; sizes and
names of github.com/CSAILVision/semantic-segmentation-pytorch, whose ResNet begins with three
convolutions and strides in the middle of its blocks.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from usis_jax.errors import UserError
from usis_jax.evaluation.networks.residual import EXPANSION, Bottleneck, Convolution, resize

CLASSES = 150
"""Outputs: class i is id i + 1 of ADE20K's label files, where 0 is void."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Red, green and blue, in [0, 1], of the mean photo and of the deviation from it."""
STEM = ((64, 2), (64, 1), (128, 1))
"""Widths and strides of the first three convolutions."""
STAGES = ((3, 64, 1), (4, 128, 2), (23, 256, 2), (3, 512, 2))
"""Of each stage: blocks, inner width, stride of the first block."""
POOLS = (1, 2, 3, 6)
"""Sides of the grids over which the deepest stage is averaged."""
WIDTH = 512
"""Of everything behind the encoder."""
MULTIPLE = 32
"""The published evaluation brings photos to sides that are multiples of this."""
SIDES, LONGEST = (300, 375, 450, 525, 600), 1000
"""Shorter sides at which the published evaluation reads photos, and the limit of the longer one."""


class Encoder(nn.Module):
    """ResNet-101: photos to the results of its four stages, at 1/4, 1/8, 1/16 and 1/32."""

    @nn.compact
    def __call__(self, x):
        """Args: x: normalised float [B, H, W, 3]. Returns: list of float [B, h, w, C]."""
        for index, (width, stride) in enumerate(STEM):
            x = Convolution(width, 3, stride, name=f"stem_{index}")(x)
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        found = []
        for stage, (blocks, width, stride) in enumerate(STAGES):
            for block in range(blocks):
                x = Bottleneck(
                    width,
                    1 if block else stride,
                    projected=not block,
                    name=f"stage_{stage}_{block}",
                )(x)
            found.append(x)
        return found


class Decoder(nn.Module):
    """Pyramid of averages over the deepest stage, then a feature pyramid back up.

    Attributes:
      num_classes: of the output.
    """

    num_classes: int = CLASSES

    @nn.compact
    def __call__(self, stages):
        """Args: stages: as from `Encoder`. Returns: float [B, H / 4, W / 4, num_classes]."""
        *shallow, deepest = stages
        height, width = deepest.shape[1:3]
        parts = [deepest]
        for side in POOLS:
            part = Convolution(WIDTH, name=f"pool_{side}")(
                resize(average_grid(deepest, side), height, width)
            )
            parts.append(part)
        x = Convolution(WIDTH, 3, name="pooled")(jnp.concatenate(parts, axis=3))
        levels = [x]
        for index in reversed(range(len(shallow))):
            lateral = Convolution(WIDTH, name=f"lateral_{index}")(shallow[index])
            x = lateral + resize(x, *lateral.shape[1:3])
            levels.insert(0, Convolution(WIDTH, 3, name=f"level_{index}")(x))
        height, width = levels[0].shape[1:3]
        joint = jnp.concatenate([resize(level, height, width) for level in levels], axis=3)
        joint = Convolution(WIDTH, 3, name="joint")(joint)
        return Convolution(self.num_classes, relu=False, name="classes")(joint)


class UPerNet(nn.Module):
    """Photos to logits.

    Attributes:
      num_classes: of the output.

    Source: Xiao et al. 2018, the segmentation head alone.
    """

    num_classes: int = CLASSES

    @nn.compact
    def __call__(self, photos):
        """Classifies places.

        Args:
          photos: float [B, H, W, 3], RGB in [0, 255]; sides multiples of MULTIPLE as published.

        Returns:
          float32 [B, h, w, num_classes], h about H / 4; to be resized by `residual.resize`.

        Raises:
          UserError: no photos.
        """
        if photos.ndim != 4 or photos.shape[3] != 3 or not all(photos.shape):
            raise UserError(f"photos must be [B, H, W, 3], got {photos.shape}")
        x = (photos.astype(jnp.float32) / 255 - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)
        return Decoder(self.num_classes, name="decoder")(Encoder(name="encoder")(x))


def sizes(height: int, width: int, sides=SIDES, longest: int = LONGEST) -> list[tuple[int, int]]:
    """Sizes at which the published evaluation reads a photo.

    Args:
      height, width: of the photo.
      sides: its shorter sides.
      longest: limit of the longer side, before rounding up to MULTIPLE.

    Returns:
      (height, width) for each of `sides`.
    """
    found = []
    for side in sides:
        scale = min(side / min(height, width), longest / max(height, width))
        found.append(tuple(-(-int(old * scale) // MULTIPLE) * MULTIPLE for old in (height, width)))
    return found


def probabilities(variables, photos, sides=SIDES, longest: int = LONGEST) -> np.ndarray:
    """Probability of each class at each pixel, the mean over sizes as in the published evaluation.

    Args:
      variables: of `UPerNet`.
      photos: uint8 [B, H, W, 3].
      sides, longest: as of `sizes`; a single side makes a single-scale reading.

    Returns:
      float32 [B, H, W, num_classes].
    """
    photos = np.asarray(photos)
    height, width = photos.shape[1:3]
    total = 0
    for rows, columns in sizes(height, width, sides, longest):
        resized = [
            np.asarray(Image.fromarray(photo).resize((columns, rows), Image.Resampling.BILINEAR))
            for photo in photos
        ]
        total = total + _probabilities(variables, np.stack(resized), height, width) / len(sides)
    return np.asarray(total)


def read(variables, photos, sides=SIDES, longest: int = LONGEST) -> np.ndarray:
    """Most likely class of each pixel: int32 [B, H, W]; arguments as of `probabilities`."""
    return probabilities(variables, photos, sides, longest).argmax(-1).astype(np.int32)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _probabilities(variables, photos, height, width):
    classes = variables["params"]["decoder"]["classes"]["conv"]["bias"].size
    logits = UPerNet(classes).apply(variables, photos)
    return nn.softmax(resize(logits, height, width))


def average_grid(x, side: int):
    """Averages over a grid of side x side cells, which overlap where sizes do not divide.

    Args:
      x: float [B, H, W, C].
      side: of the grid.

    Returns:
      float [B, side, side, C].

    Source: torch.nn.AdaptiveAvgPool2d.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        cells = [
            jnp.take(x, jnp.arange(i * size // side, -(-(i + 1) * size // side)), axis)
            .mean(axis, keepdims=True)
            for i in range(side)
        ]  # fmt: skip
        x = jnp.concatenate(cells, axis)
    return x


def encoder_convolutions() -> dict[str, tuple[int, ...]]:
    """Every convolution's path in the encoder and (size, channels read, width), as computed."""
    found, read = {}, 3
    for index, (width, _) in enumerate(STEM):
        found[f"stem_{index}"], read = (3, read, width), width
    for stage, (blocks, width, _) in enumerate(STAGES):
        for block in range(blocks):
            name, wide = f"stage_{stage}_{block}", EXPANSION * width
            found[f"{name}/narrow"] = (1, read, width)
            found[f"{name}/middle"] = (3, width, width)
            found[f"{name}/widen"] = (1, width, wide)
            if not block:
                found[f"{name}/project"] = (1, read, wide)
            read = wide
    return found


def decoder_convolutions(num_classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """As `encoder_convolutions`, of the decoder."""
    *shallow, deepest = [EXPANSION * width for _, width, _ in STAGES]
    found = {f"pool_{side}": (1, deepest, WIDTH) for side in POOLS}
    found["pooled"] = (3, deepest + len(POOLS) * WIDTH, WIDTH)
    found |= {f"lateral_{index}": (1, read, WIDTH) for index, read in enumerate(shallow)}
    found |= {f"level_{index}": (3, WIDTH, WIDTH) for index in range(len(shallow))}
    found["joint"] = (3, len(STAGES) * WIDTH, WIDTH)
    return found | {"classes": (1, WIDTH, num_classes)}
