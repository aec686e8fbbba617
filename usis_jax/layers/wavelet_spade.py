"""Wavelet SPADE: spatially adaptive normalisation of Haar coefficients."""

from jax import Array

from usis_jax.layers.spade import Spade
from usis_jax.ops import haar


class WaveletSpade(Spade):
    """Inverse Haar, SPADE on a quarter of the channels at the doubled size, Haar.

    Batch statistics and modulation are those of images, not of coefficients: of a constant added to
    each channel, normalisation takes away that of the LL band (the first quarter) only.

    Source: ICASSP version (wavelet generator).
    """

    def __call__(self, x: Array, label: Array, z: Array, train: bool) -> Array:
        """Normalise and modulate coefficients.

        Args:
          x: float [B, h, w, 4C], sub-bands as in `haar.forward`.
          label: int [B, H, W].
          z: float [B, Z] or [B, H, W, Z].
          train: use the batch's statistics and update the running ones.

        Returns:
          float [B, h, w, 4C].

        Raises:
          ValueError: the number of channels is not a multiple of 4.
        """
        return haar.forward(super().__call__(haar.inverse(x), label, z, train))
