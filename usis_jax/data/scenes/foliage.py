"""Trees, bushes and hedges of a procedural scene."""

import functools

import numpy as np
from PIL import Image

from usis_jax.data.scenes import classes
from usis_jax.data.scenes.canvas import Renderer
from usis_jax.data.scenes.textures import lookup
from usis_jax.data.scenes.world import Item

_SIZE = 160
_VARIANTS = 5
_RAMP = np.linspace(0, 1, 256)[:, None]
# species: crown metres (wide, high), bare trunk metres, trunk colour, leaf colours (dark, light)
_SPECIES = {
    "oak": (
        6.0,
        5.6,
        1.9,
        (0.25, 0.19, 0.13),
        (((0.09, 0.16, 0.04), (0.30, 0.42, 0.12)), ((0.24, 0.14, 0.04), (0.66, 0.42, 0.12))),
    ),
    "lime": (
        4.6,
        6.4,
        2.0,
        (0.28, 0.23, 0.18),
        (((0.10, 0.20, 0.04), (0.38, 0.54, 0.13)), ((0.34, 0.25, 0.03), (0.88, 0.72, 0.16))),
    ),
    "maple": (
        5.2,
        5.4,
        1.9,
        (0.24, 0.19, 0.15),
        (((0.08, 0.18, 0.05), (0.27, 0.45, 0.14)), ((0.32, 0.08, 0.03), (0.84, 0.34, 0.10))),
    ),
    "poplar": (2.4, 9.0, 1.2, (0.30, 0.27, 0.22), (((0.10, 0.19, 0.06), (0.36, 0.47, 0.17)),)),
    "cherry": (
        4.4,
        4.0,
        1.6,
        (0.24, 0.15, 0.13),
        (((0.50, 0.26, 0.33), (0.95, 0.74, 0.80)), ((0.09, 0.19, 0.05), (0.31, 0.46, 0.14))),
    ),
    "pine": (4.2, 8.0, 0.9, (0.27, 0.17, 0.11), (((0.04, 0.10, 0.06), (0.16, 0.30, 0.17)),)),
    "birch": (
        3.6,
        6.2,
        2.0,
        (0.75, 0.73, 0.68),
        (((0.16, 0.24, 0.06), (0.48, 0.58, 0.20)), ((0.40, 0.30, 0.05), (0.92, 0.76, 0.22))),
    ),
}


@functools.cache
def _crown(species: str, variant: int) -> list[list[Image.Image]]:
    """Returns shading (0 dark to 255 light) and cover of a crown, then both mirrored."""
    rng = np.random.default_rng(
        [list(_SPECIES).index(species) if species in _SPECIES else 99, variant]
    )
    y, x = (np.mgrid[:_SIZE, :_SIZE] + 0.5) / _SIZE * 2 - 1
    dx, dy = rng.integers(0, 200, 2)
    leaf = lookup("leaf", np.arange(_SIZE)[None] * 0.9 + dx, np.arange(_SIZE)[:, None] * 0.9 + dy)
    fine = lookup("grain", np.arange(_SIZE)[None] + dx, np.arange(_SIZE)[:, None] + dy)
    if species == "pine":
        tiers = ((y + 1) * 3.5) % 1
        inside = (y + 1) / 2 * 0.9 * (0.62 + 0.38 * tiers) + 0.04 - np.abs(x)
        shade = 0.45 + 0.4 * (0.5 - tiers) - 0.25 * np.abs(x)
        cover = inside * 5 + 0.16 * leaf + 0.12 * fine
    else:
        cover, shade = np.full(x.shape, -9.0), np.zeros(x.shape)
        for _ in range(6 if species in ("poplar", "hedge") else 11):
            angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.42))
            radius = rng.uniform(0.32, 0.48)
            px, py = x - far * np.cos(angle), y - far * np.sin(angle) * 0.95
            ball = 1 - np.hypot(px, py) / radius
            bump = 0.5 - 0.42 * py / radius - 0.12 * y + 0.15 * px / radius
            shade = np.where(ball > cover, bump, shade)
            cover = np.maximum(cover, ball)
        cover = cover * 3.0 + 0.5 * leaf + 0.28 * fine
    shade = shade + 0.15 * leaf + 0.13 * fine
    planes = [(np.clip(a, 0, 1) * 255).astype(np.uint8) for a in (shade, cover * 1.4 + 0.5)]
    return [
        [Image.fromarray(np.ascontiguousarray(a[:, ::step])) for a in planes] for step in (1, -1)
    ]


