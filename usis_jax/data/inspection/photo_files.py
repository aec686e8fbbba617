"""What photo files hold, and what makes one suspicious."""

import collections
import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image, ImageCms

from usis_jax.data.images import decode
from usis_jax.data.inspection import label_files

_ENOUGH = (128, 128)


@dataclasses.dataclass
class PhotoFile:
    """One photo file.

    Attributes:
      problem: why it cannot be used, or None; the other fields then mean nothing.
      size: (width, height) after turning it upright.
      mode: PIL's name of the pixel format.
      format: PIL's name of the file format.
      turned: whether EXIF says that it is shown rotated or mirrored.
      deep: whether it has 16 bits a channel.
      brightest: highest value of a grey photo of 16 bits, else 0.
      grey: whether it has no colour.
      alpha: whether it has transparency.
      like_labels: whether it has as few colours as label maps have.
      frames: number of frames or pages, of which the first is read.
      profile: name of its colour profile, "" for none or sRGB.
    """

    problem: str | None = None
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    turned: bool = False
    deep: bool = False
    brightest: int = 0
    grey: bool = False
    alpha: bool = False
    like_labels: bool = False
    frames: int = 1
    profile: str = ""


def read(path) -> PhotoFile:
    """Reads one photo file; one that `preprocess.load_photo` would refuse has a `problem`."""
    try:
        image = decode.open_image(path, "photo", _ENOUGH)
        turn = decode.orientation(image, path)
        small = image.resize(_ENOUGH, Image.Resampling.NEAREST)
        rgb = np.asarray(decode.to_rgb(small, path)).astype(np.int16)
    except ValueError as error:
        return PhotoFile(problem=str(error))
    kept = image.info["stored"]
    deep = image.mode.startswith("I") or kept.bits > 8
    width, height = image.info["full_size"]
    distinct, share = label_files.variety(image)
    return PhotoFile(
        size=(height, width) if turn in (5, 6, 7, 8) else (width, height),
        mode=image.mode,
        format=image.format or "",
        turned=turn in range(2, 9),
        deep=deep,
        brightest=int(np.asarray(image).max()) if image.mode.startswith("I") else 0,
        grey=bool(np.ptp(rgb, axis=2).max() <= 3),
        alpha=decode.has_alpha(image),
        frames=kept.frames,
        profile=_profile(image),
        like_labels=image.format != "JPEG" and distinct <= 256 and share > 0.7,
    )


def _profile(image: Image.Image) -> str:
    """Name of an image's colour profile, "" where it has none or that of sRGB."""
    content = image.info.get("icc_profile")
    if not content:
        return ""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        name = ImageCms.getProfileDescription(profile).strip()
    except Exception:  # of damaged profiles, PIL raises nearly anything
        name = ""
    return "" if "srgb" in name.lower() else name or "unknown"


class Photos:
    """Sums over photo files; memory does not grow with their pixels.

    Args:
      root: folder that names are relative to.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.count = 0
        self.sizes: dict[str, tuple[int, int]] = {}
        self.modes = collections.Counter()
        self.formats = collections.Counter()
        self.profiles = collections.Counter()
        self.marked: dict[str, list[str]] = collections.defaultdict(list)
        self.problems: list[str] = []

    def add(self, path: pathlib.Path, file: PhotoFile) -> None:
        """Counts one file in."""
        name = path.relative_to(self.root).as_posix()
        self.count += 1
        if file.problem:
            self.problems.append(file.problem)
            return
        self.sizes[name] = file.size
        self.modes[file.mode] += 1
        self.formats[file.format] += 1
        for mark in ("turned", "deep", "grey", "alpha", "like_labels"):
            if getattr(file, mark):
                self.marked[mark].append(name)
        for mark, holds in (
            ("cmyk", file.mode == "CMYK"), ("frames", file.frames > 1),
            ("profile", file.profile and file.mode != "CMYK"),
        ):  # fmt: skip
            if holds:
                self.marked[mark].append(name)
        if file.profile and file.mode != "CMYK":
            self.profiles[file.profile] += 1
        if file.deep and 0 < file.brightest < 2**15:
            self.marked["dark"].append(name)

    def small(self) -> list[str]:
        """Photos whose shorter side is below half of the median's."""
        sides = {name: min(size) for name, size in self.sizes.items()}
        half = np.median(list(sides.values())) / 2 if sides else 0
        return [name for name, side in sides.items() if side < half]
