"""Draws sky, distant backdrop and ground of a procedural scene."""

import dataclasses

import numpy as np

from usis_jax.data.scenes import classes
from usis_jax.data.scenes import world as kinds
from usis_jax.data.scenes.textures import lookup, smooth

_ALBEDO = np.array(
    [
        (0.25, 0.25, 0.26),
        (0.33, 0.31, 0.29),
        (0.23, 0.23, 0.245),
        (0.58, 0.57, 0.55),
        (0.50, 0.47, 0.43),
        (0.62, 0.53, 0.40),
        (0.20, 0.33, 0.09),
    ],
    np.float32,
)
_CLASS = np.array(
    [
        classes.ROAD,
        classes.ROAD,
        classes.ROAD,
        classes.PAVEMENT,
        classes.PAVEMENT,
        classes.PAVEMENT,
        classes.GRASS,
    ],
    np.uint8,
)


@dataclasses.dataclass
class Canvas:
    """The picture while it is drawn: photo float32 [H, W, 3], label uint8, depth float32.

    Without a photo (None) only label and depth are drawn, in a fraction of the time.
    """

    photo: np.ndarray | None
    label: np.ndarray
    depth: np.ndarray


def shadow_of_buildings(world: kinds.World, x, y, z) -> np.ndarray:
    """Returns the share of the sun that the buildings on its side leave, float32 like x."""
    light = world.light
    wall, tall = world.shade_wall
    if tall is None or light.sun.max() < 0.2:
        return np.ones_like(x)
    height = (x * light.side + wall) / light.reach
    place = ((z - light.lean * light.reach * height + 60) * 2).astype(np.int32)
    over = tall[np.clip(place, 0, 599)] - height - y
    return 1 - np.clip(over * 1.5 + 0.5, 0, 1) * (height > -0.05)


def draw_sky(world: kinds.World, canvas: Canvas) -> None:
    """Draws gradient, glow of the sun and clouds over the whole canvas."""
    canvas.label[:] = classes.SKY
    canvas.depth[:] = np.inf
    if canvas.photo is None:
        return
    camera, light = world.camera, world.light
    up = np.maximum(-camera.below(), 0.0)[: int(camera.horizon + 0.12 * camera.height)]
    up = up / camera.focal
    tangent = np.broadcast_to(camera.columns()[None], up.shape)
    share = np.clip(up * 1.7, 0, 1) ** 0.65
    colour = light.sky_low + (light.sky_top - light.sky_low) * share[..., None]
    where = -light.side * (0.2 + 0.25 * light.reach)
    glow = np.exp(-((tangent - where) ** 2 + (up - 0.9 / (0.6 + light.reach)) ** 2) * 5.0)
    strength = 0.45 * min(1.0, float(light.sun.max()))
    warm = np.clip(light.sky_low * 0.5 + light.sun * 0.45, 0, 1)
    colour = colour + (warm - colour) * (glow * strength)[..., None]
    plane = 16.0 / (up + 0.09)
    s = tangent * plane * 1.1 + world.salt
    t = plane * 1.6 + world.salt // 7
    field = smooth("cloud", s, t) + 0.22 * smooth("leaf", s * 3.1, t * 3.1)
    level = 1.6 * (0.5 - light.cover)
    dense = np.clip((field - level) * 1.4, 0, 1) * np.clip(up * 14 + 0.25, 0, 1)
    lit = np.clip(0.75 - 0.42 * (field - level) + 0.4 * (glow - 0.3), 0, 1)[..., None]
    cloud = light.cloud_dark + (light.cloud_light - light.cloud_dark) * lit
    colour = colour + (cloud - colour) * (dense * 0.92)[..., None]
    canvas.photo[: len(colour)] = colour
    canvas.photo[len(colour) :] = light.sky_low


