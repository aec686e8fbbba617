"""Plans a procedural scene: street layout, buildings, and all that stands in the street."""

import numpy as np

from usis_jax.data.scenes.camera import draw_camera, draw_light
from usis_jax.data.scenes.placement import place_items
from usis_jax.data.scenes.world import (
    ASPHALT,
    COBBLE,
    GRASS,
    GRAVEL,
    KERB,
    PARKING,
    SLABS,
    Building,
    World,
)

# Facade styles: wall colours, trim colours, storey m, bay m, window share (x, y), texture, roof.
_STYLES = {
    "brick": (
        ((0.50, 0.21, 0.15), (0.58, 0.29, 0.20), (0.42, 0.19, 0.15), (0.62, 0.38, 0.26)),
        ((0.90, 0.88, 0.82), (0.80, 0.76, 0.68)),
        (2.9, 3.4),
        (2.2, 3.2),
        (0.42, 0.55),
        1,
    ),
    "stone": (
        ((0.80, 0.71, 0.55), (0.74, 0.66, 0.52), (0.84, 0.77, 0.64)),
        ((0.90, 0.85, 0.74), (0.62, 0.55, 0.45)),
        (3.2, 3.8),
        (2.3, 3.0),
        (0.44, 0.62),
        2,
    ),
    "plaster": (
        (
            (0.90, 0.78, 0.50),
            (0.86, 0.62, 0.48),
            (0.66, 0.74, 0.80),
            (0.72, 0.80, 0.66),
            (0.92, 0.90, 0.84),
            (0.84, 0.70, 0.68),
        ),
        ((0.95, 0.94, 0.90), (0.70, 0.40, 0.28)),
        (2.8, 3.4),
        (2.2, 3.3),
        (0.40, 0.52),
        0,
    ),
    "concrete": (
        ((0.56, 0.56, 0.55), (0.66, 0.65, 0.62), (0.47, 0.49, 0.51)),
        ((0.42, 0.43, 0.45), (0.75, 0.75, 0.74)),
        (3.2, 3.8),
        (1.5, 2.4),
        (0.86, 0.50),
        0,
    ),
    "glass": (
        ((0.30, 0.38, 0.44), (0.24, 0.34, 0.36), (0.36, 0.42, 0.50)),
        ((0.62, 0.66, 0.70), (0.18, 0.22, 0.26)),
        (3.4, 4.0),
        (1.3, 1.9),
        (0.90, 0.86),
        3,
    ),
}
_ROOFS = ((0.38, 0.20, 0.15), (0.30, 0.28, 0.30), (0.50, 0.29, 0.20), (0.26, 0.25, 0.28))
_SHOPS = (
    (0.62, 0.10, 0.12),
    (0.08, 0.26, 0.46),
    (0.08, 0.32, 0.20),
    (0.85, 0.62, 0.12),
    (0.12, 0.12, 0.14),
    (0.85, 0.84, 0.80),
    (0.40, 0.14, 0.36),
)


def _pick(rng, options):
    return options[rng.integers(len(options))]


def _strips(rng, zone: str) -> list[tuple[float, int]]:
    """Draws the strips beside the carriageway for a zone."""
    strips = [(2.1, PARKING)] if rng.random() < {"city": 0.5, "suburb": 0.3}.get(zone, 0.2) else []
    strips.append((0.28, KERB))
    if (zone in ("boulevard", "park") and rng.random() < 0.6) or rng.random() < 0.12:
        strips.append((rng.uniform(1.4, 3.0), GRASS))
    strips.append((rng.uniform(1.7, 2.6) if zone == "suburb" else rng.uniform(2.2, 4.5), SLABS))
    if zone == "suburb":
        strips.append((rng.uniform(2.5, 6.0), GRASS if rng.random() < 0.75 else GRAVEL))
    elif zone == "park":
        strips.append((rng.uniform(28, 60), GRASS))
    elif zone == "open":
        strips.append((rng.uniform(2, 9), GRASS))
        strips.append((rng.uniform(5, 14), _pick(rng, (PARKING, GRASS, GRAVEL, SLABS))))
    return strips


