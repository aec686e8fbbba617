"""What a request asks: fields of a query or of JSON, and label maps, all checked."""

import base64
import binascii
import contextlib
import dataclasses
import io
import json
import re
import struct
import urllib.parse

import numpy as np
from PIL import Image

from usis_jax.data.images import decode, label_pixels
from usis_jax.errors import UserError
from usis_jax.serving.interactive import MOST_REGIONS, Noise
from usis_jax.serving.limits import Refusal

MOST_SEED = 2**31 - 1
MOST_SAMPLES = 16
MOST_SIDE = 4096
MOST_PIXELS = 2**23
IDS = ("file", "train")
FORMATS = ("png", "json")
# In the order of the schema; the last three come in JSON only.
GENERATE_FIELDS = ("size", "seed", "seed_to", "mix", "samples", "ids", "format")
JSON_FIELDS = (*GENERATE_FIELDS, "label", "regions", "region_seeds")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request: train ids [H, W], noise, number of samples and format of the answer."""

    label: np.ndarray
    noise: Noise
    samples: int
    format: str


def query_fields(query, allowed):
    """Fields of a query, each at most once.

    Args:
        query: text after the question mark.
        allowed: names that are known.
    Returns:
        dict of texts.
    Raises:
        Refusal: bad_request or bad_field.
    """
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=32)
    except ValueError as error:
        raise Refusal("bad_request", f"query: {error}") from None
    return _known(pairs, allowed)


def typed(texts):
    """Fields of a query as JSON has them: numbers where the text is one of a number field."""
    found = dict(texts)
    for name in ("seed", "seed_to", "samples"):
        if re.fullmatch(r"[0-9]{1,12}", found.get(name, ""), re.ASCII):
            found[name] = int(found[name])
    if re.fullmatch(r"[0-9.eE+-]{1,32}", found.get("mix", ""), re.ASCII):
        with contextlib.suppress(ValueError):
            found["mix"] = float(found["mix"])
    return found


def json_fields(body):
    """Fields of a JSON object.

    Raises:
        Refusal: bad_request or bad_field.
    """
    try:
        content = json.loads(body, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_request", f"body is no JSON ({str(error)[:80]})") from None
    if not isinstance(content, _Pairs):
        raise Refusal("bad_request", "body is JSON, but no object")
    return _known(content, JSON_FIELDS)


def asked(fields, body, sizes, spec):
    """Checks what a request to generate images asks for.

    Args:
        fields: dict of JSON_FIELDS as JSON has them.
        body: label map as PNG, or None where it is in `fields`.
        sizes: allowed (height, width) by name.
        spec: LabelSpec.
    Returns:
        Asked.
    Raises:
        Refusal: bad_field, bad_label or too_large.
    """
    size = size_of(fields, sizes)
    label = _decoded(fields, "label") if body is None else body
    if label is None:
        raise Refusal("bad_field", "label is missing; it must be a PNG in base64")
    seed = _whole(fields, "seed", 0, 0, MOST_SEED)
    noise = Noise(
        seed,
        _whole(fields, "seed_to", seed, 0, MOST_SEED),
        _share(fields, "mix"),
        *_regions(fields, size),
    )
    return Asked(
        read_label(label, size, spec, _choice(fields, "ids", IDS)),
        noise,
        samples_of(fields),
        _choice(fields, "format", FORMATS),
    )


def size_of(fields, sizes):
    """(height, width) that the field `size` names, by default the first.

    Raises:
        Refusal: bad_field.
    """
    written = {f"{height}x{width}": (height, width) for height, width in sizes.values()}
    return written[_choice(fields, "size", tuple(written))]


def samples_of(fields):
    """Number of images that the field `samples` names, by default 1.

    Raises:
        Refusal: bad_field.
    """
    return _whole(fields, "samples", 1, 1, MOST_SAMPLES)


def read_label(content, size, spec, ids="file"):
    """Label map of a PNG file, resized to `size` by nearest neighbour.

    Args:
        content: bytes of the file: one id a pixel, or the colours of the spec.
        size: (height, width).
        spec: LabelSpec.
        ids: "file" (ids as in the data set's files) or "train" (0 to K - 1, grey).
    Returns:
        int32 [H, W], train ids.
    Raises:
        Refusal: bad_label with the reason, or too_large.
    """
    _check_png(content, "label map", "bad_label")
    if ids == "train":
        label = _grey(content, "label map", "bad_label", size)
        if label.max() >= spec.num_classes:
            most = spec.num_classes - 1
            raise Refusal("bad_label", f"label map has id {label.max()}; the last one is {most}")
        return label.astype(np.int32)
    try:
        return decode.load_label(_Upload(content), *size, spec).astype(np.int32)
    except ValueError as error:
        raise Refusal("bad_label", str(error)) from None


class _Pairs(list):
    """Members of a JSON object, in which a name may come twice."""


class _Upload:
    """Bytes that `preprocess` reads like a file."""

    def __init__(self, content):
        self._content = content

    def open(self):
        return io.BytesIO(self._content)

    def __str__(self):
        return "label map"


def _no_constant(name):
    raise UserError(f"{name} is not allowed")


def _known(pairs, allowed):
    fields = {}
    for name, value in pairs:
        if name not in allowed:
            raise Refusal("bad_field", f"unknown field {name[:40]!r}; known: {', '.join(allowed)}")
        if name in fields:
            raise Refusal("bad_field", f"{name} comes twice")
        fields[name] = value
    return fields


def _whole(fields, name, default, least, most):
    value = fields.get(name, default)
    if type(value) is float and value.is_integer():  # 1.0 is a whole number in JSON
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        shown, range_ = str(fields[name])[:40], f"{least} to {most}"
        raise Refusal("bad_field", f"{name} is {shown}; it must be a whole number, {range_}")
    return value


def _share(fields, name):
    value = fields.get(name, 0.0)
    if type(value) not in (int, float) or not 0 <= value <= 1:
        shown = str(fields[name])[:40]
        raise Refusal("bad_field", f"{name} is {shown}; it must be a number, 0 to 1")
    return float(value)


def _choice(fields, name, allowed):
    value = fields.get(name, allowed[0])
    if not isinstance(value, str) or value not in allowed:
        shown = str(value)[:40]
        raise Refusal("bad_field", f"{name} is {shown}; it must be one of {', '.join(allowed)}")
    return value


def _decoded(fields, name):
    text = fields.get(name)
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("bad_field", f"{name} must be a PNG in base64") from None


def _regions(fields, size):
    """(regions, region_seeds) of Noise."""
    seeds, content = fields.get("region_seeds", []), _decoded(fields, "regions")
    if not isinstance(seeds, list) or len(seeds) > MOST_REGIONS:
        raise Refusal("bad_field", f"region_seeds must be a list of at most {MOST_REGIONS} seeds")
    if "regions" in fields and content is None:
        raise Refusal("bad_field", "regions is null; leave it out where there are none")
    seeds = [_whole({"region_seeds": seed}, "region_seeds", 0, 0, MOST_SEED) for seed in seeds]
    if content is None:
        if seeds:
            raise Refusal("bad_field", "region_seeds come without regions")
        return None, ()
    _check_png(content, "regions", "bad_field")
    regions = _grey(content, "regions", "bad_field", size)
    if regions.max() > len(seeds):
        raise Refusal(
            "bad_field", f"regions has number {regions.max()}; region_seeds has {len(seeds)} seeds"
        )
    return regions.astype(np.uint8), tuple(seeds)


def _check_png(content, name, code):
    """Refuses what is no PNG, or one of more pixels than there is reason for, without decoding."""
    if len(content) < 33 or not content.startswith(_PNG) or content[12:16] != b"IHDR":
        raise Refusal(code, f"{name}: not a PNG file")
    width, height = struct.unpack(">II", content[16:24])
    sides = 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE
    if not sides or width * height > MOST_PIXELS:
        raise Refusal(
            "too_large",
            f"{name} is {width} x {height} pixels; each side must be 1 to {MOST_SIDE}, and all "
            f"pixels together at most {MOST_PIXELS}",
        )


def _grey(content, name, code, size):
    """Grey PNG as uint8, resized by nearest neighbour to `size`."""
    try:
        image = decode.open_image(_Upload(content), name)
    except ValueError as error:
        raise Refusal(code, str(error)) from None
    if image.mode not in ("L", "P", "1"):
        raise Refusal(code, f"{name} has mode {image.mode}; it must be grey with 8 bits")
    try:
        image = Image.fromarray(label_pixels.values(image, name))
    except ValueError as error:
        raise Refusal(code, str(error)) from None
    if image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(image)
