"""People, poles, signs and fences of a procedural scene."""

import numpy as np

from usis_jax.data.scenes import classes
from usis_jax.data.scenes.canvas import Renderer
from usis_jax.data.scenes.world import Item

_CLOTHES = (
    (0.70, 0.08, 0.10),
    (0.08, 0.14, 0.42),
    (0.10, 0.10, 0.11),
    (0.85, 0.84, 0.80),
    (0.85, 0.60, 0.10),
    (0.10, 0.40, 0.28),
    (0.45, 0.12, 0.40),
    (0.35, 0.42, 0.48),
    (0.80, 0.40, 0.42),
    (0.20, 0.50, 0.68),
    (0.42, 0.30, 0.20),
)
_TROUSERS = ((0.10, 0.14, 0.26), (0.08, 0.08, 0.09), (0.36, 0.31, 0.25), (0.25, 0.26, 0.28))
_SKIN = ((0.80, 0.58, 0.46), (0.68, 0.46, 0.34), (0.40, 0.26, 0.18))
_HAIR = ((0.10, 0.07, 0.05), (0.30, 0.18, 0.09), (0.62, 0.48, 0.24), (0.45, 0.44, 0.43))
_METAL = {"arm": (0.42, 0.44, 0.46), "lantern": (0.08, 0.11, 0.10), "wood": (0.33, 0.24, 0.17)}
_FENCES = {
    "railing": (0.10, 0.11, 0.12),
    "picket": (0.84, 0.83, 0.79),
    "boards": (0.46, 0.31, 0.18),
    "wall": (0.48, 0.28, 0.21),
    "green": (0.10, 0.28, 0.16),
}


