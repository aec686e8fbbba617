"""Draws a procedural street scene: plan, ground, buildings, items, and the camera's own marks."""

import numpy as np
from PIL import Image, ImageFilter

from usis_jax.data.scenes import classes
from usis_jax.data.scenes.canvas import Renderer
from usis_jax.data.scenes.cars import draw_car
from usis_jax.data.scenes.facades import draw_buildings
from usis_jax.data.scenes.foliage import draw_bush, draw_tree
from usis_jax.data.scenes.ground import Canvas, draw_backdrop, draw_ground, draw_sky
from usis_jax.data.scenes.layout import plan
from usis_jax.data.scenes.objects import draw_fence, draw_person, draw_pole, draw_sign
from usis_jax.errors import UserError

_DRAW = {
    "car": draw_car,
    "person": draw_person,
    "lamp": draw_pole,
    "bollard": draw_pole,
    "sign": draw_sign,
    "lights": draw_sign,
    "board": draw_sign,
    "fence": draw_fence,
    "tree": draw_tree,
    "bush": draw_bush,
    "hedge": draw_bush,
}


def _draw_bonnet(renderer: Renderer, rng: np.random.Generator) -> None:
    """Draws the bonnet of the car that carries the camera; its class is void."""
    wide, high = renderer.camera.width, renderer.camera.height
    shift, rise = rng.uniform(-0.1, 0.1), rng.uniform(0.04, 0.10)
    body_colour = np.array(
        ((0.05, 0.05, 0.06), (0.30, 0.05, 0.06), (0.10, 0.14, 0.25), (0.45, 0.46, 0.48))[
            rng.integers(4)
        ]
    )
    across = np.linspace(-0.62, 0.62, 25)
    for i in range(4):
        drop = 1 - rise * (1 - 0.16 * i) * np.sqrt(np.maximum(0, 1 - (across / 0.62) ** 4))
        renderer.z, renderer.shade = 1.0, 1.0
        mirrored = 0.16 * (3 - i) / 3 * renderer.light.sky_low
        colour = renderer.colour(body_colour * (1.0 - 0.12 * i) + mirrored, (0, 1, 0), 1.0)
        renderer.polygon(
            np.r_[(0.5 + shift + across) * wide, 1.4 * wide, -0.4 * wide],
            np.r_[drop * high, 1.1 * high, 1.1 * high],
            colour,
            classes.VOID if i == 0 else None,
        )


def _develop(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gives a clean picture the marks of a camera: softness, vignette, grain, tone."""
    height, width = photo.shape[:2]
    soft = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(rng.uniform(0.15, 0.45)))
    picture = np.asarray(soft, np.float32) / 255
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    picture *= (1 - rng.uniform(0.04, 0.14) * (x * x + y * y))[..., None].astype(np.float32)
    contrast, balance = rng.uniform(0.95, 1.15), rng.normal(1, 0.02, 3)
    picture = ((picture - 0.45) * contrast + 0.45) * balance.astype(np.float32)
    grain = rng.standard_normal((height, width, 3), dtype=np.float32)
    grain += rng.standard_normal((height, width, 1), dtype=np.float32)
    picture += grain * np.float32(rng.uniform(0.003, 0.010))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _render(seed: int, height: int, width: int, photo: bool):
    """Draws a scene larger than asked for; returns renderer, oversampling, generator of details."""
    if min(height, width) < 16:
        raise UserError(f"height, width: got {height}, {width}, allowed 16 and more")
    if seed < 0:
        raise UserError(f"seed: got {seed}, allowed 0 and more")
    over = 2
    shape = (height * over, width * over)
    world = plan(seed, *shape)
    canvas = Canvas(
        np.empty((*shape, 3), np.float32) if photo else None,
        np.empty(shape, np.uint8),
        np.empty(shape, np.float32),
    )
    for draw in (draw_sky, draw_backdrop, draw_ground, draw_buildings):
        draw(world, canvas)
    renderer, rng = Renderer(world, canvas, over), np.random.default_rng([20241, seed])
    for item in world.items:
        _DRAW[item.kind](renderer, item, rng)
    if rng.random() < 0.5:
        _draw_bonnet(renderer, rng)
    return renderer, over, rng


def draw_scene(seed: int, height: int = 64, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Draws one street scene.

    Args:
      seed: scene number, at least 0; the same seed gives the same scene, at every size.
      height: rows of the result, at least 16.
      width: columns of the result, at least 16.

    Returns:
      photo uint8 [H, W, 3] and label map uint8 [H, W] with the ids of `scenes.classes`.

    Raises:
      UserError: a size below 16, or a negative seed.
    """
    renderer, over, rng = _render(seed, height, width, photo=True)
    label = np.asarray(renderer.label)[over // 2 :: over, over // 2 :: over]
    return _develop(np.asarray(renderer.photo.reduce(over)), rng), np.ascontiguousarray(label)


def draw_label(seed: int, height: int = 64, width: int = 128) -> np.ndarray:
    """Draws the label map of a scene only, the same as `draw_scene` gives, in less time.

    Args:
      seed: scene number, at least 0.
      height: rows of the result, at least 16.
      width: columns of the result, at least 16.

    Returns:
      uint8 [H, W] with the ids of `scenes.classes`.

    Raises:
      UserError: a size below 16, or a negative seed.
    """
    renderer, over, _ = _render(seed, height, width, photo=False)
    label = np.asarray(renderer.label)[over // 2 :: over, over // 2 :: over]
    return np.ascontiguousarray(label)
