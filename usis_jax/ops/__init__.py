"""Fixed (parameter-free) transforms of images: Haar, resampling, label convolution, augmentation."""

from usis_jax.ops import augment, haar, label_conv, resample

__all__ = ["augment", "haar", "label_conv", "resample"]
