"""The operations that networks spend their time in, chosen once for the platform they run on.

The reference defines every result, and is what TPUs and GPUs compile. CPUs have implementations of
their own with the same results, in `ops.cpu`, which is imported for them only.
"""

import dataclasses
from collections.abc import Callable

from jax import Array

from usis_jax.ops import conv as conv_ops
from usis_jax.ops import depthwise
from usis_jax.ops import label_conv as label_ops


@dataclasses.dataclass(frozen=True)
class Kernels:
    """One implementation of each operation; the functions say what they compute.

    Attributes:
      conv: as `ops.conv.conv`.
      nearest_up_conv: as `ops.conv.nearest_up_conv`.
      conv_average_down: as `ops.conv.conv_average_down`.
      wavelet_up_conv: as `ops.conv.wavelet_up_conv`.
      label_conv: as `ops.label_conv.label_conv`.
      depthwise_conv: as `ops.depthwise.depthwise_conv`.
      label_relu_conv: as `ops.label_conv.label_relu_conv`, where nothing is differentiated.
    """

    conv: Callable[..., Array] = conv_ops.conv
    nearest_up_conv: Callable[[Array, Array], Array] = conv_ops.nearest_up_conv
    conv_average_down: Callable[[Array, Array], Array] = conv_ops.conv_average_down
    wavelet_up_conv: Callable[[Array, Array], Array] = conv_ops.wavelet_up_conv
    label_conv: Callable[..., Array] = label_ops.label_conv
    depthwise_conv: Callable[..., Array] = depthwise.depthwise_conv
    label_relu_conv: Callable[..., Array] = label_ops.label_relu_conv


REFERENCE = Kernels()

PUBLISHED = dataclasses.replace(REFERENCE, label_conv=label_ops.concatenated)
"""Every convolution as the published networks have it; exported programs are made of these."""


def for_platform(platform: str) -> Kernels:
    """The kernels for a platform.

    Args:
      platform: as JAX names it: "cpu", "tpu", "gpu", "cuda", "rocm".

    Returns:
      Kernels: those of `ops.cpu` for "cpu", else the reference.
    """
    if platform != "cpu":
        return REFERENCE
    from usis_jax.ops.cpu import conv, label_area_conv, upsample_conv
    from usis_jax.ops.cpu import depthwise as shifted
    from usis_jax.ops.cpu import label_conv as labels

    return Kernels(
        conv=conv.conv,
        nearest_up_conv=upsample_conv.nearest_up_conv,
        conv_average_down=upsample_conv.conv_average_down,
        wavelet_up_conv=upsample_conv.wavelet_up_conv,
        label_conv=labels.label_conv,
        depthwise_conv=shifted.depthwise_conv,
        label_relu_conv=label_area_conv.label_relu_conv,
    )
