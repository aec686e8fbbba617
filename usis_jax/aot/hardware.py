"""What chips can do, for estimates without owning one."""

import os
from typing import NamedTuple

from usis_jax.errors import UserError

GIB = 1 << 30


class Chip(NamedTuple):
    """Peak rates of one device, as its maker states them.

    Attributes:
      hbm: bytes of memory.
      flops: multiplications and additions a second of matrix products in bfloat16, which is also
        what XLA makes of float32 ones on a TPU by default; 0 = not known.
      bandwidth: bytes a second between memory and arithmetic; 0 = not known.
      links: bytes a second to other devices in one direction; 0 = not known.
      clock: cycles a second of its matrix units; 0 = not known.
    """

    hbm: float
    flops: float = 0
    bandwidth: float = 0
    links: float = 0
    clock: float = 0


# By JAX's device_kind. Rates: cloud.google.com/tpu/docs; clock = flops / (2 * 128 * 128 * units).
_TPUS = {
    "TPU v4": Chip(32 * GIB, 275e12, 1228e9, 150e9, 1.05e9),
    "TPU v5 lite": Chip(16 * GIB, 197e12, 819e9, 100e9, 1.50e9),
    "TPU v5": Chip(95 * GIB, 459e12, 2765e9, 300e9, 1.75e9),
    "TPU v5p": Chip(95 * GIB, 459e12, 2765e9, 300e9, 1.75e9),
}

TOPOLOGIES = {
    "v5e": ("2x2", "2x4", "4x4", "4x8", "8x8"),
    "v4": ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4"),
    "v5p": ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4"),
}
"""Slices of up to 64 chips that `usis compile --topology` knows, by kind of chip."""


def chip(device) -> Chip:
    """Rates of a JAX device; of one that is not known only the memory.

    Args:
      device: of jax.devices() or of a topology.

    Returns:
      Chip.
    """
    if device.device_kind in _TPUS:
        return _TPUS[device.device_kind]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and stats.get("bytes_limit"):
        return Chip(stats["bytes_limit"])
    return Chip(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def check_topology(name: str) -> str:
    """The name of a topology, such as "v5e:2x4", if it is one of `TOPOLOGIES`.

    Raises:
      UserError: it is not.
    """
    kind, _, shape = name.partition(":")
    if shape in TOPOLOGIES.get(kind, ()):
        return name
    known = "; ".join(f"{kind}:{', '.join(shapes)}" for kind, shapes in TOPOLOGIES.items())
    raise UserError(f"--topology is {name!r}; it must be KIND:SHAPE, one of {known}")
