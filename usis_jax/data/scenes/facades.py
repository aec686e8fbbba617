"""Draws the buildings of a procedural scene."""

import numpy as np

from usis_jax.data.scenes import classes
from usis_jax.data.scenes.ground import Canvas, shadow_of_buildings
from usis_jax.data.scenes.textures import hashed, lookup
from usis_jax.data.scenes.world import Building, World


class _Surface:
    """Building pixels: which face each belongs to and where on the face it lies."""

    def __init__(self, world: World):
        shape = (world.camera.height, world.camera.width)
        self.face = np.full(shape, -1, np.int16)
        self.s, self.t, self.z = (np.zeros(shape, np.float32) for _ in range(3))
        self.faces: list[tuple[Building, tuple, float]] = []  # building, normal, length
        self.below = world.camera.below()


def _paste(surface, world, columns, z, s, height, building, normal, length) -> None:
    """Writes one upright face: columns [n] at depth z [n] and face coordinate s [n]."""
    camera = world.camera
    if len(columns) == 0:
        return
    top = camera.horizon - camera.focal * (height.max() - camera.eye) / z.min()
    foot = camera.horizon + camera.focal * camera.eye / z.min()
    slack = abs(camera.roll) * camera.width + 1
    rows = slice(
        int(np.clip(top - slack, 0, camera.height)), int(np.clip(foot + slack, 0, camera.height))
    )
    span = slice(columns[0], columns[-1] + 1)
    y = camera.eye - surface.below[rows, span] * (z / camera.focal)
    mask = (y >= -0.02) & (y < height)
    for name, value in (("face", np.int16(len(surface.faces))), ("s", s), ("t", y), ("z", z)):
        view = getattr(surface, name)[rows, span]
        np.copyto(view, value, where=mask)
    surface.faces.append((building, normal, length))


def _chimneys(building: Building, s: np.ndarray) -> np.ndarray:
    """Returns metres that chimneys add to the roof line at face coordinate s, float32 like s."""
    if not building.roof:
        return np.where((building.salt % 3 == 0) & (s % 9 > 6.5), 1.6, 0.0)
    offset = 1 + building.salt % 4
    return np.where((s - offset) % 6.5 < 0.9, 1.3, 0.0)


def _side_face(surface, world, building, hits) -> None:
    """Writes the face along the road."""
    z = hits(building.side * building.x)
    columns = np.nonzero((z > max(building.near, 0.4)) & (z < building.far))[0]
    if len(columns) == 0:
        return
    columns = np.arange(columns[0], columns[-1] + 1)
    z = z[columns]
    s = z - building.near
    height = building.eaves + building.roof * 0.8 + _chimneys(building, s)
    height = np.where((z > building.near) & (z < building.far), height, -1.0)
    _paste(
        surface,
        world,
        columns,
        np.minimum(z, 400),
        s,
        height,
        building,
        (-building.side, 0, 0),
        building.far - building.near,
    )


def _front_face(surface, world, building, z, start, width) -> None:
    """Writes a face that looks at the camera: from x = start for `width` metres."""
    camera = world.camera
    if z < 1.0:
        return
    x = camera.columns() * z + camera.lateral - 0.5 * camera.bend * z * z
    columns = np.nonzero((x >= start) & (x < start + width))[0]
    if len(columns) == 0:
        return
    s = x[columns] - start
    if building.side:  # gable
        height = building.eaves + building.roof * (1 - np.abs(2 * s / width - 1))
    else:
        height = building.eaves + building.roof * 0.8 + _chimneys(building, s)
    _paste(
        surface,
        world,
        columns,
        np.full(len(columns), z, np.float32),
        s,
        height,
        building,
        (0, 0, -1),
        width,
    )


def _rasterise(world: World) -> _Surface:
    surface, cache = _Surface(world), {}

    def hits(x):
        if x not in cache:
            cache[x] = world.camera.wall(x)
        return cache[x]

    for building in sorted(world.buildings, key=lambda b: -b.near):
        if building.side == 0:
            _front_face(surface, world, building, building.near, building.x, building.depth)
            continue
        _side_face(surface, world, building, hits)
        inner = building.side * building.x
        start = inner if building.side > 0 else inner - building.depth
        _front_face(surface, world, building, building.near, start, building.depth)
    return surface


