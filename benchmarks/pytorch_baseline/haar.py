"""Haar transform of images, and upsampling in its domain."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows: LL, LH, HL, HH; columns: the pixels a, b, c, d of a 2x2 block.
_SIGNS = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1))


def _filters(x: Tensor, channels: int) -> Tensor:
    """[4 * channels, 1, 2, 2], the four filters of each channel."""
    signs = torch.tensor(_SIGNS, dtype=x.dtype, device=x.device).view(4, 1, 2, 2)
    return (0.5 * signs).repeat(channels, 1, 1, 1)


def forward(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 4C, H/2, W/2], groups LL, LH, HL, HH. Source: paper §5.2."""
    channels = x.shape[1]
    y = F.conv2d(x, _filters(x, channels), stride=2, groups=channels)
    return y.unflatten(1, (channels, 4)).transpose(1, 2).flatten(1, 2)


def inverse(y: Tensor) -> Tensor:
    """[B, 4C, h, w] -> [B, C, 2h, 2w], the inverse of `forward`. Source: paper §5.2."""
    channels = y.shape[1] // 4
    y = y.unflatten(1, (4, channels)).transpose(1, 2).flatten(1, 2)
    return F.conv_transpose2d(y, _filters(y, channels), stride=2, groups=channels)


def upsample(y: Tensor) -> Tensor:
    """Inverse Haar, bilinear x2 (half-pixel centres), Haar. Source: paper §5.2, fig. 4."""
    image = F.interpolate(inverse(y), scale_factor=2, mode="bilinear", align_corners=False)
    return forward(image)
