"""SPADE: spatially adaptive normalisation by a label map and a noise."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.layers.spectral import xavier_small
from usis_jax.ops.label_conv import label_conv


class ConvParams(nn.Module):
    """Kernel [k, k, in, out] and bias [out] of a convolution that its owner applies.

    Source: none; lets one convolution serve two published ones, with their own parameters.
    """

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

    `hidden` and `kernel_size` are 128 and 3 in the paper; smaller ones are for small machines.

    Source: paper §5.1 (SPADE layer).
    """

    features: int
    num_classes: int
    hidden: int = 128
    kernel_size: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, label: Array, z: Array, height: int, width: int) -> tuple[Array, Array]:
        """Modulation for features of a given size.

        Args:
          label: int [B, H, W].
          z: float [B, Z] or [B, H, W, Z].
          height, width: size of the features to modulate.

        Returns:
          (gamma, beta), each float [B, height, width, features].
        """
        kernel, bias = ConvParams(self.hidden, 3, z.shape[-1] + self.num_classes, name="shared")()
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        hidden = nn.relu(label_conv(label, z, kernel, bias, height, width))
        gamma_kernel, gamma_bias = ConvParams(
            self.features, self.kernel_size, self.hidden, name="gamma")()
        beta_kernel, beta_bias = ConvParams(
            self.features, self.kernel_size, self.hidden, name="beta")()
        both = jnp.concatenate([gamma_kernel, beta_kernel], axis=-1).astype(self.dtype)
        out = jax.lax.conv_general_dilated(
            hidden, both, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        out = out + jnp.concatenate([gamma_bias, beta_bias]).astype(self.dtype)
        gamma, beta = jnp.split(out, 2, axis=-1)
        return gamma, beta


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
            use_running_average=not train, momentum=0.9, epsilon=1e-5, use_bias=False,
            use_scale=False, axis_name=self.axis_name, dtype=self.dtype, name="norm")(x)
        gamma, beta = Modulation(
            x.shape[-1], self.num_classes, self.hidden, self.kernel_size, self.dtype,
            name="modulation")(label, z, x.shape[1], x.shape[2])
        return normalised * (1.0 + gamma) + beta
