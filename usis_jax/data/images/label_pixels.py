"""Pixels of label maps exactly as their files hold them; what a decoder would change is refused.

PIL reduces 16 bits a channel of colour images to 8, stretches grey of 2 and 4 bits to 0..255, turns
inverted greys round and composes frames. In photos that is what one wants; a label map would get
other ids, or lose classes, without a word.
"""

import contextlib
import dataclasses

import numpy as np
from PIL import Image

from usis_jax.errors import UserError

ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
COLOUR_MODES = ("RGB", "RGBA")
_BITS, _PHOTOMETRIC, _ORIENTATION, _SUBFILE, _FORMAT, _DNG = 258, 262, 274, 254, 339, 50706
_SIGNED, _UNSIGNED, _INVERTED = 2, 1, 0
_INSTEAD = "save one id a pixel as 8- or 16-bit grey PNG"
_MODES = {
    "CMYK": "is CMYK",
    "YCbCr": "is YCbCr, whose colours are rounded when they are read",
    "LAB": "is in Lab colours",
    "HSV": "is in HSV colours",
    "F": "holds floating point numbers",
    "PA": "has a palette with an alpha channel",
    "RGBa": "has colours that are multiplied by their transparency, and rounded",
    "La": "has greys that are multiplied by their transparency, and rounded",
}


@dataclasses.dataclass(frozen=True)
class Stored:
    """How a file stores its pixels, before they are decoded.

    Attributes:
      raw: PIL's names of the formats in the file, such as "RGB;16B".
      bits: bits a channel, 0 where they are not known.
      most: highest value that a PPM says it may have, 0 for others.
      frames: number of frames or pages; reduced copies of the same image do not count.
      turned: whether the file says that it is to be shown rotated or mirrored.
      signed: whether whole numbers of a TIFF are signed.
      inverted: whether 0 stands for white.
      preview: whether it is a camera's raw file, of which PIL reads a preview.
    """

    raw: tuple[str, ...] = ()
    bits: int = 8
    most: int = 0
    frames: int = 1
    turned: bool = False
    signed: bool = False
    inverted: bool = False
    preview: bool = False


def stored(image: Image.Image) -> Stored:
    """How the file of an image that is opened and not yet decoded stores its pixels."""
    tiles = [tile[3] for tile in image.tile]
    tiles = [each if isinstance(each, tuple) else (each,) for each in tiles]
    raw = tuple(each[0] for each in tiles if each and isinstance(each[0], str))
    bits = 16 if any(";16" in mode for mode in raw) else 8
    bits = next((n for n in (2, 4) if any(mode == f"L;{n}" for mode in raw)), bits)
    tags, most = {}, 0
    if image.format == "TIFF":
        tags = image.tag_v2
        bits = max(_numbers(tags.get(_BITS, bits)), default=bits)
    if image.format == "PPM" and image.tile[0][0].startswith("ppm") and len(tiles[0]) > 1:
        most = tiles[0][1]
        bits = 16 if most > 255 else 8
    return Stored(
        raw=raw,
        bits=bits,
        most=most,
        frames=_frames(image),
        turned=_turn(image, tags) not in (None, 0, 1),
        signed=_SIGNED in _numbers(tags.get(_FORMAT, _UNSIGNED)),
        inverted=any(mode.endswith(";I") for mode in raw)
        or (bool(tags) and image.mode in ID_MODES and tags.get(_PHOTOMETRIC) == _INVERTED),
        preview=_DNG in tags,
    )


