"""Reading of photo and label files at the size that training uses."""

import functools
import io
import os
import re
import stat
import warnings
import zlib

import numpy as np
from PIL import Image

from usis_jax.data.images import file_kinds, image_files, label_pixels
from usis_jax.errors import UserError

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF")
_LOSSY_COMPRESSIONS = ("jpeg", "webp", "jpeg2000")
_BACKGROUND = (255, 255, 255)
# Nothing else is tried, whatever a file's name: PIL hands PostScript to a program that runs it.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "TIFF", "GIF", "PPM", "WEBP", "AVIF", "HEIF",
           "JPEG2000")  # fmt: skip
MOST_PIXELS = 2**27
_PNG = b"\x89PNG\r\n\x1a\n"
_WEIGHTY_CHUNKS = (b"tRNS", b"eXIf")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def load_photo(path, height: int, width: int, upright: bool = True) -> np.ndarray:
    """Photo of a file, resized with PIL's bicubic filter.

    Grey and CMYK become RGB; what is transparent is put on white; of 16 bits a channel, 65535 is
    white, whatever the brightest value of the photo is.

    Args:
      path: file of any format that PIL reads, or a Member of a zip file.
      height: rows wanted; the photo is stretched if its proportions differ.
      width: columns wanted.
      upright: whether to turn it first as its EXIF orientation says.

    Returns:
      uint8 [height, width, 3].

    Raises:
      UserError: the file does not decode, or has 32 bits a channel; the message names it.
    """
    image = open_image(path, "photo")
    image = to_rgb(turned(image, path) if upright else image, path)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def load_label(path, height: int, width: int, spec) -> np.ndarray:
    """Label map of a file, in train ids and resized by nearest neighbour.

    Args:
      path: lossless image file with one id a pixel, or with colours of the spec's palette; or a
        Member of a zip file.
      height: rows wanted.
      width: columns wanted.
      spec: LabelSpec.

    Returns:
      uint8 [height, width], train ids.

    Raises:
      UserError: the file does not decode, is a JPEG or the like (whose compression invents
        ids), has pixels that decoders change (see `label_pixels`), is a colour image without a
        palette in the spec, or has an id outside the spec.
    """
    image = open_image(path, "label map")
    lossy = lossy_format(image)
    if lossy:
        named = " in spite of its name" if str(path).lower().endswith(image_files.LOSSLESS) else ""
        raise UserError(
            f"{path}: label map is a {lossy}{named}, whose compression changes ids; use PNG"
        )
    label = spec.to_train_ids(label_pixels.values(image, path), path)
    if label.shape != (height, width):
        resized = Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST)
        label = np.asarray(resized)
    return label


