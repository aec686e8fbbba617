"""What a procedural scene consists of: street, buildings, items, camera and light."""

import dataclasses

import numpy as np

from usis_jax.data.scene_camera import Camera, Light

ASPHALT, COBBLE, PARKING, KERB, SLABS, GRAVEL, GRASS = range(7)


@dataclasses.dataclass
class Building:
    """A box beside the road (side -1 or 1) or across its end (side 0)."""

    side: int
    x: float  # wall that faces the road (side 0: left end)
    depth: float  # metres from that wall to the back (side 0: width)
    near: float
    far: float
    eaves: float
    roof: float  # metres from eaves to ridge
    wall: tuple
    trim: tuple
    tile: tuple
    shop: tuple | None  # colour of the shop front
    storey: float
    bay: float
    share: tuple
    texture: int
    salt: int


@dataclasses.dataclass
class Item:
    """Something drawn over the street: its kind, place, heading (radians) and salt."""

    kind: str
    x: float
    z: float
    size: float = 1.0
    heading: float = 0.0
    style: str = ""


@dataclasses.dataclass
class World:
    """Everything that a scene's pixels depend on."""

    camera: Camera
    light: Light
    surface: int  # material of the carriageway
    half: float  # half of the carriageway's width
    strips: dict[int, list[tuple[float, int]]]  # by side: (width, material) outwards
    zones: dict[int, str]  # by side
    crossing: tuple[float, float] | None  # side street, from z to z
    tee: bool
    end: float
    zebra: float | None
    buildings: list[Building]
    items: list[Item]
    salt: int

    def edges(self, side: int) -> list[float]:
        """Returns distances from the centre line at which the strips of a side begin."""
        return [float(e) for e in np.cumsum([self.half] + [w for w, _ in self.strips[side]])]

    def walk(self, side: int) -> tuple[float, float]:
        """Returns the inner and outer edge of the side's pavement, distances from the centre."""
        edges = self.edges(side)
        place = [m for _, m in self.strips[side]].index(SLABS)
        return edges[place], edges[place + 1]