def _parameters(faces) -> dict[str, np.ndarray]:
    """Returns per-face parameters as arrays [faces] or [faces, 3]."""
    buildings = [f[0] for f in faces]
    gable = np.array([b.side != 0 and n[2] != 0 for b, n, _ in faces])
    names = ("eaves", "roof", "storey", "bay", "texture", "salt")
    table = {n: np.array([getattr(b, n) for b in buildings], np.float32) for n in names}
    for name in ("wall", "trim", "tile"):
        table[name] = np.array([getattr(b, name) for b in buildings], np.float32)
    table["shop"] = np.array([b.shop or (0, 0, 0) for b in buildings], np.float32)
    table["trading"] = np.array([b.shop is not None for b in buildings]) & ~gable
    table["wide"] = np.array([b.share[0] for b in buildings], np.float32)
    table["high"] = np.array([b.share[1] for b in buildings], np.float32)
    lengths = np.array([f[2] for f in faces], np.float32)
    count = np.maximum(1, np.round(lengths / table["bay"]))
    table["bay"] = lengths / count
    blind = np.array([b.salt % 3 == 0 for b in buildings]) & gable  # a gable without windows
    table["wide"] = np.where(blind, 0, np.where(gable, table["wide"] * 0.7, table["wide"]))
    return table


def _walls(p, s, t, z, brightness) -> np.ndarray:
    """Returns the colour of wall and roof before windows, float32 [n, 3]."""
    fine = np.clip(1.3 - brightness * 14, 0, 1)
    course = lookup("grain", s * 7 + p["salt"], t * 13)
    block = lookup("white", s * 1.3 + (np.floor(t / 0.5) % 2) * 0.7 + p["salt"], t / 0.5)
    stain = lookup("cloud", s * 3 + p["salt"], t * 1.5)
    brick, stone = p["texture"] == 1, p["texture"] == 2
    gain = (
        1
        + 0.05 * stain
        + fine
        * np.where(
            brick, 0.16 * course, np.where(stone, 0.09 * block + 0.05 * course, 0.035 * course)
        )
    )
    joint = stone & (t % 0.5 < 0.06)
    gain = gain - 0.14 * fine * joint
    colour = p["wall"] * gain[:, None]
    storey = np.abs((t / p["storey"]) % 1 - 0.02) * p["storey"]
    band = (storey < 0.12) & (p["texture"] != 3) & (p["salt"] % 2 < 1)
    cornice = (t > p["eaves"] - 0.45) & (t <= p["eaves"])
    colour = np.where((band | cornice)[:, None], p["trim"] * 0.92, colour)
    roof = (t > p["eaves"]) & (p["roof"] > 0)
    tiles = 1 + fine * (0.14 * lookup("grain", s * 5, t * 9) - 0.2 * (t % 0.45 < 0.12))
    return np.where(roof[:, None], p["tile"] * tiles[:, None], colour)


