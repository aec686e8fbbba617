"""Cars, vans and buses of a procedural scene: small solid models in perspective."""

import itertools

import numpy as np

from usis_jax.data.scenes import classes
from usis_jax.data.scenes.canvas import Renderer
from usis_jax.data.scenes.world import Item

_BODY_COLOURS = (
    (0.80, 0.81, 0.82),
    (0.52, 0.54, 0.56),
    (0.07, 0.07, 0.08),
    (0.62, 0.05, 0.06),
    (0.06, 0.14, 0.40),
    (0.10, 0.34, 0.62),
    (0.07, 0.26, 0.15),
    (0.86, 0.66, 0.10),
    (0.55, 0.28, 0.12),
    (0.24, 0.25, 0.28),
    (0.88, 0.88, 0.86),
    (0.70, 0.12, 0.10),
)
# style: width, body profile (length, height) from rear foot over the top to front foot, cabin
# profile from rear base over the roof to windscreen base. The rear end is at length 0.
_MODELS = {
    "hatch": (
        1.72,
        ((0, 0.30), (0, 0.92), (0.35, 0.98), (2.75, 0.95), (3.85, 0.78), (3.95, 0.32)),
        ((0.10, 0.95), (0.50, 1.46), (1.9, 1.47), (2.85, 0.94)),
    ),
    "saloon": (
        1.80,
        ((0, 0.32), (0, 0.90), (0.95, 0.98), (3.1, 0.95), (4.45, 0.76), (4.55, 0.32)),
        ((0.55, 0.97), (1.25, 1.42), (2.35, 1.43), (3.25, 0.94)),
    ),
    "estate": (
        1.78,
        ((0, 0.34), (0, 1.0), (0.3, 1.04), (3.0, 1.02), (4.3, 0.86), (4.4, 0.36)),
        ((0.04, 1.02), (0.35, 1.60), (2.3, 1.62), (3.1, 1.01)),
    ),
    "van": (
        1.95,
        ((0, 0.32), (0, 2.05), (0.1, 2.10), (3.5, 2.10), (4.4, 1.05), (4.9, 0.92), (4.95, 0.34)),
        None,
    ),
    "taxi": (
        1.80,
        ((0, 0.32), (0, 0.90), (0.95, 0.98), (3.1, 0.95), (4.45, 0.76), (4.55, 0.32)),
        ((0.55, 0.97), (1.25, 1.42), (2.35, 1.43), (3.25, 0.94)),
    ),
    "bus": (2.5, ((0, 0.36), (0, 3.0), (0.15, 3.08), (9.3, 3.08), (9.5, 2.9), (9.5, 0.36)), None),
}


class _Solid:
    """Car coordinates (length, height, across) to pixels, and faces that look at the camera."""

    def __init__(self, renderer: Renderer, item: Item, length: float):
        self.renderer, self.camera = renderer, renderer.camera
        self.x, self.z, self.length = item.x, item.z, length
        self.cos, self.sin = float(np.cos(item.heading)), float(np.sin(item.heading))
        self.fine = renderer.camera.focal / item.z > 7 * renderer.least  # near enough for details

    def project(self, points):
        """Returns pixel columns and rows of points float [N, 3]."""
        points = np.asarray(points, float)
        along, height, across = points[:, 0] - self.length / 2, points[:, 1], points[:, 2]
        x = self.x + along * self.sin + across * self.cos
        z = self.z + along * self.cos - across * self.sin
        return self.camera.project(x, height, z)

    def turn(self, normal):
        """Returns a car-coordinate normal in road coordinates (x, y, z)."""
        along, height, across = normal
        return (along * self.sin + across * self.cos, height, along * self.cos - across * self.sin)

    def face(self, points, normal, albedo, gloss=0.1, kind=classes.CAR) -> bool:
        """Draws a face if it looks at the camera; returns whether it did."""
        along, height, across = (sum(p) / len(points) for p in zip(*points, strict=True))
        toward = self.turn((along - self.length / 2, 0.0, across))
        z = self.z + toward[2]
        view = (
            self.x + toward[0] + 0.5 * self.camera.bend * z * z - self.camera.lateral,
            height - self.camera.eye,
            z,
        )
        if sum(v * n for v, n in zip(view, self.turn(normal), strict=True)) >= 0:
            return False
        columns, rows = self.project(points)
        light = self.renderer.light
        base = self.renderer.colour(albedo, self.turn(normal), 0.72 + 0.3 * max(normal[1], 0))
        shine = light.sky_low * 255
        colour = tuple(int(b + (s - b) * gloss) for b, s in zip(base, shine, strict=True))
        self.renderer.polygon(columns, rows, colour, kind)
        return True


