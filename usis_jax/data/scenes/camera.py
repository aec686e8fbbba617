"""Camera and light of a procedural scene."""

import dataclasses
import functools
import math

import numpy as np

EXPOSURE = 1.8


@dataclasses.dataclass(frozen=True)
class Camera:
    """One-point perspective over a road that may bend.

    Road coordinates are metres: x to the right of the road's centre line, y above the ground,
    z ahead of the camera. All other lengths are pixels.
    """

    width: int
    height: int
    focal: float
    centre: float  # column of the vanishing point
    horizon: float  # row of the vanishing point
    eye: float  # metres above the ground
    lateral: float  # metres right of the centre line
    roll: float  # tangent of the camera's roll
    bend: float  # curvature of the road, 1 / metres

    def project(self, x, y, z):
        """Returns the pixel (column, row) of a point in road coordinates, each float [...]."""
        z = np.maximum(z, 0.3)
        column = self.centre + self.focal * (x + 0.5 * self.bend * z * z - self.lateral) / z
        row = self.horizon + self.focal * (self.eye - y) / z
        return column, row + self.roll * (column - self.centre)

    def columns(self) -> np.ndarray:
        """Returns each column's tangent to the viewing direction, float32 [W]."""
        return ((np.arange(self.width) + 0.5 - self.centre) / self.focal).astype(np.float32)

    def below(self) -> np.ndarray:
        """Returns pixels below the horizon (negative above), float32 [H, W]."""
        rows = (np.arange(self.height) + 0.5 - self.horizon).astype(np.float32)
        return rows[:, None] - (self.roll * self.focal) * self.columns()[None]

    def wall(self, x: float) -> np.ndarray:
        """Returns where each column meets the wall at coordinate x, float32 [W], inf if not."""
        tangent, offset = self.columns(), np.float32(x - self.lateral)
        square = tangent * tangent - 2 * self.bend * offset
        denominator = tangent + np.sign(offset) * np.sqrt(np.maximum(square, 0))
        meets = (square > 0) & (denominator * offset > 1e-6)
        return np.where(meets, 2 * offset / np.where(meets, denominator, 1), np.inf)