def _windows(world, p, s, t, colour) -> tuple[np.ndarray, np.ndarray]:
    """Adds windows, doors and shop fronts; returns colour [n, 3] and glow [n, 3]."""
    light = world.light
    ground = t < p["storey"]
    across, up = s / p["bay"], t / p["storey"]
    fx, fy = np.abs(across % 1 - 0.5), np.abs(up % 1 - 0.52)
    chance = hashed(np.floor(across), np.floor(up), p["salt"])
    shop = ground & p["trading"]
    wide = np.where(shop, 0.88, p["wide"]) / 2
    high = np.where(shop, 0.62, p["high"]) / 2
    up_to = t < p["eaves"] - 0.3
    pane = (fx < wide) & (fy < high) & up_to
    rim = (fx < wide + 0.14 / p["bay"]) & (fy < high + 0.16 / p["storey"]) & up_to & (wide > 0)
    bars = (np.abs(fx) < 0.04) | (np.abs(fy - 0.02) < 0.02)
    bars &= (p["texture"] < 3) & ~shop & (chance > 0.15)
    door = (
        ground
        & ~shop
        & (np.floor(across) % 4 == p["salt"] % 4)
        & (p["texture"] < 3)
        & (fx < 0.2)
        & (t < 2.2)
    )
    colour = np.where(rim[:, None], p["trim"], colour)
    bright = 0.10 + 0.55 * np.clip(t / 25, 0, 0.5) * (0.6 + 0.8 * chance)
    sky = light.sky_low * 0.45 + light.sky_top * 0.55
    mirror = np.where(p["texture"] == 3, 1.45, 0.85)
    glass = np.array((0.05, 0.06, 0.08), np.float32) + sky * (bright * mirror)[:, None]
    goods = (0.35 + 0.9 * hashed(np.floor(s * 2.2), np.floor(t * 1.8), p["salt"]))[:, None]
    glass = np.where(shop[:, None], np.array((0.30, 0.25, 0.19), np.float32) * goods, glass)
    colour = np.where((pane & ~bars)[:, None], glass, colour)
    fascia = shop & (t > p["storey"] * 0.80) & (t < p["storey"] * 0.98)
    letters = (np.abs(t / p["storey"] - 0.89) < 0.035) & (s % 0.9 < 0.6) & ((s / 8) % 1 < 0.6)
    colour = np.where((shop & ~pane)[:, None], p["shop"], colour)
    ink = np.where(p["shop"].sum(1) > 1.4, 0.15, 0.9)
    colour = np.where((fascia & letters)[:, None], ink[:, None], colour)
    colour = np.where(door[:, None], p["shop"] * 0.3 + p["tile"] * 0.7, colour)
    lit = (pane & ~bars & (chance < light.lamps)) | (pane & shop & (light.lamps > 0.04))
    warm = np.array((1.0, 0.80, 0.46), np.float32) * (0.55 + 0.4 * chance)[:, None]
    return colour, warm * (lit * min(1.0, 0.35 + light.lamps))[:, None]


def draw_buildings(world: World, canvas: Canvas) -> None:
    """Draws every building over sky and ground, nearest last."""
    if not world.buildings:
        return
    light, surface = world.light, _rasterise(world)
    rows, columns = np.nonzero(surface.face >= 0)
    if len(rows) == 0:
        return
    canvas.label[rows, columns] = classes.BUILDING
    canvas.depth[rows, columns] = surface.z[rows, columns]
    if canvas.photo is None:
        return
    face = surface.face[rows, columns]
    s, t, z = (a[rows, columns] for a in (surface.s, surface.t, surface.z))
    p = {name: value[face] for name, value in _parameters(surface.faces).items()}
    colour = _walls(p, s, t, z, z / world.camera.focal)
    colour, glow = _windows(world, p, s, t, colour)
    cosine = np.array([light.lambert(n) for _, n, _ in surface.faces], np.float32)[face]
    x = (
        world.camera.columns()[columns] * z
        + world.camera.lateral
        - (0.5 * world.camera.bend * z * z)
    )
    sun = cosine * np.where(cosine > 0, shadow_of_buildings(world, x, t, z), 0)
    roof = (t > p["eaves"]) & (p["roof"] > 0)
    sun = np.where(roof, 0.55 * light.lambert((0, 1, 0)) + 0.45 * sun, sun)
    sky = (0.74 + 0.2 * np.clip(t / 12, 0, 1)) * (1 - 0.25 * np.exp(-t / 0.5))
    eaves = np.clip((t - p["eaves"] + 0.9) / 0.5, 0, 1) * (t < p["eaves"] - 0.4)
    colour = light.expose(colour, sun * (1 - 0.5 * eaves), z, sky * (1 - 0.25 * eaves))
    canvas.photo[rows, columns] = np.clip(colour + glow * (1 - colour), 0, 1)
