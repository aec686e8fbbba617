"""What a procedural scene consists of: street, buildings, items, camera and light."""

import dataclasses
import functools

import numpy as np

from usis_jax.data.scenes.camera import Camera, Light

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

    @functools.cached_property
    def shade_wall(self) -> tuple[float, np.ndarray | None]:
        """Wall on the sun's side: distance from the centre line, heights float32 [600] by z.

        Entry i of the heights is at z = i / 2 - 60 metres; None where nothing stands there.
        """
        row = [b for b in self.buildings if b.side == -self.light.side]
        if not row:
            return 0.0, None
        tall = np.zeros(600, np.float32)
        for b in row:
            span = slice(max(0, int((b.near + 60) * 2)), max(0, int((b.far + 60) * 2)))
            tall[span] = b.eaves + 0.6 * b.roof
        return min(abs(b.x) for b in row), tall

    def walk(self, side: int) -> tuple[float, float]:
        """Returns the inner and outer edge of the side's pavement, distances from the centre."""
        edges = self.edges(side)
        place = [m for _, m in self.strips[side]].index(SLABS)
        return edges[place], edges[place + 1]
