"""SPADE: spatially adaptive normalisation by a label map and a noise."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.layers.spectral import xavier_small
from usis_jax.ops import resample
from usis_jax.ops.kernels import REFERENCE, Kernels

MOMENTUM = 0.9
"""Share of the running statistics that an update keeps (PyTorch calls the rest momentum)."""


class ConvParams(nn.Module):
    """Kernel [k, k, in, out] and bias [out] of a convolution that its owner applies."""

    features: int
    kernel_size: int
    inputs: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        """Return (kernel [k, k, in, out], bias [out]), float32."""
        shape = (self.kernel_size, self.kernel_size, self.inputs, self.features)
        kernel = self.param("kernel", xavier_small, shape, jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)


class Modulation(nn.Module):
    """Scale gamma(s) and shift beta(s) from label map and noise.

    `hidden` and `kernel_size` are 128 and 3 in the paper. With `kernel_size` 1 all three
    convolutions are 1x1, so that modulation depends on a pixel's class and the noise only (as in
    CLADE, Tan et al. 2021): with one noise an image it is a table of K rows, looked up a pixel, at
    a small part of the cost; made for small machines.

    Source: paper §5.1 (SPADE layer); kernel_size 1 differs from the paper.
    """

    features: int
    num_classes: int
    hidden: int = 128
    kernel_size: int = 3
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(
        self, label: Array, z: Array, height: int, width: int, train: bool
    ) -> tuple[Array, Array]:
        """Modulation for features of a given size.

        Args:
          label: int [B, H, W].
          z: float [B, Z] or [B, H, W, Z].
          height, width: size of the features to modulate.
          train: the result is differentiated.

        Returns:
          (gamma, beta), each float [B, height, width, features].
        """
        shared = ConvParams(
            self.hidden, self.kernel_size, z.shape[-1] + self.num_classes, name="shared"
        )()
        gamma = ConvParams(self.features, self.kernel_size, self.hidden, name="gamma")()
        beta = ConvParams(self.features, self.kernel_size, self.hidden, name="beta")()
        kernel, bias = (x.astype(self.dtype) for x in shared)
        both, both_bias = (
            jnp.concatenate(pair, axis=-1).astype(self.dtype)
            for pair in zip(gamma, beta, strict=True)
        )
        if self.kernel_size == 1 and z.ndim == 2:
            out = self._look_up(label, z, height, width, kernel[0, 0], bias, both[0, 0], both_bias)
        elif not train and self.kernel_size == 3 and z.ndim == 2:
            small = resample.nearest_to(label, height, width)
            out = self.kernels.label_relu_conv(small, z, kernel, bias, both) + both_bias
        else:
            hidden = nn.relu(self.kernels.label_conv(label, z, kernel, bias, height, width))
            padding = self.kernel_size // 2
            out = self.kernels.conv(hidden, both, padding=padding) + both_bias
        gamma_map, beta_map = jnp.split(out, 2, axis=-1)
        return gamma_map, beta_map

    def _look_up(self, label, z, height, width, kernel, bias, both, both_bias) -> Array:
        """The same as 1x1 convolutions: computed once a class and sample, then looked up."""
        z = z.astype(self.dtype)
        noise_dim = z.shape[-1]
        hidden = (z @ kernel[:noise_dim])[:, None] + kernel[noise_dim:][None] + bias
        table = nn.relu(hidden) @ both + both_bias
        small = resample.nearest_to(label, height, width)
        one_hot = jax.nn.one_hot(small, self.num_classes, dtype=self.dtype)
        return jnp.einsum("bhwk,bkc->bhwc", one_hot, table)


class Spade(nn.Module):
    """y = BN(x) * (1 + gamma(s)) + beta(s), batch norm without parameters.

    Statistics are taken over the whole batch on all devices of `axis_name`; running statistics have
    momentum 0.1 in PyTorch's sense (0.9 in Flax's), epsilon 1e-5.

    Source: paper §5.1 (SPADE layer).
    """

    num_classes: int
    hidden: int = 128
    kernel_size: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32
    kernels: Kernels = REFERENCE

    @nn.compact
    def __call__(self, x: Array, label: Array, z: Array, train: bool) -> Array:
        """Normalise and modulate x.

        Args:
          x: float [B, h, w, C].
          label: int [B, H, W].
          z: float [B, Z] or [B, H, W, Z].
          train: use the batch's statistics and update the running ones.

        Returns:
          float [B, h, w, C].
        """
        normalised = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=1e-5,
            use_bias=False,
            use_scale=False,
            axis_name=self.axis_name,
            dtype=self.dtype,
            name="norm",
        )(x)
        gamma, beta = Modulation(
            x.shape[-1],
            self.num_classes,
            self.hidden,
            self.kernel_size,
            self.dtype,
            self.kernels,
            name="modulation",
        )(label, z, x.shape[1], x.shape[2], train)
        return normalised * (1.0 + gamma) + beta
