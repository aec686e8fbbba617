"""Decoder of the discriminator's features: reconstructs the photo that the discriminator saw."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from usis_jax.ops import haar, resample


def instance_norm(x: Array, epsilon: float = 1e-5) -> Array:
    """Zero mean and unit variance of each channel of each sample, no parameters.

    Args:
      x: float [B, H, W, C].
      epsilon: added to the variance.

    Returns:
      float [B, H, W, C].

    Source: paper §5.2 (Ulyanov et al. 2016).
    """
    mean = x.mean(axis=(1, 2), keepdims=True)
    centred = x - mean
    variance = jnp.square(centred).mean(axis=(1, 2), keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon)


class WaveletDecoder(nn.Module):
    """WaveletUpsample blocks with instance norm, from coarse features to a photo.

    A block is: Haar-domain x2, 3x3 convolution, instance norm, leaky ReLU. Each level's
    discriminator feature is concatenated before the next block; the finest resolution has none, so
    the photo cannot be copied through.

    Source: paper §5.2, fig. 4, table 4 (WaveletUpsample + IN). Differs from the published code,
    whose decoder is another one and in no optimiser.
    """

    width_max: int = 512
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: list[Array]) -> Array:
        """Reconstruct photos.

        Args:
          features: the discriminator's, fine to coarse, each float [B, h, w, C], C a multiple of 4.

        Returns:
          float32 [B, H, W, 3] in (-1, 1), four times the size of the finest feature.

        Source: paper §5.2, fig. 4.
        """
        fine = features[0].shape[-1]
        widths = [feature.shape[-1] for feature in features[-2::-1]] + [max(4, fine // 2 // 4 * 4)]
        x = features[-1].astype(self.dtype)
        for number, width in enumerate(widths):
            x = resample.wavelet_up(x)
            x = nn.Conv(min(width, self.width_max), (3, 3), use_bias=False, dtype=self.dtype,
                        name=f"conv_{number}")(x)
            x = nn.leaky_relu(instance_norm(x), 0.2)
            if number < len(widths) - 1:
                x = jnp.concatenate([x, features[-2 - number].astype(self.dtype)], axis=-1)
        x = nn.Conv(12, (1, 1), dtype=self.dtype, name="to_wavelet")(x)
        return jnp.tanh(haar.inverse(x).astype(jnp.float32))
