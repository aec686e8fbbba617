"""The SPADE generator and the UNet segmenter, which work on pixels."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.pytorch_baseline.layers import Spade, SpectralConv, small_xavier


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class SpadeBlock(nn.Module):
    """Residual block of two SPADE layers and spectrally normalised convolutions.

    Source: paper §5.1.
    """

    def __init__(self, inputs: int, outputs: int, classes: int, hidden: int, size: int):
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = SpectralConv(inputs, middle, 3)
        self.conv_1 = SpectralConv(middle, outputs, 3)
        self.norm_0 = Spade(inputs, classes, hidden, size)
        self.norm_1 = Spade(middle, classes, hidden, size)
        self.learned = inputs != outputs
        if self.learned:
            self.conv_s = SpectralConv(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(inputs, classes, hidden, size)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """x [B, inputs, h, w], s [B, Z+K, H, W] -> [B, outputs, h, w]."""
        shortcut = self.conv_s(self.norm_s(x, s)) if self.learned else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, s), 0.2))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, s), 0.2))
        return shortcut + x


class SpadeGenerator(nn.Module):
    """SPADE generator with 3-D noise; widths are `multipliers` times `width`.

    Source: paper §5.1.
    """

    def __init__(
        self,
        classes: int,
        width: int = 64,
        multipliers=(16, 16, 16, 8, 4, 2, 1),
        z_dim: int = 64,
        hidden: int = 128,
        size: int = 3,
    ):
        super().__init__()
        widths = [width * multiplier for multiplier in multipliers]
        inputs = z_dim + classes
        self.stride = 2 ** (len(widths) - 2)
        self.fc = small_xavier(nn.Conv2d(inputs, widths[0], 3, padding=1))
        self.body = nn.ModuleList(
            SpadeBlock(before, after, inputs, hidden, size)
            for before, after in itertools.pairwise(widths)
        )
        self.conv_img = small_xavier(nn.Conv2d(widths[-1], 3, 3, padding=1))

    def forward(self, one_hot: Tensor, z: Tensor) -> Tensor:
        """Images: one_hot [B, K, H, W], z [B, Z] or [B, Z, H, W] -> [B, 3, H, W]."""
        height, width = one_hot.shape[2:]
        if z.ndim == 2:
            z = z[:, :, None, None].expand(-1, -1, height, width)
        s = torch.cat([z, one_hot], dim=1)
        x = self.fc(
            F.interpolate(s, size=(height // self.stride, width // self.stride), mode="nearest")
        )
        for number, block in enumerate(self.body):
            x = block(_double(x) if number else x, s)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


class DownBlock(nn.Module):
    """Residual block that halves the size; `first` has no leading leaky ReLU and pools its
    shortcut before the convolution. Source: paper §5.1 (OASIS's UNet).
    """

    def __init__(self, inputs: int, outputs: int, first: bool):
        super().__init__()
        conv = SpectralConv(inputs, outputs, 3)
        self.conv1 = nn.Sequential(conv) if first else nn.Sequential(nn.LeakyReLU(0.2), conv)
        self.conv2 = nn.Sequential(nn.LeakyReLU(0.2), SpectralConv(outputs, outputs, 3))
        self.first, self.learned = first, inputs != outputs
        if self.learned:
            self.conv_s = SpectralConv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H/2, W/2]."""
        shortcut = F.avg_pool2d(x, 2) if self.first else x
        if self.learned:
            shortcut = self.conv_s(shortcut)
        if not self.first:
            shortcut = F.avg_pool2d(shortcut, 2)
        return shortcut + F.avg_pool2d(self.conv2(self.conv1(x)), 2)


class UpBlock(nn.Module):
    """Residual block that doubles the size. Source: paper §5.1 (OASIS's UNet)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), SpectralConv(inputs, outputs, 3)
        )
        self.conv2 = nn.Sequential(nn.LeakyReLU(0.2), SpectralConv(outputs, outputs, 3))
        self.learned = inputs != outputs
        if self.learned:
            self.conv_s = SpectralConv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, 2H, 2W]."""
        shortcut = _double(x)
        if self.learned:
            shortcut = self.conv_s(shortcut)
        return shortcut + self.conv2(self.conv1(x))


class Segmenter(nn.Module):
    """UNet of residual blocks with K + 1 logits a pixel. Source: paper §5.1."""

    def __init__(
        self, classes: int, down=(128, 128, 256, 256, 512, 512), up=(512, 256, 256, 128, 128, 64)
    ):
        super().__init__()
        ins = (3, *down[:-1])
        self.body_down = nn.ModuleList(
            DownBlock(before, after, number == 0)
            for number, (before, after) in enumerate(zip(ins, down, strict=True))
        )
        skipped = (0, *down[-2::-1])
        ins = [before + skip for before, skip in zip((down[-1], *up[:-1]), skipped, strict=True)]
        self.body_up = nn.ModuleList(
            UpBlock(before, after) for before, after in zip(ins, up, strict=True)
        )
        self.layer_up_last = small_xavier(nn.Conv2d(up[-1], classes + 1, 1))

    def forward(self, photo: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K+1, H, W]; the class with id k is channel k + 1."""
        x, features = photo, []
        for block in self.body_down:
            x = block(x)
            features.append(x)
        for number, block in enumerate(self.body_up):
            x = block(torch.cat([features[-number - 1], x], dim=1) if number else x)
        return self.layer_up_last(x)
