"""Layers: spectral norm, SPADE, equalised learning rate, minibatch standard deviation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)


class SpectralConv(nn.Module):
    """Convolution with its kernel divided by its largest singular value, one power iteration a
    training forward. Parameters and buffers are named as torch.nn.utils.spectral_norm names them.

    Source: paper §5.1; Miyato et al. 2018.
    """

    def __init__(self, inputs: int, outputs: int, size: int, bias: bool = True):
        super().__init__()
        self.padding = size // 2
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.xavier_normal_(self.weight_orig, gain=0.02)
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs * size * size), dim=0))
        with torch.no_grad():
            # A random vector alone underestimates the norm, as in our initialisation.
            for _ in range(8):
                self._iterate()

    @torch.no_grad()
    def _iterate(self):
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=1e-12))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H, W]."""
        if self.training:
            self._iterate()
        # Copies: the next forward changes the vectors before this one's backward has run.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        sigma = torch.dot(u, torch.mv(self.weight_orig.flatten(1), v))
        return F.conv2d(x, self.weight_orig / sigma, self.bias, padding=self.padding)


class Spade(nn.Module):
    """y = BN(x) * (1 + gamma(s)) + beta(s) with s resized nearest to x.

    Source: paper §5.1 (SPADE layer).
    """

    def __init__(self, channels: int, inputs: int, hidden: int = 128, size: int = 3):
        super().__init__()
        self.first_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(
            nn.Conv2d(inputs, hidden, size, padding=size // 2), nn.ReLU()
        )
        self.mlp_gamma = nn.Conv2d(hidden, channels, size, padding=size // 2)
        self.mlp_beta = nn.Conv2d(hidden, channels, size, padding=size // 2)
        for conv in (self.mlp_shared[0], self.mlp_gamma, self.mlp_beta):
            small_xavier(conv)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """x [B, C, h, w], s [B, Z+K, H, W] -> [B, C, h, w]."""
        hidden = self.mlp_shared(F.interpolate(s, size=x.shape[2:], mode="nearest"))
        return self.first_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


def small_xavier(conv: nn.Conv2d) -> nn.Conv2d:
    """Xavier normal with gain 0.02 and no bias, as ours; returns the convolution."""
    nn.init.xavier_normal_(conv.weight, gain=0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class EqualConv(nn.Module):
    """Convolution with N(0, 1) weights scaled by 1/sqrt(fan in). Source: StyleGAN2."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.scale = 1 / math.sqrt(inputs * size * size)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, h, w]."""
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class Activation(nn.Module):
    """sqrt(2) * lrelu(x + bias), slope 0.2. Source: StyleGAN2."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.leaky_relu(x + self.bias, 0.2) * SQRT2


class Blur(nn.Module):
    """[1, 3, 3, 1] blur with zero padding, without parameters; `stride` 2 halves the size.

    One depthwise convolution: of the four forms tried the fastest with PyTorch on CPUs, by far.

    Source: StyleGAN2.
    """

    def __init__(self, padding: int, stride: int = 1):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, h, w]."""
        channels = x.shape[1]
        return F.conv2d(
            x,
            self.kernel.expand(channels, 1, 4, 4),
            stride=self.stride,
            padding=self.padding,
            groups=channels,
        )


def activated_conv(inputs: int, outputs: int, size: int, down: bool = False) -> nn.Sequential:
    """Equalised convolution and activation; with `down`, blurred and of stride 2."""
    if down:
        return nn.Sequential(
            Blur(2), EqualConv(inputs, outputs, size, stride=2), Activation(outputs)
        )
    return nn.Sequential(EqualConv(inputs, outputs, size, padding=size // 2), Activation(outputs))


class EqualDense(nn.Module):
    """Dense layer with N(0, 1) weights scaled by 1/sqrt(inputs). Source: StyleGAN2."""

    def __init__(self, inputs: int, outputs: int, activate: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.activate = 1 / math.sqrt(inputs), activate

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs]."""
        x = F.linear(x, self.weight * self.scale, self.bias)
        return F.leaky_relu(x, 0.2) * SQRT2 if self.activate else x


def minibatch_stddev(x: Tensor, largest: int = 4) -> Tensor:
    """Append the standard deviation over groups of samples i, i + B/group, ... as one channel.

    Args:
      x: [B, C, H, W].
      largest: most samples in a group; a group's size divides B.

    Returns:
      [B, C+1, H, W].

    Source: StyleGAN2.
    """
    batch, _, height, width = x.shape
    group = max(size for size in range(1, min(batch, largest) + 1) if batch % size == 0)
    grouped = x.reshape(group, batch // group, *x.shape[1:])
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat(group).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([x, channel], dim=1)
