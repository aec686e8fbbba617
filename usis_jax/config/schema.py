"""Sections of the settings: data, the three networks and the decoder, losses, optimisers.

`configs/base.py` explains each field; the defaults below are the same values (the paper's).
"""

import dataclasses
import re
from typing import ClassVar

from usis_jax.config.constraints import Section, limited
from usis_jax.errors import UserError

# Names and splits become parts of file names, so neither may have a / in it.
_DATA_SPEC = re.compile(r"[a-z][a-z0-9_]*:[A-Za-z0-9_][A-Za-z0-9_\[\]:%+-]*")
_WEIGHT = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_LOWER, _HIGHER = "lower", "higher"
_AUGMENTATIONS = ("color", "translation", "cutout")

METHODS = ("usis",)
"""The methods that there are, each a module of `usis_jax.methods`."""
MEASURES = {
    "swd": {"swd": _LOWER},
    "spectrum": {"spectral_distance": _LOWER, "haar_distance": _LOWER},
    "consistency": {"consistency_miou": _HIGHER, "consistency_pixel_accuracy": _HIGHER},
    "ms_ssim": {"ms_ssim": _LOWER},
    "fid": {"fid": _LOWER},
    "kid": {"kid": _LOWER},
    "evaluator": {
        "miou": _HIGHER,
        "pixel_accuracy": _HIGHER,
        "fd_evaluator": _LOWER,
        "kd_evaluator": _LOWER,
    },
}
"""Measures of an evaluation during training -> the values of each -> which of them are better."""
BETTER = {name: better for values in MEASURES.values() for name, better in values.items()}
"""The same for a value's name alone: "lower" or "higher"."""


@dataclasses.dataclass(frozen=True)
class Method(Section):
    """How images are learned from label maps."""

    prefix: ClassVar[str] = "method."
    name: str = limited("usis", choices=METHODS)


