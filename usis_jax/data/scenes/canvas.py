"""Draws polygons and sprites into photo and label map at once."""

import numpy as np
from PIL import Image, ImageDraw

from usis_jax.data.scenes.ground import Canvas, shadow_of_buildings
from usis_jax.data.scenes.world import World

_HALF = [0] * 110 + [255] * 146  # cover at which a pixel takes the class of a sprite


class Renderer:
    """Photo (None where the canvas has none) and label map, with the scene's camera and light."""

    def __init__(self, world: World, canvas: Canvas, oversampling: int):
        self.world, self.camera, self.light = world, world.camera, world.light
        self.photo = self.brush = None
        if canvas.photo is not None:
            pixels = (np.clip(canvas.photo, 0, 1) * 255 + 0.5).astype(np.uint8)
            self.photo = Image.fromarray(pixels)
            self.brush = ImageDraw.Draw(self.photo)
        self.label = Image.fromarray(canvas.label)
        self.depth = canvas.depth
        self.marker = ImageDraw.Draw(self.label)
        self.least = float(oversampling)  # width at which a thin thing stays in the label map
        self.shade = 1.0  # share of the sun at the item being drawn
        self.z = 1.0

    def place(self, x: float, z: float, height: float = 1.0) -> bool:
        """Starts an item at (x, z); returns whether any of it can be seen."""
        self.z = z
        column, row = self.camera.project(x, height, z)
        margin = 4.5 * self.camera.focal / z
        if not -margin < column < self.camera.width + margin:
            return False
        r = int(min(max(row, 0), self.camera.height - 1))
        c = int(min(max(column, 0), self.camera.width - 1))
        if self.depth[r, c] < z - 1.5:
            return False
        if self.photo is None:
            return True
        self.shade = float(shadow_of_buildings(self.world, np.float32(x), height, np.float32(z)))
        return True

    def colour(self, albedo, normal=(0, 0.4, -0.9), ambient=0.85) -> tuple:
        """Returns the lit 8-bit colour of a surface of the item."""
        if self.photo is None:
            return (0, 0, 0)
        return self.light.expose_one(
            albedo, self.shade * self.light.lambert(normal), self.z, ambient
        )

    def glow(self, colour) -> tuple:
        """Returns the 8-bit colour of something that shines, behind the haze."""
        clear = float(np.exp(-self.z / self.light.haze))
        return tuple(
            int(255 * (c * clear + h * (1 - clear)))
            for c, h in zip(colour, self.light.sky_low, strict=True)
        )

    def polygon(self, columns, rows, colour, kind=None) -> None:
        """Fills a polygon of pixel coordinates; `kind` is its class, None leaves the label."""
        if self.brush is None and kind is None:
            return
        points = [(float(c), float(r)) for c, r in zip(columns, rows, strict=True)]
        if colour is not None and self.brush:
            self.brush.polygon(points, fill=colour)
        if kind is not None:
            self.marker.polygon(points, fill=kind)

    def box(self, left, top, right, bottom, colour, kind=None, least=0.0) -> None:
        """Fills a rectangle at least `least` pixels wide."""
        if right - left < least:
            middle = (left + right) / 2
            left, right = middle - least / 2, middle + least / 2
        self.polygon((left, right, right, left), (top, top, bottom, bottom), colour, kind)

    def ellipse(self, column, row, wide, high, colour, kind=None) -> None:
        """Fills an ellipse given its centre and half axes in pixels."""
        corners = (column - wide, row - high, column + wide, row + high)
        if colour is not None and self.brush:
            self.brush.ellipse(corners, fill=colour)
        if kind is not None:
            self.marker.ellipse(corners, fill=kind)

    def paste(self, pixels: Image.Image | None, mask: Image.Image, left, top, kind) -> None:
        """Blends a picture in through a mask; the label takes it where the mask is over half."""
        if self.photo is not None:
            self.photo.paste(pixels, (left, top), mask)
        self.label.paste(kind, (left, top), mask.point(_HALF))