def _building(rng, zone: str, side: int, x: float, near: float, length: float) -> Building:
    """Draws one building with its front at `x`, from `near` on for `length` metres."""
    names = {
        "city": ("brick", "stone", "plaster", "concrete", "glass"),
        "boulevard": ("stone", "stone", "plaster", "brick", "glass"),
        "open": ("concrete", "glass", "brick"),
        "park": ("brick", "stone", "plaster"),
    }
    style = _pick(rng, names.get(zone, ("brick", "brick", "plaster", "stone")))
    walls, trims, storeys, bays, share, texture = _STYLES[style]
    storey = rng.uniform(*storeys)
    floors = {"suburb": (2, 3), "open": (2, 4), "city": (3, 8), "boulevard": (3, 6)}.get(
        zone, (2, 5)
    )
    eaves = storey * rng.integers(*floors, endpoint=True) + 0.6
    pitched = (texture in (1, 2) and rng.random() < 0.7) or zone == "suburb"
    shop = _pick(rng, _SHOPS) if zone in ("city", "boulevard") and rng.random() < 0.6 else None
    wall = np.clip(
        np.array(_pick(rng, walls)) * rng.uniform(0.85, 1.12) + rng.normal(0, 0.02, 3), 0.04, 0.95
    )
    return Building(
        side,
        x,
        rng.uniform(8, 14),
        near,
        near + length,
        eaves,
        rng.uniform(2.0, 3.6) if pitched else 0.0,
        tuple(wall),
        _pick(rng, trims),
        _pick(rng, _ROOFS),
        shop,
        storey,
        rng.uniform(*bays),
        (share[0] * rng.uniform(0.85, 1.1), share[1] * rng.uniform(0.9, 1.1)),
        texture,
        int(rng.integers(1 << 16)),
    )


def _row(rng, zone: str, side: int, x: float, end: float, crossing) -> list[Building]:
    """Draws the buildings along one side of the road, up to `end` and none in the side street."""
    buildings, z = [], rng.uniform(-12, 0)
    while z < end - 3:
        length = {"suburb": rng.uniform(6, 11), "open": rng.uniform(16, 40)}.get(
            zone, rng.uniform(7, 18)
        )
        far = min(z + length, end)
        if crossing and z < crossing[1] + 2.5 and far > crossing[0] - 2.5:
            far = crossing[0] - 2.5 if z < crossing[0] - 6 else far
            if far > crossing[0]:
                z = crossing[1] + 2.5
                continue
        setback = rng.uniform(0, 0.7) if zone != "open" else rng.uniform(0, 6)
        buildings.append(_building(rng, zone, side, x + setback, z, far - z))
        gap = {"suburb": 0.75, "open": 0.8, "city": 0.1}.get(zone, 0.2)
        z = far + (rng.uniform(1.5, 5.0) if rng.random() < gap else 0.0)
    return buildings


def _front_row(rng, zone: str, end: float) -> list[Building]:
    """Draws the row of buildings that closes a T-junction."""
    buildings, x = [], -70.0
    while x < 70:
        width = rng.uniform(8, 18)
        building = _building(rng, zone, 0, x, end + rng.uniform(0, 0.5), 10.0)
        building.depth = width
        buildings.append(building)
        x += width + (rng.uniform(2, 6) if zone == "suburb" else 0.0)
    return buildings


def plan(seed: int, height: int, width: int) -> World:
    """Draws the contents of a scene.

    Args:
      seed: scene number; the same seed gives the same street at every size.
      height: canvas rows.
      width: canvas columns.

    Returns:
      The World.
    """
    rng = np.random.default_rng([20240, seed])
    camera, light = draw_camera(rng, height, width), draw_light(rng)
    zones = ("city", "suburb", "boulevard", "park", "open")
    weights = (0.36, 0.22, 0.16, 0.15, 0.11)
    left = zones[rng.choice(5, p=weights)]
    right = left if rng.random() < 0.55 else zones[rng.choice(5, p=weights)]
    crossing, tee, end = None, False, rng.uniform(90, 150)
    if rng.random() < 0.42:
        start = rng.uniform(9, 40)
        crossing = (start, start + rng.uniform(6, 11))
        tee = rng.random() < 0.42
        end = crossing[1] + rng.uniform(2.5, 12) if tee else end
    half = rng.uniform(2.9, 4.2) if rng.random() < 0.7 else rng.uniform(4.6, 7.0)
    world = World(
        camera,
        light,
        ASPHALT if rng.random() < 0.88 else COBBLE,
        half,
        {-1: _strips(rng, left), 1: _strips(rng, right)},
        {-1: left, 1: right},
        crossing,
        tee,
        end,
        rng.uniform(7, 20) if rng.random() < 0.22 else None,
        [],
        [],
        int(rng.integers(1 << 16)),
    )
    if crossing and rng.random() < 0.5:
        world.zebra = crossing[0] - 4.2
    for side in (-1, 1):
        if world.zones[side] == "park" and rng.random() < 0.75:
            continue
        world.buildings += _row(
            rng,
            world.zones[side],
            side,
            world.edges(side)[-1],
            crossing[0] - 2.5 if tee else end,
            crossing,
        )
    if tee and rng.random() < 0.8:
        world.buildings += _front_row(rng, left, end)
    world.items = place_items(rng, world)
    return world
