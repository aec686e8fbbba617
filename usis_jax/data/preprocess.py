"""Reading of photo and label files at the size that training uses."""

import os
import warnings

import numpy as np
from PIL import Image, ImageOps

ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
COLOUR_MODES = ("RGB", "RGBA")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF")
_BACKGROUND = (255, 255, 255)


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
      ValueError: the file does not decode, or has 32 bits a channel; the message names it.
    """
    image = open_image(path, "photo")
    image = to_rgb(ImageOps.exif_transpose(image) if upright else image, path)
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
      ValueError: the file does not decode, is a JPEG or the like (whose compression invents
        ids), is a colour image without a palette in the spec, or has an id outside the spec.
    """
    image = open_image(path, "label map")
    lossy = lossy_format(image)
    if lossy:
        raise ValueError(f"{path}: label map is a {lossy}, whose compression changes ids; use PNG")
    if image.mode in COLOUR_MODES:
        array = np.asarray(image.convert("RGB"))
    elif image.mode in ID_MODES:
        array = np.asarray(image)
    else:
        raise ValueError(f"{path}: label map has mode {image.mode}; save one id a pixel as PNG")
    label = spec.to_train_ids(array, path)
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
      PIL image; `info["full_size"]` is its (W, H) in the file.

    Raises:
      ValueError: the file does not decode; the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            on_disk = isinstance(path, (str, os.PathLike))
            image = Image.open(path if on_disk else path.open())
            size = image.size
            if enough:
                image.draft(image.mode, enough)
            image.load()
            image.info["full_size"] = size
    except Exception as error:  # broken files make PIL's decoders raise nearly anything
        reason = str(error).replace(repr(str(path)), "").strip() or type(error).__name__
        if on_disk and os.path.isfile(path) and not os.path.getsize(path):
            reason = "it is empty"
        raise ValueError(f"{path}: {what} does not decode ({reason})") from error
    return image


def lossy_format(image: Image.Image) -> str | None:
    """Name of a file format that changes ids, or None; WebP and the like may, so they count."""
    if image.format in _LOSSY_FORMATS:
        return image.format
    return "TIFF with JPEG" if image.info.get("compression") == "jpeg" else None


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
        raise ValueError(
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
        raise ValueError(f"{path}: photo has mode {image.mode}; save it as RGB") from error
