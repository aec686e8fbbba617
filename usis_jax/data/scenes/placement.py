"""Places cars, people, trees, poles, signs and fences in a procedural scene."""

import numpy as np

from usis_jax.data.scenes.world import GRASS, PARKING, Item, World

_BODIES = (*("hatch", "saloon") * 4, "estate", "estate", "van", "van", "taxi")


def _spaced(rng, start: float, stop: float, gap: tuple[float, float]) -> list[float]:
    """Draws positions along the road with random gaps."""
    places, z = [], start
    while z < stop:
        places.append(z)
        z += rng.uniform(*gap)
    return places


def _open_street(world: World, z: float, margin: float = 3.0) -> bool:
    """Tells whether z lies outside the side street."""
    crossing = world.crossing
    if world.tee and z > crossing[0] - margin:
        return False
    return crossing is None or not crossing[0] - margin < z < crossing[1] + margin


def _traffic(rng, world: World) -> list[Item]:
    """Draws moving cars, both directions and across, and parked ones."""
    items, stop = [], min(world.end, 75.0)
    lane = world.half / 2
    for z in _spaced(rng, rng.uniform(8.5, 36), stop, (9, 40)):
        if rng.random() < 0.8:
            style = "bus" if rng.random() < 0.07 else _BODIES[rng.integers(len(_BODIES))]
            items.append(Item("car", lane + rng.normal(0, 0.15), z, 1.0, 0.0, style))
    for z in _spaced(rng, rng.uniform(7, 30), stop, (9, 34)):
        if rng.random() < 0.85:
            style = "bus" if rng.random() < 0.08 else _BODIES[rng.integers(len(_BODIES))]
            items.append(Item("car", -lane + rng.normal(0, 0.15), z, 1.0, np.pi, style))
    for side in (-1, 1):
        if PARKING not in [m for _, m in world.strips[side]]:
            continue
        strip = [m for _, m in world.strips[side]].index(PARKING)
        x = world.edges(side)[strip] + 1.05 if strip == 0 else world.edges(side)[strip] + 3.0
        turn = 0.0 if strip == 0 else side * np.pi / 2
        gap = (3.0, 5.0) if turn else (5.2, 9.0)
        for z in _spaced(rng, rng.uniform(4.5, 12), min(stop, 55), gap):
            if rng.random() < 0.8:
                heading = turn + (np.pi if rng.random() < 0.35 else 0.0) + rng.normal(0, 0.03)
                items.append(
                    Item("car", side * x, z, 1.0, heading, _BODIES[rng.integers(len(_BODIES))])
                )
    if world.crossing:
        near, far = world.crossing
        for x in _spaced(rng, rng.uniform(-16, -4), 16, (6, 14)):
            if rng.random() < 0.55:
                up = rng.random() < 0.5
                items.append(
                    Item(
                        "car",
                        x,
                        near + (far - near) * (0.72 if up else 0.28),
                        1.0,
                        np.pi / 2 if up else -np.pi / 2,
                        _BODIES[rng.integers(len(_BODIES))],
                    )
                )
    return [
        i
        for i in items
        if abs(i.heading) % np.pi > 1
        or _open_street(world, i.z, 1.0)
        or (i.x * i.heading == 0.0 and rng.random() < 0.3)
    ]


def _people(rng, world: World) -> list[Item]:
    """Draws people on the pavements, on the zebra crossing, and sometimes in the road."""
    items = []
    busy = rng.choice((0.15, 0.5, 0.9))
    for side in (-1, 1):
        inner, outer = world.walk(side)
        for z in _spaced(rng, rng.uniform(5.5, 10), min(world.end, 45), (1.6, 7.5)):
            if rng.random() < busy:
                for _ in range(rng.integers(1, 3)):
                    x = rng.uniform(inner + 0.3, max(inner + 0.4, outer - 0.4))
                    items.append(
                        Item(
                            "person", side * x, z + rng.uniform(-0.6, 0.6), rng.uniform(0.88, 1.08)
                        )
                    )
    if world.zebra and world.zebra > 5 and rng.random() < 0.75:
        for _ in range(rng.integers(1, 5)):
            items.append(
                Item(
                    "person",
                    rng.uniform(-world.half, world.half),
                    world.zebra + rng.uniform(0.4, 2.4),
                    rng.uniform(0.88, 1.08),
                )
            )
    return items