def _wheels(solid: _Solid, style: str, width: float, length: float) -> None:
    """Draws the wheels of the side that is seen."""
    radius = 0.46 if style == "bus" else 0.31
    axles = (0.2 * length, 0.8 * length)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for across in (-width / 2, width / 2):
        for axle in axles:
            rim = [
                (axle + radius * np.cos(a), radius + radius * np.sin(a), across * 1.01)
                for a in angle
            ]
            hub = [
                (axle + (p[0] - axle) * 0.55, radius + (p[1] - radius) * 0.55, p[2]) for p in rim
            ]
            seen = solid.face(rim, (0, 0.2, np.sign(across)), (0.03, 0.03, 0.035), 0.0)
            if seen and solid.fine:
                solid.face(hub, (0, 0.2, np.sign(across)), (0.45, 0.45, 0.46), 0.0)


def _end(
    solid: _Solid, style: str, width: float, length: float, front: bool, body_colour, lit
) -> None:
    """Draws lamps, plate, bumper and grille of one end."""
    along, low, high = (length, 0.3, 0.78) if front else (0.0, 0.32, 0.9)
    if style in ("van", "bus"):
        high = 1.0
    half = width / 2
    sign = 1 if front else -1

    def patch(left, right, bottom, top, colour, gloss=0.0, glowing=False):
        points = [
            (along + sign * 0.01, bottom, left),
            (along + sign * 0.01, top, left),
            (along + sign * 0.01, top, right),
            (along + sign * 0.01, bottom, right),
        ]
        if not solid.face(points, (sign, 0.1, 0), colour, gloss):
            return
        if glowing:
            solid.renderer.polygon(*solid.project(points), solid.renderer.glow(colour))

    patch(-half, half, low, low + 0.2, np.asarray(body_colour) * 0.45)
    if front:
        if solid.fine:
            patch(-0.45 * half, 0.45 * half, high - 0.24, high - 0.08, (0.05, 0.05, 0.06))
        lamp, glowing = ((1.0, 0.97, 0.85), True) if lit else ((0.85, 0.86, 0.88), False)
    else:
        lamp, glowing = ((0.95, 0.10, 0.06), True) if lit else ((0.60, 0.03, 0.03), False)
    for left, right in ((-half, -half * 0.62), (half * 0.62, half)):
        patch(left, right, high - 0.26, high - 0.04, lamp, 0.0, glowing)
    if solid.fine:
        plate = (0.85, 0.84, 0.78) if front else (0.85, 0.68, 0.15)
        patch(-0.26, 0.26, low + 0.14, low + 0.27, plate)


def _cabin(solid: _Solid, style: str, width: float, cabin, body_colour) -> None:
    """Draws the glass house: rear window, windscreen, roof and side windows."""
    (rear, base), (roof_rear, top), (roof_front, top_front), (front, base_front) = cabin
    low, high = width * 0.48, width * 0.39
    glass, gloss = (0.05, 0.06, 0.07), 0.24
    quads = (
        (
            [
                (rear, base, low),
                (roof_rear, top, high),
                (roof_rear, top, -high),
                (rear, base, -low),
            ],
            (-1, 0.6, 0),
            glass,
            gloss,
        ),
        (
            [
                (front, base_front, -low),
                (roof_front, top_front, -high),
                (roof_front, top_front, high),
                (front, base_front, low),
            ],
            (1, 0.6, 0),
            glass,
            gloss,
        ),
        (
            [
                (roof_rear, top, high),
                (roof_front, top_front, high),
                (roof_front, top_front, -high),
                (roof_rear, top, -high),
            ],
            (0, 1, 0),
            body_colour,
            0.22,
        ),
    )
    for sign in (-1, 1):
        side = [
            (rear, base, sign * low),
            (roof_rear, top, sign * high),
            (roof_front, top_front, sign * high),
            (front, base_front, sign * low),
        ]
        pane = [
            (rear + 0.25, base + 0.05, sign * low),
            (roof_rear + 0.1, top - 0.1, sign * high),
            (roof_front - 0.05, top_front - 0.1, sign * high),
            (front - 0.28, base_front + 0.06, sign * low),
        ]
        middle = 0.5 * (roof_rear + roof_front) + 0.1
        post = [
            (middle - 0.05, base, sign * low),
            (middle - 0.05, top, sign * high),
            (middle + 0.05, top, sign * high),
            (middle + 0.05, base, sign * low),
        ]
        if solid.face(side, (0, 0.3, sign), body_colour, 0.1):
            solid.face(pane, (0, 0.3, sign), glass, gloss)
            if solid.fine:
                solid.face(post, (0, 0.3, sign), body_colour, 0.05)
    for points, normal, colour, shine in quads:
        if solid.face(points, normal, body_colour, 0.15) and colour is glass:
            solid.face(_inset(points, 0.10), normal, glass, shine)


