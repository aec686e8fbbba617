"""PNG files that decode fast: what prepared data sets store."""

import struct
import zlib

import numpy as np

_COLOUR_TYPES = {1: 0, 3: 2}
_UP = 2


def encode(image) -> bytes:
    """Image as a PNG whose rows are differences to the row above, not compressed any further.

    ArrayRecord compresses its records (zstd), and compresses such rows as well as PNG's own
    compression does. Decoding then takes a quarter of the time, encoding a tenth (measured on
    286x286 photos: 0.7 against 2.6 ms with reading, 2.6 against 27 ms with writing, 124 KiB both).

    Args:
      image: uint8 [H, W], [H, W, 1] or [H, W, 3].

    Returns:
      A PNG file, which any reader of PNGs decodes to the same pixels.

    Raises:
      ValueError: the array has another type or shape.
    """
    image = np.asarray(image)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in _COLOUR_TYPES:
        raise ValueError(
            f"image is {image.dtype} {list(image.shape)}; it must be uint8 [H, W], [H, W, 1] or "
            "[H, W, 3]"
        )
    height, width = image.shape[:2]
    pixels = image.reshape(height, width * channels)
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows, level=0)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG: length, kind, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
