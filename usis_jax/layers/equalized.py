"""Layers with equalised learning rate, and the minibatch standard deviation, of StyleGAN2."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops import resample
from usis_jax.ops.kernels import REFERENCE, Kernels

SQRT2 = math.sqrt(2.0)
"""Gain of the leaky ReLUs (slope 0.2), which keeps the variance. As sqrt 2 * lrelu(x) is
lrelu(sqrt 2 * x), the layers fold it into their scale."""


class EqualConv(nn.Module):
    """Convolution with N(0, 1) weights scaled by 1/sqrt(fan in), bias and scaled leaky ReLU.

    With `down`, a [1, 3, 3, 1] blur and stride 2. With `linear`, neither bias nor leaky ReLU.
    Kernel [k, k, in, features].

    Source: paper §5.2; StyleGAN2's ConvLayer.
    """

    features: int
    kernel_size: int = 3
    down: bool = False
    dtype: jnp.dtype = jnp.float32
    linear: bool = False
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """float [B, H, W, C] -> float [B, H, W, features], half the size with `down`."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        x = x.astype(self.dtype)
        if self.down:
            x = resample.fir_blur(x)
        stride, padding = (2, 0) if self.down else (1, self.kernel_size // 2)
        x = self.kernels.conv(x, kernel.astype(self.dtype), stride, padding)
        gain = 1.0 / math.sqrt(math.prod(shape[:3]))
        if self.linear:
            return x * gain
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return nn.leaky_relu(x * (gain * SQRT2) + (bias * SQRT2).astype(self.dtype), 0.2)


class EqualDense(nn.Module):
    """Dense layer with N(0, 1) weights scaled by 1/sqrt(inputs); `activate` adds the leaky ReLU.

    Source: paper §5.2; StyleGAN2's EqualLinear.
    """

    features: int
    activate: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """float [B, C] -> float32 [B, features]."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        gain = SQRT2 if self.activate else 1.0
        x = x.astype(jnp.float32) @ (kernel * (gain / math.sqrt(shape[0]))) + bias * gain
        return nn.leaky_relu(x, 0.2) if self.activate else x


def group_size(batch: int, largest: int) -> int:
    """The largest divisor of `batch` that is at most `largest` (both >= 1)."""
    return max(size for size in range(1, min(batch, largest) + 1) if batch % size == 0)


class MinibatchStddev(nn.Module):
    """Append one channel: the standard deviation over a group of samples, averaged.

    Groups of `group` samples: consecutive ones with grouping "local", and samples i, i + N/group,
    ... with "published". Where a group spans devices of `axis_name`, features are gathered from
    these devices (with "published" from all), so N devices compute what one device computes on the
    whole batch.

    With `tiles` > 1 samples are tiles, those of a photo together. A "local" group is then the same
    tile of `group` consecutive photos; the published grouping knows nothing of photos.

    Source: paper §5.2; StyleGAN2. Grouping "local" differs from the paper's code (no gathering is
    needed when each device's photos are a multiple of the group).
    """

    group: int = 4
    grouping: str = "local"
    axis_name: str | None = None
    tiles: int = 1

    def __call__(self, x: Array) -> Array:
        """float [N, H, W, C] -> float [N, H, W, C+1]."""
        local = x.shape[0]
        devices = jax.lax.axis_size(self.axis_name) if self.axis_name else 1
        published = self.grouping == "published"
        tiles = 1 if published else self.tiles
        group = group_size(local // tiles * devices, self.group)
        spans = devices > 1 and (published or local // tiles % group != 0)
        # Where groups are whole devices, each needs its neighbours' samples only.
        near = group * tiles // local if not published and group * tiles % local == 0 else devices
        samples = self._gather(x, devices, near) if spans else x
        # [group, number of groups] for the published grouping, else [.., group, tile of a photo]
        lead = (1, group, -1) if published else (-1, group, tiles)
        grouped = samples.astype(jnp.float32).reshape(*lead, *x.shape[1:])
        deviation = jnp.sqrt(grouped.var(axis=1, keepdims=True) + 1e-8).mean(axis=(3, 4, 5))
        deviation = jnp.broadcast_to(deviation, grouped.shape[:3]).reshape(-1)
        if spans:
            start = jax.lax.axis_index(self.axis_name) % near * local
            deviation = jax.lax.dynamic_slice_in_dim(deviation, start, local)
        channel = jnp.broadcast_to(deviation[:, None, None, None], (*x.shape[:3], 1))
        return jnp.concatenate([x, channel.astype(x.dtype)], axis=-1)

    def _gather(self, x: Array, devices: int, near: int) -> Array:
        """Samples of this device and of the others among its `near` neighbours, in order."""
        groups = [list(range(first, first + near)) for first in range(0, devices, near)]
        return jax.lax.all_gather(x, self.axis_name, axis_index_groups=groups, tiled=True)