def draw_backdrop(world: kinds.World, canvas: Canvas) -> None:
    """Draws what closes the view: a skyline, a belt of trees or hills, seen through the haze."""
    camera, light = world.camera, world.light
    rng = np.random.default_rng(world.salt)
    distance = float(rng.uniform(115, 165))
    x = camera.columns() * distance
    steps = np.floor((x + 400) / rng.uniform(9, 16)).astype(np.int32) % 256
    tall = rng.uniform(5, rng.choice((10, 18, 34)), 256).astype(np.float32)[steps]
    trees = (
        smooth("cloud", x * 0.25 + world.salt, x * 0) * 2.0
        + 0.8 * lookup("leaf", x * 1.5, x * 0)
        + rng.uniform(5, 11)
    )
    leafy = rng.random(256)[steps // 3] < rng.choice((0.15, 0.5, 0.9))
    height = np.where(leafy, trees, tall)
    pixels = -camera.below()  # above the horizon
    y = camera.eye + pixels * distance / camera.focal
    top = int(
        max(
            0,
            camera.horizon
            - camera.focal * (height.max() + 1) / distance
            - abs(camera.roll) * camera.width,
        )
    )
    stop = int(
        min(camera.height, camera.horizon + 0.03 * camera.height + abs(camera.roll) * camera.width)
    )
    y = y[top:stop]
    mask = (y < height) & (y > -0.6)
    kind = np.where(leafy, classes.TREE, classes.BUILDING).astype(np.uint8)
    canvas.label[top:stop][mask] = np.broadcast_to(kind, y.shape)[mask]
    if canvas.photo is None:
        return
    grey = rng.uniform(0.3, 0.75, 256)[steps][:, None] * np.array((1.0, 0.94, 0.86))
    grey = grey * (1 + rng.normal(0, 0.07, (256, 3))[steps])
    wall = np.broadcast_to(grey[None], (*y.shape, 3)).copy()
    panes = ((y / 3.3) % 1 > 0.45) & ((x[None] / 2.4) % 1 > 0.4)
    wall *= np.where(panes, 0.55, 1.0)[..., None]
    clump = 1 + 0.3 * lookup("leaf", np.broadcast_to(x * 2.2, y.shape), y * 2.2)
    wall = np.where(leafy[None, :, None], np.array((0.17, 0.25, 0.10)) * clump[..., None], wall)
    drawn = light.expose(wall, np.full(y.shape, 0.45), np.full(y.shape, distance))
    canvas.photo[top:stop][mask] = drawn[mask]


def _materials(world: kinds.World, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Returns the ground's material at each point, uint8 like x."""
    material = np.full(x.shape, world.surface, np.uint8)
    for side in (-1, 1):
        out = x * side
        strips = world.strips[side]
        table = np.array([world.surface] + [m for _, m in strips] + [strips[-1][1]], np.uint8)
        place = np.searchsorted(np.array(world.edges(side), np.float32), out)
        material = np.where(out > world.half, table[place], material)
    if world.crossing is None:
        return material
    near, far = world.crossing
    beside = np.abs(x) > world.half
    gap = np.maximum(near - z, z - far)  # metres outside the side street
    beyond = world.tee & (z > far)
    outer = np.abs(x) - world.half
    material = np.where((gap < 2.6) & (beside | beyond), kinds.SLABS, material)
    material = np.where((gap < 0.28) & (beside | beyond), kinds.KERB, material)
    material = np.where(beyond & (gap >= 2.6), np.uint8(kinds.GRASS), material)
    round_off = (
        (gap > 0)
        & (gap < 2)
        & (outer < 2)
        & (outer > 0)
        & ((2 - gap) ** 2 + (2 - outer) ** 2 > 4)
        & ~beyond
    )
    return np.where((gap < 0) | round_off, np.uint8(world.surface), material)


def _markings(world: kinds.World, x, z, pixel) -> np.ndarray:
    """Returns the cover of white markings on the carriageway, float32 like x."""
    rng = np.random.default_rng(world.salt + 1)

    def line(at, width, dash=0.0, gap=0.0):
        wide = np.maximum(width, pixel)
        cover = (np.abs(x - at) < wide / 2) * (width / wide)
        return cover * ((z + 1.7) % (dash + gap) < dash) if gap else cover

    half, style = world.half, rng.integers(4)
    cover = line(0.0, 0.13, *((3.0, 3.0), (2.0, 4.0), (0, 0), (4.0, 2.0))[style])
    if rng.random() < 0.55:
        cover = np.maximum(cover, line(half - 0.3, 0.11) + line(-half + 0.3, 0.11))
    if half > 4.6:
        cover = np.maximum(cover, line(half / 2, 0.12, 2, 4) + line(-half / 2, 0.12, 2, 4))
    cover = cover * (np.abs(x) < half)
    if world.crossing:
        near, far = world.crossing
        cover = cover * ((z < near - 0.3) | (z > far + 0.3))
        stop = (np.abs(z - near + 0.6) < 0.22) & (x > 0) & (x < half)
        middle = (np.abs(z - (near + far) / 2) < 0.08) & (np.abs(x) > half) & (x % 5 < 2.5)
        cover = np.maximum(cover, stop | middle)
    if world.zebra:
        strip = (z > world.zebra) & (z < world.zebra + 2.8) & (np.abs(x) < half)
        cover = np.where(strip, (x + half) % 1.1 < 0.55, cover)
    return cover.astype(np.float32)


def _albedo(world: kinds.World, material, x, z, pixel) -> np.ndarray:
    """Returns the ground's colour before light, float32 [..., 3]."""
    rng = np.random.default_rng(world.salt + 2)
    colours = _ALBEDO * rng.uniform(0.82, 1.2, (7, 1)) * (1 + rng.normal(0, 0.03, (7, 3)))
    if rng.random() < 0.3:  # red or yellow paving
        colours[kinds.SLABS] = ((0.50, 0.33, 0.27), (0.56, 0.50, 0.36))[rng.integers(2)]
    if rng.random() < 0.35:  # dry or lush grass
        colours[kinds.GRASS] = ((0.37, 0.37, 0.13), (0.16, 0.36, 0.07))[rng.integers(2)]
    albedo = colours.astype(np.float32)[material]
    fine = lookup("grain", x * 28, z * 28)
    broad = smooth("cloud", x * 2.6 + world.salt, z * 1.3)
    road = material <= kinds.PARKING
    tyre = np.cos((np.abs(x) - world.half / 2) * (2 * np.pi / 1.75))
    gain = 1 + np.where(road, 0.075 * fine + 0.10 * broad - 0.05 * tyre, 0.05 * fine + 0.06 * broad)
    near = np.clip(1.4 - pixel * 9, 0, 1)
    slabs = (x % 0.6 < 0.05) | ((z + (np.floor(x / 0.6) % 2) * 0.3) % 0.6 < 0.05)
    gain = gain - np.where(material == kinds.SLABS, 0.3 * near * slabs, 0)
    gain = gain + np.where(
        material == kinds.SLABS, 0.08 * lookup("white", x / 0.6, z / 0.6) * near, 0
    )
    setts = 0.16 * lookup("white", x / 0.22, z / 0.16) * near
    gain = gain + np.where(material == kinds.COBBLE, setts, 0)
    grass = material == kinds.GRASS
    blades = 0.26 * lookup("grain", x * 13, z * 7) + 0.16 * smooth("leaf", x * 3, z * 3)
    gain = np.where(grass, 1 + blades + 0.1 * broad, gain)
    albedo = albedo * np.maximum(gain, 0.25)[..., None]
    if world.surface != kinds.COBBLE:
        worn = np.clip(0.95 + 0.25 * fine, 0.3, 1)
        cover = (_markings(world, x, z, pixel) * worn * road)[..., None]
        albedo = albedo + (np.float32(0.86) - albedo) * cover
    return np.clip(albedo, 0.02, 0.95)


def draw_ground(world: kinds.World, canvas: Canvas) -> None:
    """Draws road, pavements, grass, markings and the shadows that lie on them."""
    camera, light = world.camera, world.light
    below = camera.below()
    ground = below > camera.focal * camera.eye / 400
    rows, columns = np.nonzero(ground)
    z = camera.focal * camera.eye / below[rows, columns]
    x = camera.columns()[columns] * z + camera.lateral - 0.5 * camera.bend * z * z
    pixel = z / camera.focal
    material = _materials(world, x, z)
    canvas.label[rows, columns] = _CLASS[material]
    canvas.depth[rows, columns] = z
    if canvas.photo is None:
        return
    sun = shadow_of_buildings(world, x, 0.0, z)
    sky = np.ones_like(x)
    for item in world.items:
        if item.z < 45:
            _item_shadow(world, item, rows, x, z, sun, sky)
    for side in (-1, 1):
        fronts = [abs(b.x) for b in world.buildings if b.side == side]
        if fronts:
            sky *= 1 - 0.28 * np.exp(-np.abs(x * side - min(fronts)) / 1.2)
    colour = light.expose(
        _albedo(world, material, x, z, pixel), sun * light.lambert((0, 1, 0)), z, sky
    )
    canvas.photo[rows, columns] = colour


def _item_shadow(world, item, rows, x, z, sun, sky) -> None:
    """Darkens `sun` and `sky` (in place) where an item shades the ground."""
    light = world.light
    size = {
        "tree": (2.0, 4.2),
        "bush": (0.8, 0.6),
        "hedge": (0.7, 0.5),
        "car": (1.9, 0.75),
        "person": (0.25, 0.9),
        "lamp": (0.12, 2.5),
        "sign": (0.3, 1.6),
    }.get(item.kind)
    if size is None:
        return
    radius, height = size[0] * item.size, size[1] * item.size
    shift = light.side * light.reach * height, light.lean * light.reach * height
    reach_x = radius + 0.6 * abs(shift[0])
    near, far = item.z + min(0, shift[1]) - 2 * radius, item.z + max(0, shift[1]) + 2 * radius
    # Pixels are in row order, so a range of depths is a range of pixels (roll widens it a little).
    low, high = np.searchsorted(-z[:: world.camera.width], (-far - 3, -max(near, 0.5) + 1.5))
    part = slice(max(0, low - 1) * world.camera.width, (high + 1) * world.camera.width)
    px, pz = x[part], z[part]
    if item.kind == "car":
        long = abs(np.cos(item.heading)) > 0.5
        wide, deep = (0.95, 2.2) if long else (2.2, 0.95)
        edge = np.maximum(np.abs(px - item.x) - wide, np.abs(pz - item.z) - deep)
        sky[part] *= 1 - 0.75 * np.clip(1 - edge / 0.55, 0, 1)
        moved = np.maximum(
            np.abs(px - item.x - 0.5 * shift[0]) - wide - 0.3 * abs(shift[0]),
            np.abs(pz - item.z - 0.5 * shift[1]) - deep,
        )
        sun[part] *= 1 - np.clip(0.5 - moved * 2.5, 0, 1)
        return
    across = (px - item.x - shift[0]) / reach_x
    along = (pz - item.z - shift[1]) / radius
    square = across * across + along * along
    if item.kind == "tree":
        ragged = square + 0.35 * lookup("leaf", px * 9 + 40, pz * 9)
        sun[part] *= 1 - 0.9 * np.clip((1.15 - ragged) * 3, 0, 1)
        stem = (px - item.x) ** 2 + (pz - item.z) ** 2
        sky[part] *= 1 - 0.4 * np.exp(-stem / 0.5)
        return
    sun[part] *= 1 - 0.9 * np.clip((1.1 - square) * 3, 0, 1)
    foot = (px - item.x) ** 2 + (pz - item.z) ** 2
    sky[part] *= 1 - 0.5 * np.exp(-foot / (0.12 + 0.3 * radius * radius))