def draw_person(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a standing or walking person.

    Args:
      renderer: the scene's renderer.
      item: kind "person"; size 1 is 1.75 m.
      rng: the scene's generator of details.
    """
    top, legs = _CLOTHES[rng.integers(len(_CLOTHES))], _TROUSERS[rng.integers(len(_TROUSERS))]
    skin, hair = _SKIN[rng.integers(len(_SKIN))], _HAIR[rng.integers(len(_HAIR))]
    stride, lean = rng.uniform(0.02, 0.30), rng.normal(0, 0.03)
    coat, bag = rng.random(2)
    if not renderer.place(item.x, item.z, 1.0):
        return
    column, foot = renderer.camera.project(item.x, 0.0, item.z)
    scale = renderer.camera.focal / item.z * item.size
    kind, side = classes.PERSON, renderer.light.side

    def shape(points, albedo, ambient=0.85):
        columns = [column + (x + lean * y) * scale for x, y in points]
        rows = [foot - y * scale for _, y in points]
        renderer.polygon(columns, rows, renderer.colour(albedo, ambient=ambient), kind)

    for sign, dim in ((1, 0.7), (-1, 0.9)):
        shape(
            (
                (sign * stride - 0.08, 0),
                (sign * 0.02 - 0.1, 0.88),
                (sign * 0.02 + 0.1, 0.88),
                (sign * stride + 0.07, 0),
            ),
            legs,
            dim,
        )
        shape(
            (
                (sign * stride - 0.09, 0),
                (sign * stride - 0.08, 0.07),
                (sign * stride + 0.15, 0.05),
                (sign * stride + 0.15, 0),
            ),
            (0.06, 0.05, 0.05),
        )
    hem = 0.5 if coat < 0.25 else 0.80
    shape(
        ((-0.19, hem), (-0.21, 1.42), (-0.10, 1.52), (0.10, 1.52), (0.21, 1.42), (0.19, hem)), top
    )
    shade = ((0.03 * side, hem), (0.05 * side, 1.50), (0.21 * side, 1.42), (0.19 * side, hem))
    shape(shade, np.asarray(top) * 0.72, 0.7)
    for sign in (-1, 1):
        swing = sign * stride * 0.5
        shape(
            (
                (sign * 0.19 - 0.05, 1.44),
                (sign * 0.19 + 0.05, 1.44),
                (sign * 0.23 + swing + 0.045, 0.85),
                (sign * 0.23 + swing - 0.045, 0.85),
            ),
            np.asarray(top) * (0.85 if sign == side else 1.0),
        )
    if bag < 0.3:
        shape(((0.2, 0.62), (0.2, 0.95), (0.42, 0.95), (0.42, 0.62)), (0.30, 0.16, 0.09))
    head = column + lean * 1.6 * scale, foot - 1.64 * scale
    renderer.ellipse(*head, 0.115 * scale, 0.145 * scale, renderer.colour(hair), kind)
    renderer.ellipse(
        head[0] - 0.01 * scale,
        head[1] + 0.035 * scale,
        0.085 * scale,
        0.11 * scale,
        renderer.colour(skin),
        kind,
    )


def _post(renderer: Renderer, item: Item, height: float, width: float, albedo) -> tuple:
    """Draws an upright pole; returns its column, foot row, and pixels per metre."""
    column, foot = renderer.camera.project(item.x, 0.0, item.z)
    scale = renderer.camera.focal / item.z
    half = max(width * scale, renderer.least) / 2
    top = foot - height * scale
    dark, light = renderer.colour(np.asarray(albedo) * 0.7), renderer.colour(albedo)
    renderer.box(column - half, top, column + half, foot, light, classes.POLE)
    shade = sorted((column, column + renderer.light.side * half))
    renderer.box(shade[0], top, shade[1], foot, dark)
    return column, foot, scale


def draw_pole(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a lamp post, a telegraph pole or a bollard.

    Args:
      renderer: the scene's renderer.
      item: kind "lamp" (style arm, lantern, wood) or "bollard".
      rng: the scene's generator of details.
    """
    height = {"arm": 7.2, "lantern": 4.4, "wood": 7.8}.get(item.style, 1.0) * item.size
    if not renderer.place(item.x, item.z, min(height, 2.0)):
        return
    if item.kind == "bollard":
        column, foot, scale = _post(renderer, item, 1.0, 0.16, (0.12, 0.12, 0.13))
        half = max(0.08 * scale, 0.5 * renderer.least)
        renderer.box(
            column - half,
            foot - 0.9 * scale,
            column + half,
            foot - 0.72 * scale,
            renderer.colour((0.85, 0.84, 0.8)),
        )
        return
    width = {"arm": 0.17, "lantern": 0.15, "wood": 0.24}[item.style]
    column, foot, scale = _post(renderer, item, height, width, _METAL[item.style])
    top, inward = foot - height * scale, -np.sign(item.x)
    lit = renderer.light.lamps > 0.1
    lamp = renderer.glow((1.0, 0.86, 0.55)) if lit else renderer.colour((0.75, 0.75, 0.72))
    metal, half = renderer.colour(_METAL[item.style]), max(0.05 * scale, 0.5 * renderer.least)
    if item.style == "arm":
        reach = column + inward * 1.9 * scale
        renderer.polygon(
            (column, reach, reach, column),
            (top - half, top - 0.25 * scale - half, top - 0.25 * scale + half, top + half),
            metal,
            classes.POLE,
        )
        left, right = sorted((reach, reach - inward * 0.7 * scale))
        renderer.box(left, top - 0.28 * scale, right, top - 0.1 * scale, lamp, classes.POLE)
    elif item.style == "lantern":
        renderer.polygon(
            (
                column - 0.16 * scale,
                column - 0.26 * scale,
                column + 0.26 * scale,
                column + 0.16 * scale,
            ),
            (top, top - 0.55 * scale, top - 0.55 * scale, top),
            lamp,
            classes.POLE,
        )
        renderer.polygon(
            (column - 0.3 * scale, column, column + 0.3 * scale),
            (top - 0.55 * scale, top - 0.85 * scale, top - 0.55 * scale),
            metal,
            classes.POLE,
        )
    else:
        renderer.box(
            column - 0.8 * scale,
            top + 0.35 * scale,
            column + 0.8 * scale,
            top + 0.35 * scale + 2 * half,
            metal,
            classes.POLE,
        )


def _plate(renderer: Renderer, style: str, column: float, row: float, r: float) -> None:
    """Draws a traffic sign's face of half size r pixels centred at (column, row)."""
    red, white, blue = ((0.80, 0.05, 0.07), (0.92, 0.92, 0.90), (0.04, 0.22, 0.66))
    colours = {
        n: renderer.colour(c, ambient=1.05)
        for n, c in (
            ("red", red),
            ("white", white),
            ("blue", blue),
            ("yellow", (0.95, 0.76, 0.05)),
            ("green", (0.03, 0.40, 0.22)),
            ("black", (0.05, 0.05, 0.05)),
        )
    }
    ring = {
        "round": ("red", "white"),
        "parking": ("blue", "blue"),
        "stop": ("red", "red"),
        "square": ("blue", "blue"),
        "guide": ("green", "green"),
        "diamond": ("white", "yellow"),
        "triangle": ("red", "white"),
        "yield": ("red", "white"),
    }[style]
    corners = {"round": 16, "parking": 16, "stop": 8, "triangle": 3, "yield": 3, "diamond": 4}
    outer, inner = (colours[name] for name in ring)
    if style in ("square", "guide"):
        wide, high = (1.0, 1.0) if style == "square" else (1.9, 1.1)
        renderer.box(
            column - wide * r,
            row - high * r,
            column + wide * r,
            row + high * r,
            colours["white"],
            classes.SIGN,
        )
        renderer.box(
            column - wide * 0.88 * r,
            row - high * 0.86 * r,
            column + wide * 0.88 * r,
            row + high * 0.86 * r,
            inner,
        )
        renderer.box(
            column - wide * 0.5 * r, row - 0.3 * r, column + wide * 0.5 * r, row, colours["white"]
        )
        return
    number = corners[style]
    start = {"triangle": -np.pi / 2, "yield": np.pi / 2, "diamond": 0.0}.get(style, np.pi / 8)
    angle = start + np.linspace(0, 2 * np.pi, number, endpoint=False)
    size = 1.25 * r if number == 3 else 1.1 * r
    for share, colour, kind in ((1.0, outer, classes.SIGN), (0.68, inner, None)):
        renderer.polygon(
            column + share * size * np.cos(angle), row + share * size * np.sin(angle), colour, kind
        )
    mark = colours["black" if style in ("round", "diamond", "triangle") else "white"]
    if style in ("round", "diamond", "triangle", "parking", "stop"):
        wide = 0.6 if style in ("stop", "round") else 0.14
        renderer.box(
            column - wide * r,
            row - 0.16 * r if wide > 0.5 else row - 0.4 * r,
            column + wide * r,
            row + 0.16 * r if wide > 0.5 else row + 0.35 * r,
            mark,
        )


def draw_sign(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a traffic sign, a traffic light or an advertising board.

    Args:
      renderer: the scene's renderer.
      item: kind "sign", "lights" or "board".
      rng: the scene's generator of details.
    """
    phase, poster = rng.integers(3), rng.random((2, 3))
    if not renderer.place(item.x, item.z, 2.0):
        return
    if item.kind == "board":
        column, foot, scale = _post(renderer, item, 2.6, 0.22, (0.35, 0.36, 0.38))
        wide, low, high = 1.5 * item.size * scale, foot - 2.0 * scale, foot - 4.2 * scale
        renderer.box(
            column - wide,
            high,
            column + wide,
            low,
            renderer.colour((0.88, 0.88, 0.86)),
            classes.SIGN,
        )
        renderer.box(
            column - 0.92 * wide,
            high + 0.1 * scale,
            column + 0.92 * wide,
            low - 0.1 * scale,
            renderer.colour(poster[0] * 0.8 + 0.05),
        )
        renderer.ellipse(
            column + 0.35 * wide,
            0.5 * (high + low),
            0.35 * wide,
            0.6 * scale,
            renderer.colour(poster[1]),
        )
        return
    if item.kind == "lights":
        column, foot, scale = _post(renderer, item, 3.6, 0.13, (0.30, 0.31, 0.32))
        half, top = max(0.20 * scale, renderer.least), foot - 3.7 * scale
        renderer.box(
            column - half,
            top,
            column + half,
            top + 1.1 * scale,
            renderer.colour((0.05, 0.05, 0.05)),
            classes.SIGN,
        )
        for i, lamp in enumerate(((1.0, 0.12, 0.08), (1.0, 0.70, 0.10), (0.10, 0.95, 0.50))):
            colour = renderer.glow(lamp) if i == phase else renderer.colour(np.array(lamp) * 0.15)
            row = top + (0.2 + 0.34 * i) * scale
            renderer.ellipse(column, row, 0.75 * half, 0.15 * scale, colour)
        return
    column, foot, scale = _post(renderer, item, 2.5 * item.size, 0.09, (0.55, 0.56, 0.57))
    _plate(
        renderer,
        item.style,
        column,
        foot - 2.35 * item.size * scale,
        max(0.42 * item.size * scale, 1.3 * renderer.least),
    )


def draw_fence(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws one 2 m panel of a fence along the road.

    Args:
      renderer: the scene's renderer.
      item: kind "fence"; style railing, picket, boards, wall or green.
      rng: the scene's generator of details.
    """
    near, far = item.z, item.z + 2.02
    if not renderer.place(item.x, item.z + 1.0, 0.7):
        return
    height = {"boards": 1.6, "wall": 1.2, "green": 1.3, "picket": 1.0}.get(item.style, 1.1)
    albedo = np.array(_FENCES[item.style])
    normal = (-np.sign(item.x), 0.1, 0)

    def strip(start, stop, low, high, colour, kind=None):
        z = np.array((start, start, stop, stop))
        columns, rows = renderer.camera.project(item.x, np.array((low, high, high, low)), z)
        renderer.polygon(columns, rows, colour, kind)

    base = renderer.colour(albedo, normal)
    dark = renderer.colour(albedo * 0.68, normal)
    light = renderer.colour(np.minimum(albedo * 1.3 + 0.04, 1), normal)
    solid = item.style in ("boards", "wall")
    strip(near, far, 0.0, height, base if solid else None, classes.FENCE)
    if item.style == "wall":
        for i in range(1, 6):
            strip(near, far, i * 0.2 - 0.02, i * 0.2 + 0.015, dark)
        strip(near, far, height - 0.12, height, light)
        return
    count = 8 if item.style != "boards" else 5
    step = (far - near) / count
    for i in range(count):
        start = near + i * step
        width = step * {"picket": 0.62, "boards": 0.14}.get(item.style, 0.30)
        strip(start, start + width, 0.0, height, dark if item.style == "boards" else base)
    for low in (0.15, height - 0.12):
        strip(near, far, low, low + 0.09, light if item.style != "boards" else dark)
