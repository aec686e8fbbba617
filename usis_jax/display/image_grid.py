"""Pictures for people: grids of images under column titles, and contact sheets."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from usis_jax.errors import UserError

_BACKGROUND = (255, 255, 255)
_INK = (20, 20, 20)
_GAP = 4
_LEAST_WIDTH = 128
_LEGEND_COLUMN = 260
_LEGEND_LINE = 18


def grid(columns, scale=None):
    """Lays images out in titled columns, one row a label map.

    Args:
        columns: list of (title, uint8 [N, H, W, 3]); every column of the same shape.
        scale: whole number by which images are enlarged (nearest); None chooses one that makes
            small images at least 128 pixels wide.
    Returns:
        uint8 [rows, columns, 3].
    Raises:
        UserError: no columns, or their shapes differ.
    """
    columns = [(title, np.asarray(images)) for title, images in columns]
    shapes = {images.shape for _, images in columns}
    if len(shapes) != 1:
        raise UserError(f"columns of a grid must share one shape, got {sorted(shapes)}")
    number, height, width, _ = shapes.pop()
    scale = scale or max(1, -(-_LEAST_WIDTH // width))
    height, width = scale * height, scale * width
    font, head = _font(width), 24
    sheet = Image.new(
        "RGB",
        (_GAP + len(columns) * (width + _GAP), head + number * (height + _GAP)),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    for i, (title, images) in enumerate(columns):
        left = _GAP + i * (width + _GAP)
        draw.text((left + width / 2, head / 2), _fit(title, font, width), _INK, font, anchor="mm")
        for j, image in enumerate(images):
            tile = Image.fromarray(image.astype(np.uint8))
            tile = tile.resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(tile, (left, head + j * (height + _GAP)))
    return np.asarray(sheet)


def legend(entries, width):
    """Texts beside patches of colour, in columns from top to bottom.

    Args:
        entries: list of (text, (red, green, blue)).
        width: pixels.
    Returns:
        uint8 [H, width, 3].
    """
    columns = max(1, width // _LEGEND_COLUMN)
    column_width, rows = width // columns, -(-len(entries) // columns)
    sheet = Image.new("RGB", (width, rows * _LEGEND_LINE + 8), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), _font(_LEAST_WIDTH)
    for i, (text, colour) in enumerate(entries):
        left, top = i // rows * column_width + 6, i % rows * _LEGEND_LINE + 4
        draw.rectangle((left, top + 2, left + 20, top + 14), colour, (90, 90, 90))
        draw.text((left + 28, top), _fit(text, font, column_width - 36), _INK, font)
    return np.asarray(sheet)


def sample_columns(spec, labels, samples):
    """Columns of a contact sheet: the label map in colour, then each sample.

    Args:
        spec: LabelSpec with the palette.
        labels: int [B, H, W].
        samples: uint8 [N, B, H, W, 3].
    Returns:
        list of (title, uint8 [B, H, W, 3]).
    """
    titled = [(f"sample {i}", images) for i, images in enumerate(samples)]
    return [("label map", spec.colour(labels)), *titled]


def _font(width):
    """Pillow's own font, in a size that suits the column."""
    return ImageFont.load_default(size=15 if width >= 192 else 12)


def _fit(title, font, width):
    """Cuts a title to the column's width."""
    while len(title) > 1 and font.getlength(title) > width:
        title = title[:-1]
    return title