def _furniture(rng, world: World) -> list[Item]:
    """Draws lamp posts, signs, traffic lights and bollards along the kerbs."""
    items, stop = [], min(world.end, 60.0)
    for side in (-1, 1):
        kerb, outer = world.walk(side)
        kerb = side * (kerb + 0.35)
        style = ("arm", "lantern", "wood")[rng.integers(3)]
        if rng.random() < 0.85:
            for z in _spaced(rng, rng.uniform(5, 18), stop, (11, 24)):
                items.append(Item("lamp", kerb, z, rng.uniform(0.9, 1.1), 0.0, style))
        kinds = ("round", "triangle", "square", "diamond", "guide", "stop", "parking", "yield")
        for z in _spaced(rng, rng.uniform(4.5, 16), min(stop, 42), (7, 22)):
            if rng.random() < 0.8:
                items.append(
                    Item(
                        "sign",
                        kerb + side * rng.uniform(-0.1, 0.5),
                        z,
                        rng.uniform(0.9, 1.3),
                        0.0,
                        kinds[rng.integers(len(kinds))],
                    )
                )
        if rng.random() < 0.22:
            for z in _spaced(rng, rng.uniform(4.5, 9), 26, (1.6, 2.4)):
                items.append(Item("bollard", kerb, z))
        if world.crossing and rng.random() < 0.7:
            items.append(Item("lights", kerb, world.crossing[0] - rng.uniform(0.4, 3.0)))
        if rng.random() < 0.13:
            items.append(
                Item("board", side * (outer + 0.2), rng.uniform(9, 26), rng.uniform(0.9, 1.3))
            )
    return [i for i in items if _open_street(world, i.z, 0.2) or i.kind == "lights"]


def _planting(rng, world: World) -> list[Item]:
    """Draws street trees, park trees, hedges and bushes."""
    species = ("oak", "lime", "maple", "poplar", "cherry", "pine", "birch")
    items = []
    for side in (-1, 1):
        zone, (inner, outer) = world.zones[side], world.walk(side)
        chance = {"city": 0.4, "suburb": 0.6, "boulevard": 1.0, "park": 0.9}.get(zone, 0.6)
        alley = species[rng.integers(len(species))]
        if rng.random() < chance:
            x = inner + 0.6 if rng.random() < 0.6 else outer + 0.5
            for z in _spaced(rng, rng.uniform(6, 16), min(world.end - 2, 85), (6, 13)):
                items.append(Item("tree", side * x, z, rng.uniform(0.75, 1.15), 0.0, alley))
        if zone in ("park", "suburb", "open"):
            depth = 26 if zone == "park" else world.edges(side)[-1] - outer
            number = int(rng.integers(10, 26)) if zone == "park" else int(rng.integers(2, 8))
            for _ in range(number):
                kind = "bush" if rng.random() < 0.3 else "tree"
                items.append(
                    Item(
                        kind,
                        side * (outer + rng.uniform(0.6, max(0.7, depth - 1.0))),
                        rng.uniform(7, min(world.end, 90)),
                        rng.uniform(0.6, 1.2),
                        0.0,
                        species[rng.integers(len(species))],
                    )
                )
        if zone in ("suburb", "park") and rng.random() < 0.3:
            for z in np.arange(rng.uniform(3, 8), min(world.end, 50), 1.1):
                items.append(Item("hedge", side * (outer + 0.5), float(z), 1.0, 0.0, "lime"))
    return [i for i in items if _open_street(world, i.z, 1.5)]


def _fences(rng, world: World) -> list[Item]:
    """Draws fences, panel by panel: kerb railings, garden fences, park railings, walls."""
    items = []
    for side in (-1, 1):
        zone, (inner, outer) = world.zones[side], world.walk(side)
        chance = {"suburb": 0.6, "park": 0.6, "open": 0.45, "boulevard": 0.2}.get(zone, 0.16)
        if rng.random() > chance:
            continue
        garden = zone in ("suburb", "park", "open") and rng.random() < 0.8
        options = ("railing", "picket", "boards", "wall", "green") if garden else ("railing",)
        style = options[rng.integers(len(options))]
        x = side * (outer + 0.1 if garden else inner + 0.15)
        start = rng.uniform(2.2, 9)
        stop = min(world.end, start + rng.uniform(12, 50))
        for z in np.arange(start, stop, 2.0):
            items.append(Item("fence", x, float(z), 1.0, 0.0, style))
    return [i for i in items if _open_street(world, i.z, 2.2)]


def _front(item: Item) -> float:
    """Returns the depth by which an item hides others: a car's near end, else its own z."""
    if item.kind != "car":
        return item.z
    return item.z - (1.9 if abs(np.cos(item.heading)) > 0.5 else 0.8)


def place_items(rng: np.random.Generator, world: World) -> list[Item]:
    """Draws everything that stands in the street.

    Args:
      rng: the scene's generator.
      world: the street, its buildings and strips already drawn.

    Returns:
      Items sorted from far to near.
    """
    items = _traffic(rng, world) + _people(rng, world) + _furniture(rng, world)
    items += _planting(rng, world) + _fences(rng, world)
    grass = {s: [m for _, m in world.strips[s]][-1] == GRASS for s in (-1, 1)}
    items = [i for i in items if i.kind != "hedge" or grass[1 if i.x > 0 else -1]]
    return sorted(items, key=lambda item: -_front(item))
