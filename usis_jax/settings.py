"""Settings of a run: a ConfigDict becomes frozen dataclasses here, and every check is here.

`configs/base.py` explains each field; the defaults below are the same values (the paper's). The
number of classes and the void id are no settings: they come from the label spec of `data.labels`.
"""

import dataclasses
import json
import math
import re
from typing import Any, ClassVar

from usis_jax import fields
from usis_jax.fields import Section, limited

_DATA_SPEC = re.compile(r"[a-z][a-z0-9_]*:[^:\s][^\s]*")
_AUGMENTATIONS = ("color", "translation", "cutout")


@dataclasses.dataclass(frozen=True)
class Data(Section):
    """Where photos and label maps come from and the size that networks see."""

    prefix: ClassVar[str] = "data."
    photos: str = "scenes:train"
    labels: str = "scenes:train"
    validation: str = "scenes:validation"
    prepared_dir: str = ""
    height: int = limited(256, at_least=4)
    width: int = limited(512, at_least=4)
    load_height: int = limited(0, at_least=0)
    load_width: int = limited(0, at_least=0)
    flip: bool = True
    threads: int = limited(4, at_least=0)
    label_spec: str = ""
    num_scenes: int = limited(1500, at_least=1)
    num_validation: int = limited(200, at_least=1)

    def __post_init__(self):
        super().__post_init__()
        for name in ("photos", "labels", "validation"):
            value = getattr(self, name)
            if not _DATA_SPEC.fullmatch(value):
                raise ValueError(
                    f"data.{name} is {value!r}; it must be NAME:SPLIT, for example scenes:train, "
                    "camvid:train[:50%] or my_photos:validation"
                )
        for name, size in (("load_height", self.height), ("load_width", self.width)):
            value = getattr(self, name)
            if value and value < size:
                raise ValueError(
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
    """Sizes of the generator; its stride is 2 ** (len(multipliers) - 2)."""

    prefix: ClassVar[str] = "generator."
    name: str = limited("spade", choices=("spade",))
    width: int = limited(64, at_least=1)
    multipliers: tuple[int, ...] = limited((16, 16, 16, 8, 4, 2, 1), at_least=1)
    z_dim: int = limited(64, at_least=1)
    noise: str = limited("image", choices=("image", "pixel", "mixed"))
    spade_width: int = limited(128, at_least=1)
    spade_kernel: int = limited(3, at_least=1)

    def __post_init__(self):
        super().__post_init__()
        if len(self.multipliers) < 2:
            raise ValueError(
                f"generator.multipliers is {self.multipliers}; it must have 2 numbers or more"
            )
        if self.spade_kernel % 2 == 0:
            raise ValueError(f"generator.spade_kernel is {self.spade_kernel}; it must be odd")

    @property
    def stride(self) -> int:
        """Ratio of the photo's size to the size at which the generator starts."""
        return 2 ** (len(self.multipliers) - 2)


@dataclasses.dataclass(frozen=True)
class Segmenter(Section):
    """Widths of the UNet segmenter; its stride is 2 ** len(down)."""

    prefix: ClassVar[str] = "segmenter."
    down: tuple[int, ...] = limited((128, 128, 256, 256, 512, 512), at_least=1)
    up: tuple[int, ...] = limited((512, 256, 256, 128, 128, 64), at_least=1)

    def __post_init__(self):
        super().__post_init__()
        if not self.down:
            raise ValueError("segmenter.down is (); it must have 1 number or more")
        if len(self.up) != len(self.down):
            raise ValueError(
                f"segmenter.up has {len(self.up)} numbers; it must have as many as "
                f"segmenter.down={self.down}, which has {len(self.down)}"
            )

    @property
    def stride(self) -> int:
        """Ratio of the photo's size to the smallest feature map of the segmenter."""
        return 2 ** len(self.down)


@dataclasses.dataclass(frozen=True)
class Discriminator(Section):
    """Sizes of the discriminator; its stride is 2 ** (levels + 1), the first 2 for the Haar."""

    prefix: ClassVar[str] = "discriminator."
    name: str = limited("wavelet", choices=("wavelet",))
    channel_base: int = limited(32768, at_least=1)
    channel_max: int = limited(512, at_least=1)
    dense: int = limited(512, at_least=1)
    stddev_group: int = limited(4, at_least=1)
    stddev_grouping: str = limited("local", choices=("local", "published"))
    levels: int = limited(0, at_least=0)
    augment: str = ""

    def __post_init__(self):
        super().__post_init__()
        for word in self.augmentations:
            if word not in _AUGMENTATIONS:
                raise ValueError(
                    f"discriminator.augment is {self.augment!r}; it must be empty or a comma list "
                    f"of {', '.join(_AUGMENTATIONS)}"
                )

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names in `augment`, in their order."""
        return tuple(word.strip() for word in self.augment.split(",")) if self.augment else ()


@dataclasses.dataclass(frozen=True)
class Decoder(Section):
    """Decoder that reconstructs real photos from the discriminator's features."""

    prefix: ClassVar[str] = "decoder."
    name: str = limited("wavelet_upsample", choices=("wavelet_upsample", "none"))
    weight: float = limited(1.0, at_least=0)
    width_max: int = limited(512, at_least=1)


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
    beta1: float = limited(0.0, at_least=0, below=1)
    beta2: float = limited(0.999, at_least=0, below=1)


@dataclasses.dataclass(frozen=True)
class Settings(Section):
    """Everything that decides a run; frozen, hashable, checked when it is made."""

    seed: int = limited(0, at_least=0, below=2**32)
    steps: int = limited(100_000, at_least=1)
    batch_size: int = limited(8, at_least=1)
    update: str = limited("alternating", choices=("alternating", "joint"))
    mapping: str = limited("shard_map", choices=("shard_map", "pmap"))
    compute_dtype: str = limited("float32", choices=("float32", "bfloat16"))
    log_interval: int = limited(50, at_least=1)
    sample_interval: int = limited(1000, at_least=0)
    checkpoint_interval: int = limited(1000, at_least=0)
    eval_interval: int = limited(5000, at_least=0)
    keep_checkpoints: int = limited(3, at_least=1)
    r1_interval: int = limited(16, at_least=0)
    r1_gamma: float = limited(10.0, at_least=0)
    ema_decay: float = limited(0.9999, at_least=0, below=1)
    data: Data = Data()
    generator: Generator = Generator()
    segmenter: Segmenter = Segmenter()
    discriminator: Discriminator = Discriminator()
    decoder: Decoder = Decoder()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()

    def __post_init__(self):
        super().__post_init__()
        _check_sizes(self)

    @property
    def discriminator_levels(self) -> int:
        """Levels of the discriminator: as set, or as many as leave 4 pixels on the longer side."""
        if self.discriminator.levels:
            return self.discriminator.levels
        return max((n for n in range(1, 32) if _fits(self.data, 2 ** (n + 1))), default=1)


def load(config) -> Settings:
    """Frozen, checked settings of a configuration.

    Args:
      config: ml_collections ConfigDict or nested dict; a field it lacks has its default.

    Returns:
      Settings.

    Raises:
      ValueError: a field is unknown, or its value has the wrong type or is out of range.
    """
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return fields.from_dict(Settings, values)


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as a nested dict of plain Python values."""
    return dataclasses.asdict(settings)


def to_json(settings: Settings) -> str:
    """Settings as JSON text, one field a line."""
    return json.dumps(to_dict(settings), indent=2)


def from_json(text: str) -> Settings:
    """Settings of JSON text from `to_json`; a field it lacks has its default."""
    return load(json.loads(text))


def flatten(settings: Settings) -> dict[str, Any]:
    """Settings as a flat dict with dotted names, such as `data.height`."""
    return fields.flatten(to_dict(settings))


def differences(old: Settings, new: Settings) -> list[str]:
    """Fields in which two settings differ, each as "field: old -> new"."""
    a, b = flatten(old), flatten(new)
    return [f"{name}: {a[name]!r} -> {b[name]!r}" for name in a if a[name] != b[name]]


def parse_data(spec: str) -> tuple[str, str]:
    """Name and split of a data field, as ("camvid", "train[:50%]") of "camvid:train[:50%]"."""
    if not _DATA_SPEC.fullmatch(spec):
        raise ValueError(f"{spec!r} is not NAME:SPLIT, for example scenes:train")
    name, split = spec.split(":", 1)
    return name, split


def check_devices(settings: Settings, num_devices: int) -> int:
    """Samples that each device gets of the global batch.

    Args:
      settings: Settings of the run.
      num_devices: number of devices of all hosts together.

    Returns:
      batch_size / num_devices.

    Raises:
      ValueError: the batch does not divide over the devices.
    """
    batch = settings.batch_size
    if batch % num_devices:
        raise ValueError(
            f"batch_size is {batch}; it must be a multiple of the {num_devices} devices, for "
            f"example {math.ceil(batch / num_devices) * num_devices}"
        )
    return batch // num_devices


def _fits(data: Data, stride: int) -> bool:
    """Whether both sizes are multiples of the stride and leave 4 pixels on the longer side."""
    sizes = (data.height, data.width)
    return all(size % stride == 0 for size in sizes) and max(sizes) // stride >= 4


def _check_sizes(settings: Settings) -> None:
    """Height and width against the strides of the three networks."""
    strides = (
        ("generator", settings.generator.stride, "2 ** (len(generator.multipliers) - 2)"),
        ("segmenter", settings.segmenter.stride, "2 ** len(segmenter.down)"),
        (
            "discriminator",
            2 ** (settings.discriminator_levels + 1),
            "2 ** (discriminator.levels + 1)",
        ),
    )
    for name in ("height", "width"):
        size = getattr(settings.data, name)
        for network, stride, formula in strides:
            if size % stride:
                below, above = size // stride * stride, (size // stride + 1) * stride
                nearest = f"{below} or {above}" if below else f"{above}"
                raise ValueError(
                    f"data.{name} is {size}; it must be a multiple of the {network}'s stride "
                    f"{stride} = {formula}, for example {nearest}"
                )