def open_image(path, what: str, enough: tuple[int, int] | None = None) -> Image.Image:
    """Decoded image of a file.

    Args:
      path: file of any format that PIL reads, or a Member of a zip file.
      what: what it should be, for the message.
      enough: (W, H) that is enough; a larger JPEG is decoded quicker at a part of its size.

    Returns:
      PIL image; `info["full_size"]` is its (W, H) in the file, `info["stored"]` the
      label_pixels.Stored of it.

    Raises:
      UserError: the file does not decode, or says that it has more than MOST_PIXELS pixels (which
        are then not decoded); the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            on_disk = isinstance(path, (str, os.PathLike))
            if on_disk:
                if not stat.S_ISREG(os.stat(path).st_mode):
                    raise UserError("it is no file")  # a pipe would be waited for
                with open(path, "rb") as file:
                    source = _whole_png(file) or path
            else:
                file = path.open()
                source = _whole_png(file) or file
            image = Image.open(source, formats=_known_formats())
            size, kept = image.size, label_pixels.stored(image)
            if kept.preview or file_kinds.is_raw(path):
                raise UserError("of a raw file of a camera, only a preview can be read")
            if size[0] * size[1] > MOST_PIXELS:
                raise Image.DecompressionBombError(f"{size[0]} x {size[1]} pixels")
            if enough:
                image.draft(image.mode, enough)
            image.load()
            image.info["full_size"], image.info["stored"] = size, kept
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path}: {what} is too large ({error}); at most {MOST_PIXELS / 1e6:.0f} million "
            "pixels are read, save it smaller"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{path}: {what} {_unidentified(path, on_disk, what)}") from error
    except Exception as error:  # broken files make PIL's decoders raise nearly anything
        reason = re.sub(r" *(<_io\.BytesIO[^>]*>|'.*')$", "", str(error)) or type(error).__name__
        if on_disk and os.path.isfile(path) and not os.path.getsize(path):
            reason = "it is empty"
        if on_disk and os.path.islink(path) and not os.path.exists(path):
            reason = f"it is a link to {os.readlink(path)}, which is not there"
        raise UserError(f"{path}: {what} does not decode ({reason})") from error
    return image


def _unidentified(path, on_disk: bool, what: str) -> str:
    """What a file is that PIL does not know, and what to do."""
    try:
        with open(path, "rb") if on_disk else path.open() as file:
            head = file.read(file_kinds.HEAD)
    except Exception as error:  # as in open_image
        return f"does not decode ({error})"
    if not head:
        return "does not decode (it is empty)"
    kind = file_kinds.name(head)
    if kind is None and file_kinds.is_raw(path):
        kind = "a raw file of a camera"
    if kind == file_kinds.AVIF and "AVIF" in _known_formats():
        kind = None  # it is damaged then
    if kind is None:
        return "does not decode (cannot identify image file)"
    return f"does not decode (it is {kind}); {file_kinds.advice(kind, what)}"


def orientation(image: Image.Image, path) -> int:
    """EXIF's orientation, 1 (upright) to 8; ValueError where it cannot be read."""
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # as in open_image
        raise UserError(
            f"{path}: photo has EXIF data that cannot be read ({type(error).__name__}: {error}); "
            "save it without"
        ) from error
    return value if value in _TURNS else 1


def turned(image: Image.Image, path) -> Image.Image:
    """Image upright, as its EXIF orientation says; ValueError where that cannot be read."""
    turn = _TURNS.get(orientation(image, path))
    return image if turn is None else image.transpose(turn)


def _whole_png(file) -> io.BytesIO | None:
    """Content of a PNG file whose checksums are right, which PIL does not look at; None of others.

    Raises:
      UserError: a checksum is wrong, or the file is cut off; pixels would be others, unnoticed.
    """
    if file.read(len(_PNG)) != _PNG:
        file.seek(0)
        return None
    content, place = _PNG + file.read(), len(_PNG)
    view = memoryview(content)
    while place + 12 <= len(content):
        length = int.from_bytes(view[place : place + 4])
        kind, end = bytes(view[place + 4 : place + 8]), place + 8 + length
        if end + 4 > len(content):
            break
        weighty = kind[:1].isupper() or kind in _WEIGHTY_CHUNKS
        if weighty and zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise UserError(f"the checksum of its part {kind!r} is wrong, so it was changed")
        if kind == b"IEND":
            return io.BytesIO(content)
        place = end + 4
    raise UserError("it is cut off")


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Those of FORMATS that the installed PIL has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def lossy_format(image: Image.Image) -> str | None:
    """Name of a file format that changes ids, or None; WebP and the like may, so they count."""
    if image.format in _LOSSY_FORMATS:
        return image.format
    compression = str(image.info.get("compression", ""))
    found = next((name for name in _LOSSY_COMPRESSIONS if name in compression), None)
    return f"TIFF with {found.upper()}" if found else None


def has_alpha(image: Image.Image) -> bool:
    """Whether parts of an image may be transparent."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def to_rgb(image: Image.Image, path) -> Image.Image:
    """Image of any mode as 8-bit RGB."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    png = str(path).lower().endswith(".png")
    # Older versions of PIL open a PNG of 16 bits as I.
    if image.mode.startswith("I;16") or (image.mode == "I" and png):
        grey = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.round(grey / 257).astype(np.uint8)).convert("RGB")
    if image.mode.startswith(("I", "F")):
        raise UserError(
            f"{path}: photo has mode {image.mode}, 32 bits a channel; save it with 8 or 16 bits"
        )
    if has_alpha(image):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _BACKGROUND), image).convert(
            "RGB"
        )
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise UserError(f"{path}: photo has mode {image.mode}; save it as RGB") from error