@dataclasses.dataclass(frozen=True)
class Light:
    """Sun, sky and air of a scene; colours are RGB triples in [0, 1] (sun may exceed 1)."""

    kind: str
    sun: np.ndarray
    ambient: np.ndarray
    sky_top: np.ndarray
    sky_low: np.ndarray
    cloud_light: np.ndarray
    cloud_dark: np.ndarray
    cover: float  # share of the sky under clouds
    haze: float  # metres at which 63 percent of the light is haze
    side: int  # direction in x that shadows fall to, -1 or 1
    reach: float  # metres of shadow in x for each metre of height
    lean: float  # the same in z
    lamps: float  # share of windows that are lit

    def lambert(self, normal) -> float:
        """Returns the cosine between a surface normal (x, y, z) and the sun, at least 0."""
        x, y, z = self.direction
        return max(0.0, x * normal[0] + y * normal[1] + z * normal[2])

    @functools.cached_property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector (x, y, z) to the sun."""
        sun = (-self.side * self.reach, 1.0, -self.lean * self.reach)
        length = math.hypot(*sun)
        return tuple(float(c / length) for c in sun)

    @functools.cached_property
    def _colours(self) -> list[tuple[float, float, float]]:
        return list(
            zip(*(map(float, c) for c in (self.sun, self.ambient, self.sky_low)), strict=True)
        )

    def expose_one(self, albedo, sunlight: float, depth: float, ambient: float) -> tuple:
        """Returns `expose` of a single colour as integers in 0..255."""
        clear = math.exp(-depth / self.haze)
        result = []
        for value, (sun, sky, haze) in zip(albedo, self._colours, strict=True):
            lit = 1 - math.exp(
                -EXPOSURE * max(0.0, float(value)) * (sun * sunlight + sky * ambient)
            )
            result.append(int(255 * min(1.0, lit * clear + haze * (1 - clear))))
        return tuple(result)

    def expose(self, albedo, sunlight, depth, ambient=1.0):
        """Lights a surface and hangs haze before it.

        Args:
          albedo: float [..., 3] in [0, 1].
          sunlight: float [...], cosine to the sun times the share of the sun that is seen.
          depth: float [...], metres.
          ambient: float [...], share of the sky that is seen.

        Returns:
          float [..., 3] in [0, 1].
        """
        sunlight, depth = np.asarray(sunlight)[..., None], np.asarray(depth)[..., None]
        energy = albedo * (self.sun * sunlight + self.ambient * np.asarray(ambient)[..., None])
        clear = np.exp(-depth / self.haze)
        return (1 - np.exp(-EXPOSURE * energy)) * clear + self.sky_low * (1 - clear)


_LIGHTS = {
    # kind: weight, sun, ambient, sky top, sky low, cloud light, cloud dark, cover, haze, reach
    "clear": (
        0.26,
        (1.35, 1.24, 1.05),
        (0.50, 0.55, 0.63),
        (0.16, 0.38, 0.76),
        (0.66, 0.80, 0.93),
        (1.0, 1.0, 1.0),
        (0.80, 0.84, 0.90),
        (0.05, 0.3),
        420,
        (0.5, 1.6),
    ),
    "fair": (
        0.25,
        (1.28, 1.20, 1.06),
        (0.54, 0.58, 0.64),
        (0.20, 0.42, 0.78),
        (0.74, 0.84, 0.93),
        (1.0, 1.0, 0.98),
        (0.66, 0.70, 0.78),
        (0.4, 0.65),
        320,
        (0.5, 1.6),
    ),
    "overcast": (
        0.18,
        (0.12, 0.12, 0.12),
        (0.95, 0.97, 1.0),
        (0.56, 0.60, 0.66),
        (0.84, 0.86, 0.88),
        (0.86, 0.87, 0.89),
        (0.48, 0.51, 0.57),
        (0.8, 0.95),
        220,
        (0.5, 1.0),
    ),
    "sunset": (
        0.14,
        (1.55, 1.02, 0.58),
        (0.55, 0.49, 0.56),
        (0.25, 0.32, 0.60),
        (1.00, 0.70, 0.42),
        (1.0, 0.72, 0.52),
        (0.55, 0.38, 0.48),
        (0.3, 0.65),
        260,
        (1.8, 3.2),
    ),
    "misty": (
        0.09,
        (0.50, 0.46, 0.38),
        (0.70, 0.71, 0.72),
        (0.70, 0.76, 0.82),
        (0.92, 0.91, 0.87),
        (0.95, 0.95, 0.94),
        (0.82, 0.84, 0.86),
        (0.3, 0.6),
        75,
        (1.0, 2.0),
    ),
    "dusk": (
        0.08,
        (0.10, 0.08, 0.10),
        (0.44, 0.46, 0.62),
        (0.09, 0.15, 0.36),
        (0.80, 0.52, 0.44),
        (0.62, 0.45, 0.48),
        (0.17, 0.19, 0.33),
        (0.3, 0.7),
        240,
        (0.5, 1.0),
    ),
}


def draw_light(rng: np.random.Generator) -> Light:
    """Draws the light of a scene: kind of weather, hour and sun direction."""
    kinds = list(_LIGHTS)
    kind = kinds[rng.choice(len(kinds), p=[_LIGHTS[k][0] for k in kinds])]
    _, sun, ambient, top, low, light, dark, cover, haze, reach = _LIGHTS[kind]
    warm = 1 + rng.normal(0, 0.02) * np.array([1.0, 0.0, -1.0])
    level = rng.uniform(0.9, 1.12)
    colour = [np.asarray(c, np.float32) for c in (sun, ambient, top, low, light, dark)]
    tint = [np.clip(c * warm * rng.uniform(0.94, 1.06), 0, 1) for c in colour[2:4]]
    return Light(
        kind,
        (colour[0] * warm * level).astype(np.float32),
        (colour[1] * warm * level).astype(np.float32),
        tint[0].astype(np.float32),
        tint[1].astype(np.float32),
        colour[4],
        colour[5],
        cover=rng.uniform(*cover),
        haze=haze * rng.uniform(0.7, 1.3),
        side=int(rng.choice((-1, 1))),
        reach=rng.uniform(*reach),
        lean=rng.uniform(-0.9, 0.9),
        lamps={"dusk": 0.5, "sunset": 0.12, "misty": 0.08}.get(kind, 0.02),
    )


def draw_camera(rng: np.random.Generator, height: int, width: int) -> Camera:
    """Draws a camera: height, tilt, roll, field of view and the bend of the road ahead."""
    focal = width * rng.uniform(0.55, 0.9)
    eye = rng.uniform(1.35, 2.1) if rng.random() < 0.85 else rng.uniform(2.1, 3.4)
    bend = rng.normal(0, 0.006) if rng.random() < 0.5 else 0.0
    return Camera(
        width,
        height,
        focal,
        centre=width * (0.5 + rng.uniform(-0.16, 0.16)),
        horizon=height * rng.uniform(0.40, 0.57),
        eye=eye,
        lateral=rng.uniform(0.8, 2.2),
        roll=rng.normal(0, 0.012),
        bend=bend,
    )
