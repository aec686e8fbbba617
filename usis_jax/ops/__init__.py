"""Transforms of images without parameters: Haar, resampling, label convolution, augmentation."""

from usis_jax.ops import augment, haar, label_conv, resample

__all__ = ["augment", "haar", "label_conv", "resample"]