def _paste_crown(renderer: Renderer, crown, mirror, box, dark, light) -> None:
    """Pastes a crown, coloured from dark to light leaves, into the pixel box (l, t, r, b)."""
    left, top = int(np.floor(box[0])), int(np.floor(box[1]))
    wide, high = max(2, round(float(box[2] - box[0]))), max(2, round(float(box[3] - box[1])))
    if wide > 4 * renderer.camera.width or left + wide < 0 or left > renderer.camera.width:
        return
    shade, cover = (
        plane.resize((wide, high), Image.Resampling.BILINEAR) for plane in crown[mirror]
    )
    if renderer.photo is None:
        renderer.paste(None, cover, left, top, classes.TREE)
        return
    table = np.asarray(dark) * (1 - _RAMP) + np.asarray(light) * _RAMP
    shade.putpalette(np.clip(table, 0, 255).astype(np.uint8).tobytes())
    renderer.paste(shade.convert("RGB"), cover, left, top, classes.TREE)


def draw_tree(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a tree: trunk, then crown.

    Args:
      renderer: the scene's renderer.
      item: kind "tree"; style is the species.
      rng: the scene's generator of details.
    """
    wide, high, bare, bark, leaves = _SPECIES[item.style]
    variant, mirror = int(rng.integers(_VARIANTS)), rng.random() < 0.5
    season = np.random.default_rng(renderer.world.salt + 3).random()
    stretch = rng.uniform(0.88, 1.14, 2)
    tint = 1 + rng.normal(0, 0.05, 3)
    if not renderer.place(item.x, item.z, bare * 0.8):
        return
    foot = renderer.camera.project(item.x, 0.0, item.z)
    scale = renderer.camera.focal / item.z * item.size
    thick = max(0.16 * scale, 0.7)
    middle = foot[1] - (bare + 0.3 * high) * scale
    column = foot[0]
    points = (
        (column - thick, column - 0.6 * thick, column + 0.6 * thick, column + thick),
        (foot[1], middle, middle, foot[1]),
    )
    renderer.polygon(
        *points, renderer.colour(bark, (renderer.light.side * -0.3, 0.2, -0.9)), classes.TREE
    )
    dark, light = leaves[1 if season < 0.3 and len(leaves) > 1 else 0]
    if item.style == "cherry" and 0.3 <= season < 0.7:
        dark, light = leaves[1]
    shaded = renderer.colour(np.array(dark) * tint, (0, 0.1, -1), 0.55)
    bright = renderer.colour(np.array(light) * tint, (0, 0.9, -0.4), 1.0)
    half, top = 0.5 * wide * scale * stretch[0], foot[1] - (bare + high * stretch[1]) * scale
    box = (column - half, top, column + half, foot[1] - bare * 0.8 * scale)
    _paste_crown(renderer, _crown(item.style, variant), mirror, box, shaded, bright)


def draw_bush(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a bush or a piece of hedge.

    Args:
      renderer: the scene's renderer.
      item: kind "bush" or "hedge".
      rng: the scene's generator of details.
    """
    variant, mirror = int(rng.integers(_VARIANTS)), rng.random() < 0.5
    wide, high = (0.85, 1.25) if item.kind == "hedge" else rng.uniform((0.9, 0.9), (1.8, 1.9))
    tint = 1 + rng.normal(0, 0.06, 3)
    if not renderer.place(item.x, item.z, 0.5):
        return
    column, foot = renderer.camera.project(item.x, 0.0, item.z)
    scale = renderer.camera.focal / item.z * item.size
    dark = renderer.colour(np.array((0.07, 0.13, 0.04)) * tint, (0, 0.1, -1), 0.55)
    light = renderer.colour(np.array((0.26, 0.40, 0.13)) * tint, (0, 0.9, -0.4), 1.0)
    box = (column - wide * scale, foot - high * scale, column + wide * scale, foot + 0.06 * scale)
    _paste_crown(renderer, _crown("hedge", variant), mirror, box, dark, light)