def values(image: Image.Image, path) -> np.ndarray:
    """Ids or colours of a decoded label map, exactly those of its file.

    Args:
      image: from `preprocess.open_image`.
      path: of its file, for messages.

    Returns:
      Integers [H, W], or uint8 [H, W, 3].

    Raises:
      UserError: PIL does not give them exactly, or it is not clear what they are; the message
        names the file, what it has, and what to save instead.
    """
    kept = image.info.get("stored", Stored())
    if reason := _reason(image, kept):
        raise UserError(f"{path}: label map {reason}")
    if image.mode == "RGBA":
        alpha = np.asarray(image.getchannel("A"))
        partly = int(((alpha > 0) & (alpha < 255)).sum())
        if partly:
            raise UserError(
                f"{path}: label map has {partly} pixels that are partly transparent, as smoothed "
                "edges are; export it without anti-aliasing and without an alpha channel"
            )
    if image.mode in COLOUR_MODES:
        return np.asarray(image.convert("RGB"))
    array = np.asarray(image)
    if array.dtype == bool:
        return array.astype(np.uint8)
    if image.mode == "I" and kept.bits == 32 and not kept.signed and (array < 0).any():
        return array.view(np.uint32)  # PIL has no unsigned 32 bits
    return array


def _reason(image: Image.Image, kept: Stored) -> str | None:
    """Why an image cannot be read exactly, and what to do; None where it can."""
    file = image.format or "file"
    channels = len(image.getbands())
    if image.mode in _MODES:
        return f"{_MODES[image.mode]} ({file}); {_INSTEAD}"
    if channels > 1 and kept.bits > 8:
        # PIL opens grey with alpha of 16 bits as RGBA.
        kind = "LA" if any(mode.startswith("LA;") for mode in kept.raw) else image.mode
        return (
            f"has {kept.bits} bits a channel in {len(kind)} channels ({file} {kind}), of which "
            f"decoders keep 8: classes would fall together; {_INSTEAD}, or 8-bit RGB"
        )
    if image.mode not in (*ID_MODES, *COLOUR_MODES):
        return f"has mode {image.mode}; save one id a pixel as PNG"
    if any(";15" in mode or mode == "BGR;16" for mode in kept.raw):
        return f"has colours of 5 bits a channel ({file}), which are rounded; save it as 8-bit RGB"
    if kept.bits in (2, 4) and image.mode == "L":
        step = 255 // (2**kept.bits - 1)
        return (
            f"is grey of {kept.bits} bits a pixel ({file}), which decoders stretch to 0..255: "
            f"id 1 becomes {step}; {_INSTEAD}"
        )
    if kept.most not in (0, 255, 65535):
        return (
            f"has values up to {kept.most} ({file}), which decoders stretch to another range; "
            f"{_INSTEAD}"
        )
    if kept.inverted:
        return f"says that 0 is white ({file}), so decoders invert its values; {_INSTEAD}"
    if kept.signed and kept.bits == 8:
        return f"has signed numbers of 8 bits ({file}), read as unsigned; {_INSTEAD}"
    if kept.frames > 1:
        return (
            f"has {kept.frames} frames or pages ({file}), and only one can be the label map; "
            "save each as a file of its own"
        )
    if kept.turned:
        return (
            f"says in its EXIF data that it is to be turned ({file}); save it upright and without"
        )
    return None


def _numbers(value) -> tuple[int, ...]:
    """A tag's value or values."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _turn(image: Image.Image, tags) -> int | None:
    """EXIF's orientation as far as it is known before decoding; decoding may turn the image."""
    if tags:
        return tags.get(_ORIENTATION)
    with contextlib.suppress(Exception):  # broken EXIF data; photos say so themselves
        if "exif" in image.info:
            return image.getexif().get(_ORIENTATION)
    return None


def _frames(image: Image.Image) -> int:
    """Frames or pages; 1 for formats with previews, and where the further ones are broken."""
    if image.format in ("MPO", "JPEG") or not getattr(image, "is_animated", False):
        return 1
    count = 1
    with contextlib.suppress(Exception):
        count = image.n_frames
        if image.format == "TIFF":
            count = 1
            for number in range(1, image.n_frames):
                image.seek(number)
                count += not image.tag_v2.get(_SUBFILE, 0) & 1
    with contextlib.suppress(Exception):
        image.seek(0)
    return count