@dataclasses.dataclass(frozen=True)
class Data(Section):
    """Where photos and label maps come from and the size that networks see."""

    prefix: ClassVar[str] = "data."
    photos: str = "scenes:train"
    labels: str = "scenes:train"
    validation: str = "scenes:validation"
    prepared_dir: str = limited("", path="folder")
    height: int = limited(256, at_least=4)
    width: int = limited(512, at_least=4)
    load_height: int = limited(0, at_least=0)
    load_width: int = limited(0, at_least=0)
    flip: bool = True
    class_balance: float = limited(0.0, at_least=0, at_most=1)
    threads: int = limited(-1, at_least=-1)
    label_spec: str = limited("", path="file")
    num_scenes: int = limited(1500, at_least=1)
    num_validation: int = limited(200, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, parse in (
            ("photos", parse_sources),
            ("labels", parse_data),
            ("validation", parse_data),
        ):
            try:
                parse(getattr(self, name))
            except ValueError as error:
                raise UserError(f"data.{name} is {error}") from None
        for name, size in (("load_height", self.height), ("load_width", self.width)):
            value = getattr(self, name)
            if value and value < size:
                raise UserError(
                    f"data.{name} is {value}; it must be 0 (same as data.{name[5:]}) or at least "
                    f"data.{name[5:]}={size}"
                )

    @property
    def stored_height(self) -> int:
        """Height at which prepared photos and label maps are stored."""
        return self.load_height or self.height

    @property
    def stored_width(self) -> int:
        """Width at which prepared photos and label maps are stored."""
        return self.load_width or self.width


@dataclasses.dataclass(frozen=True)
class Generator(Section):
    """Sizes of the generator; its stride is 2 ** (len(multipliers) - 2), twice for "wavelet"."""

    prefix: ClassVar[str] = "generator."
    name: str = limited("spade", choices=("spade", "wavelet"))
    width: int = limited(64, at_least=1)
    multipliers: tuple[int, ...] = limited((16, 16, 16, 8, 4, 2, 1), at_least=1)
    z_dim: int = limited(64, at_least=1)
    noise: str = limited("image", choices=("image", "pixel", "mixed"))
    spade_width: int = limited(128, at_least=1)
    spade_kernel: int = limited(3, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.multipliers) < 2:
            raise UserError(
                f"generator.multipliers is {self.multipliers}; it must have 2 numbers or more"
            )
        if self.spade_kernel % 2 == 0:
            raise UserError(f"generator.spade_kernel is {self.spade_kernel}; it must be odd")

    @property
    def stride(self) -> int:
        """Ratio of the photo's size to the size at which the generator starts."""
        return 2 ** (len(self.multipliers) - (1 if self.name == "wavelet" else 2))


@dataclasses.dataclass(frozen=True)
class Segmenter(Section):
    """Widths of the UNet segmenter; its stride is 2 ** len(down)."""

    prefix: ClassVar[str] = "segmenter."
    down: tuple[int, ...] = limited((128, 128, 256, 256, 512, 512), at_least=1)
    up: tuple[int, ...] = limited((512, 256, 256, 128, 128, 64), at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.down:
            raise UserError("segmenter.down is (); it must have 1 number or more")
        if len(self.up) != len(self.down):
            raise UserError(
                f"segmenter.up has {len(self.up)} numbers; it must have as many as "
                f"segmenter.down={self.down}, which has {len(self.down)}"
            )

    @property
    def stride(self) -> int:
        """Ratio of the photo's size to the smallest feature map of the segmenter."""
        return 2 ** len(self.down)


@dataclasses.dataclass(frozen=True)
class Discriminator(Section):
    """Sizes of the discriminator; its stride is 2 ** (levels + 1), of "patch" the patch."""

    prefix: ClassVar[str] = "discriminator."
    name: str = limited("wavelet", choices=("wavelet", "whole", "patch"))
    patch: int = limited(64, at_least=8)
    channel_base: int = limited(32768, at_least=1)
    channel_max: int = limited(512, at_least=1)
    dense: int = limited(512, at_least=1)
    stddev_group: int = limited(4, at_least=1)
    stddev_grouping: str = limited("local", choices=("local", "published"))
    levels: int = limited(0, at_least=0)
    augment: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.augmentations:
            if word not in _AUGMENTATIONS:
                raise UserError(
                    f"discriminator.augment is {self.augment!r}; it must be empty or a comma list "
                    f"of {', '.join(_AUGMENTATIONS)}"
                )
        if self.patch & (self.patch - 1):
            raise UserError(
                f"discriminator.patch is {self.patch}; it must be a power of two, 8 or more, for "
                f"example {1 << self.patch.bit_length() - 1}"
            )
        if self.name == "patch" and 2 ** (self.levels + 1) > self.patch:
            raise UserError(
                f"discriminator.levels is {self.levels}; with discriminator.patch={self.patch} it "
                f"must be at most {self.patch.bit_length() - 2}"
            )

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names in `augment`, in their order."""
        return tuple(word.strip() for word in self.augment.split(",")) if self.augment else ()


@dataclasses.dataclass(frozen=True)
class Decoder(Section):
    """Decoder that reconstructs real photos from the discriminator's features."""

    prefix: ClassVar[str] = "decoder."
    name: str = limited(
        "wavelet_upsample",
        choices=("wavelet_upsample", "wavelet_upsample_batch_norm", "transposed", "none"),
    )
    weight: float = limited(1.0, at_least=0)
    width_max: int = limited(512, at_least=4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width_max % 4:
            raise UserError(
                f"decoder.width_max is {self.width_max}; it must be a multiple of 4, for example "
                f"{self.width_max // 4 * 4}"
            )


@dataclasses.dataclass(frozen=True)
class Loss(Section):
    """Weights of the generator's losses."""

    prefix: ClassVar[str] = "loss."
    segmentation: float = limited(1.0, at_least=0)
    adversarial: float = limited(1.0, at_least=0)


@dataclasses.dataclass(frozen=True)
class Optimizer(Section):
    """Adam's rates and momenta."""

    prefix: ClassVar[str] = "optimizer."
    generator_rate: float = limited(1e-4, at_least=0)
    segmenter_rate: float = limited(1e-4, at_least=0)
    discriminator_rate: float = limited(1e-4, at_least=0)
    discriminator_warmup: int = limited(0, at_least=0)
    beta1: float = limited(0.0, at_least=0, below=1)
    beta2: float = limited(0.999, at_least=0, below=1)


@dataclasses.dataclass(frozen=True)
class Evaluation(Section):
    """What is measured during training, and which value decides the best checkpoint."""

    prefix: ClassVar[str] = "evaluation."
    measures: str = "swd,spectrum,consistency"
    best: str = "swd"
    photos: int = limited(200, at_least=0)
    samples: int = limited(4, at_least=2)
    evaluator: str = limited("", path="folder")
    inception: str = limited("", path="path")
    preset: str = limited("fid-published", choices=("fid-published", "fid-clean"))

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.names:
            if word not in MEASURES or self.names.count(word) > 1:
                raise UserError(
                    f"evaluation.measures is {self.measures!r}; it must be a comma list of "
                    f"{', '.join(MEASURES)}, each at most once"
                )
        values = [value for word in self.names for value in MEASURES[word]]
        if self.best not in values:
            raise UserError(
                f"evaluation.best is {self.best!r}; with evaluation.measures={self.measures} it "
                f"must be one of {', '.join(values)}"
            )
        if self.photos == 1:
            raise UserError("evaluation.photos is 1; it must be 0 (all) or at least 2")
        if bool(self.evaluator) != ("evaluator" in self.names):
            raise UserError(
                f"evaluation.evaluator is {self.evaluator!r} and evaluation.measures is "
                f"{self.measures}; the folder that usis train-evaluator wrote and the measure "
                "evaluator belong together"
            )
        if self.inception and not {"fid", "kid"} & set(self.names):
            raise UserError(
                f"evaluation.inception is {self.inception!r} and evaluation.measures is "
                f"{self.measures}; it is for fid and kid, add one or leave it out"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names in `measures`, in their order."""
        return tuple(word.strip() for word in self.measures.split(","))


def parse_data(spec: str) -> tuple[str, str]:
    """Name and split of one source, as ("camvid", "train[:50%]") of "camvid:train[:50%]".

    Raises:
      UserError: the text is not NAME:SPLIT.
    """
    if not _DATA_SPEC.fullmatch(spec):
        raise UserError(
            f"{spec!r}; it must be NAME:SPLIT, for example scenes:train, camvid:train[:50%] or "
            "my_photos:validation"
        )
    name, split = spec.split(":", 1)
    return name, split


def parse_sources(text: str) -> list[tuple[str, str, float | None]]:
    """Photo sources of `data.photos`, such as "cityscapes:train@0.7,kitti:train@0.3".

    Args:
      text: NAME:SPLIT, or several with commas between them, all or none followed by @WEIGHT, the
        share of that source among the photos drawn. Weights need not sum to 1; without them every
        photo of all sources is equally likely.

    Returns:
      (name, split, weight) of each, in their order; weight > 0, or None for all.

    Raises:
      UserError: a part is not NAME:SPLIT or NAME:SPLIT@WEIGHT, a weight is no positive number,
        only some have weights, or a source occurs twice.
    """
    sources = []
    for part in text.split(","):
        spec, at, weight = part.strip().partition("@")
        try:
            name, split = parse_data(spec)
        except ValueError as error:
            raise (
                error
                if part == text
                else UserError(f"{text!r}, in which is {error}; several are separated by commas")
            ) from None
        if at and not (_WEIGHT.fullmatch(weight) and float(weight) > 0):
            raise UserError(
                f"{text!r}; the weight after @ is {weight!r}, it must be a number above 0, for "
                "example cityscapes:train@0.7,kitti:train@0.3"
            )
        sources.append((name, split, float(weight) if at else None))
    if len({weight is None for _, _, weight in sources}) > 1:
        raise UserError(f"{text!r}; give all sources a weight (NAME:SPLIT@WEIGHT), or none")
    if len({source[:2] for source in sources}) < len(sources):
        raise UserError(f"{text!r}; it names a source twice, give that one a larger weight")
    return sources
