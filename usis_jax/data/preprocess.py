"""Reading of photo and label files at the size that training uses."""

import warnings

import numpy as np
from PIL import Image, ImageOps

_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
_COLOUR_MODES = ("RGB", "RGBA")


def load_photo(path, height: int, width: int) -> np.ndarray:
    """Photo of a file, turned upright and resized with PIL's bicubic filter.

    Args:
      path: file of any format that PIL reads.
      height: rows wanted; the photo is stretched if its proportions differ.
      width: columns wanted.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: the file does not decode; the message names it.
    """
    image = _open(path, "photo")
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{path}: photo has mode {image.mode}; save it with 8 bits a channel")
    image = ImageOps.exif_transpose(image).convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def load_label(path, height: int, width: int, spec) -> np.ndarray:
    """Label map of a file, in train ids and resized by nearest neighbour.

    Args:
      path: lossless image file with one id a pixel, or with colours of the spec's palette.
      height: rows wanted.
      width: columns wanted.
      spec: LabelSpec.

    Returns:
      uint8 [height, width], train ids.

    Raises:
      ValueError: the file does not decode, is a JPEG (whose compression invents ids), is a
        colour image without a palette in the spec, or has an id outside the spec.
    """
    image = _open(path, "label map")
    if image.format == "JPEG":
        raise ValueError(f"{path}: label map is a JPEG, whose compression changes ids; use a PNG")
    if image.mode in _COLOUR_MODES:
        array = np.asarray(image.convert("RGB"))
    elif image.mode in _ID_MODES:
        array = np.asarray(image)
    else:
        raise ValueError(f"{path}: label map has mode {image.mode}; save one id a pixel as PNG")
    label = spec.to_train_ids(array, path)
    if label.shape != (height, width):
        resized = Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST)
        label = np.asarray(resized)
    return label


def _open(path, what: str) -> Image.Image:
    """Decoded image of a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).replace(repr(str(path)), "").strip() or type(error).__name__
        raise ValueError(f"{path}: {what} does not decode ({reason})") from error
    return image
