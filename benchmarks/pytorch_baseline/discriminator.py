"""The wavelet discriminator and its decoder, which work on Haar coefficients."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pytorch_baseline import haar
from benchmarks.pytorch_baseline.layers import (
    Blur,
    EqualDense,
    activated_conv,
    minibatch_stddev,
    small_xavier,
)


class FromWavelet(nn.Module):
    """1x1 convolution of Haar coefficients; each but the first halves their size before.

    Source: paper §5.2, fig. 4 (SWAGAN).
    """

    def __init__(self, outputs: int, first: bool):
        super().__init__()
        self.conv = activated_conv(12, outputs, 1)
        self.halve = None if first else Blur(1, stride=2)

    def forward(self, wavelets: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 12, h, w] -> (the coefficients at this level, features)."""
        if self.halve is not None:
            wavelets = haar.forward(self.halve(haar.inverse(wavelets)))
        return wavelets, self.conv(wavelets)


class Level(nn.Module):
    """Two 3x3 convolutions, the second of which halves the size. Source: paper §5.2, fig. 4."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = activated_conv(inputs, inputs, 3)
        self.conv2 = activated_conv(inputs, outputs, 3, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h/2, w/2]."""
        return self.conv2(self.conv1(x))


class WaveletDiscriminator(nn.Module):
    """SWAGAN's discriminator: one score an image, and its features.

    `grid` is the size of the last feature, `widths` are those of levels 0, 1, ...

    Source: paper §5.2, fig. 4.
    """

    def __init__(self, widths: list[int], grid: tuple[int, int], dense: int = 512, group: int = 4):
        super().__init__()
        self.group = group
        self.from_rgbs = nn.ModuleList(
            FromWavelet(width, number == 0) for number, width in enumerate(widths)
        )
        self.convs = nn.ModuleList(
            Level(before, after) for before, after in itertools.pairwise(widths)
        )
        self.final_conv = activated_conv(widths[-1] + 1, widths[-1], 3)
        self.final_linear = nn.Sequential(
            EqualDense(widths[-1] * grid[0] * grid[1], dense, activate=True), EqualDense(dense, 1)
        )

    def forward(self, photo: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, 3, H, W] -> (score [B, 1], features fine to coarse)."""
        wavelets, x = self.from_rgbs[0](haar.forward(photo))
        features = []
        for level, from_wavelet in zip(self.convs, self.from_rgbs[1:], strict=True):
            wavelets, added = from_wavelet(wavelets)
            x = level(x) + added
            features.append(x)
        x = self.final_conv(minibatch_stddev(x, self.group))
        return self.final_linear(x.contiguous().flatten(1)), features


class WaveletDecoder(nn.Module):
    """WaveletUpsample blocks (Haar-domain x2, 3x3 convolution, instance norm, leaky ReLU) from
    coarse features to an image; each level's feature is concatenated before the next block.

    `channels` are the features', fine to coarse; `width_max` the most channels of a block.

    Source: paper §5.2, fig. 4; widths are ours.
    """

    def __init__(self, channels: list[int], width_max: int = 512):
        super().__init__()
        finest = max(4, channels[0] // 2 // 4 * 4)
        widths = [min(width, width_max) for width in (*channels[-2::-1], finest)]
        joined = (0, *channels[-2::-1])
        ins = [
            before + more for before, more in zip((channels[-1], *widths[:-1]), joined, strict=True)
        ]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False)
            for before, after in zip(ins, widths, strict=True)
        )
        self.to_wavelet = small_xavier(nn.Conv2d(widths[-1], 12, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features fine to coarse -> photo [B, 3, H, W]."""
        x = features[-1]
        for number, conv in enumerate(self.convs):
            if number:
                x = torch.cat([x, features[-1 - number]], dim=1)
            x = F.leaky_relu(F.instance_norm(conv(haar.upsample(x))), 0.2)
        return torch.tanh(haar.inverse(self.to_wavelet(x)))
