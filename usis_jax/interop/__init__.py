"""Networks of other programs, brought into this one."""

from usis_jax.interop import torch

__all__ = ["torch"]