def _inset(points, share: float) -> list[tuple[float, float, float]]:
    """Returns a polygon shrunk towards its middle by a share of its size."""
    middle = [sum(p) / len(points) for p in zip(*points, strict=True)]
    return [tuple(c + (m - c) * share for c, m in zip(p, middle, strict=True)) for p in points]


def _panes(solid: _Solid, style: str, width: float, length: float) -> None:
    """Draws the windows of a van or a bus."""
    low, high = (1.35, 2.45) if style == "bus" else (1.2, 1.8)
    glass = (0.06, 0.07, 0.08)
    for sign in (-1, 1):
        start = 0.2 if style == "bus" else 2.7
        stop = length - 0.4 if style == "bus" else 3.85
        count = 6 if style == "bus" else 1
        step = (stop - start) / count
        for i in range(count):
            a, b = start + i * step, start + (i + 0.9) * step
            quad = [
                (a, low, sign * width * 0.503),
                (a, high, sign * width * 0.503),
                (b, high, sign * width * 0.503),
                (b, low, sign * width * 0.503),
            ]
            solid.face(quad, (0, 0.2, sign), glass, 0.25)
    half = width * 0.44
    rear = [(-0.01, low, half), (-0.01, high, half), (-0.01, high, -half), (-0.01, low, -half)]
    solid.face(rear, (-1, 0.1, 0), glass, 0.25)
    if style == "bus":
        front = [
            (length + 0.01, 1.1, -half),
            (length + 0.01, 2.6, -half),
            (length + 0.01, 2.6, half),
            (length + 0.01, 1.1, half),
        ]
    else:
        front = [(4.36, 1.12, -half), (3.6, 2.0, -half), (3.6, 2.0, half), (4.36, 1.12, half)]
    solid.face(front, (1, 0.5, 0), glass, 0.3)


def draw_car(renderer: Renderer, item: Item, rng: np.random.Generator) -> None:
    """Draws a car, van or bus.

    Args:
      renderer: the scene's renderer.
      item: kind "car"; style is the model, heading 0 shows its rear.
      rng: the scene's generator of details.
    """
    width, body, cabin = _MODELS[item.style]
    body_colour = np.clip(
        np.array(_BODY_COLOURS[rng.integers(len(_BODY_COLOURS))]) + rng.normal(0, 0.02, 3),
        0.03,
        0.95,
    )
    if item.style == "bus":
        body_colour = np.array(
            ((0.68, 0.07, 0.08), (0.85, 0.85, 0.82), (0.10, 0.35, 0.25), (0.90, 0.55, 0.10))[
                rng.integers(4)
            ]
        )
    if item.style == "taxi":
        body_colour = np.array((0.90, 0.66, 0.06))
    brake = rng.random() < 0.35
    length = body[-1][0]
    if item.z - length / 2 - 1 < 1.6 or not renderer.place(item.x, item.z, 1.0):
        return
    renderer.z = item.z
    solid = _Solid(renderer, item, length)
    half = width / 2
    under = [
        (0.1, 0.02, -half),
        (0.1, 0.02, half),
        (length - 0.1, 0.02, half),
        (length - 0.1, 0.02, -half),
    ]
    renderer.polygon(*solid.project(under), renderer.colour((0.03, 0.03, 0.03), ambient=0.3))
    for sign in (-1, 1):
        skirt = [
            (0.1, 0.1, sign * half * 0.9),
            (0.1, 0.4, sign * half * 0.9),
            (length - 0.1, 0.4, sign * half * 0.9),
            (length - 0.1, 0.1, sign * half * 0.9),
        ]
        solid.face(skirt, (0, 0, sign), (0.03, 0.03, 0.03), 0.0)
        solid.face([(a, h, sign * half) for a, h in body], (0, 0.15, sign), body_colour, 0.10)
    for (a, h), (b, k) in itertools.pairwise(body):
        strip = [(a, h, -half), (b, k, -half), (b, k, half), (a, h, half)]
        normal = np.array((h - k, b - a, 0.0))
        normal = normal / np.linalg.norm(normal)
        solid.face(strip, tuple(normal), body_colour, 0.06 + 0.2 * max(0.0, normal[1]))
    _wheels(solid, item.style, width, length)
    if cabin:
        _cabin(solid, item.style, width, cabin, body_colour)
    else:
        _panes(solid, item.style, width, length)
    night = renderer.light.lamps > 0.04
    for front in (False, True):
        _end(solid, item.style, width, length, front, body_colour, night or (brake and not front))
