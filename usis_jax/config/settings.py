"""Settings of a run: a ConfigDict becomes frozen dataclasses here, and every check is here.

`configs/base.py` explains each field; the defaults are the same values (the paper's). The number
of classes and the void id are no settings: they come from the label spec of `data.labels`.
"""

import dataclasses
import json
import math
from typing import Any, ClassVar

from usis_jax.config import config_dicts, constraints
from usis_jax.config.constraints import Section, limited
from usis_jax.config.schema import (
    Data,
    Decoder,
    Discriminator,
    Evaluation,
    Generator,
    Loss,
    Method,
    Optimizer,
    Segmenter,
)
from usis_jax.errors import UserError
from usis_jax.storage import texts

# Fields that a resumed run may change: none of them touches what the state means.
FREE_FIELDS = (
    "steps",
    "log_interval",
    "sample_interval",
    "checkpoint_interval",
    "eval_interval",
    "keep_checkpoints",
    "rollbacks",
    "mapping",
    "compilation_cache",
    "data.threads",
    "data.prepared_dir",
    "evaluation.measures",
    "evaluation.inception",
    "wandb.project",
)


@dataclasses.dataclass(frozen=True)
class Wandb(Section):
    """Where the numbers of a run go besides the work directory."""

    prefix: ClassVar[str] = "wandb."
    project: str = ""


@dataclasses.dataclass(frozen=True)
class Settings(Section):
    """Everything that decides a run; frozen, hashable, checked when it is made."""

    seed: int = limited(0, at_least=0, below=2**32)
    steps: int = limited(100_000, at_least=1)
    batch_size: int = limited(8, at_least=1)
    update: str = limited("alternating", choices=("alternating", "joint"))
    mapping: str = limited("shard_map", choices=("shard_map", "pmap"))
    compute_dtype: str = limited("float32", choices=("float32", "bfloat16"))
    remat: str = limited("none", choices=("none", "blocks"))
    compilation_cache: bool = True
    log_interval: int = limited(50, at_least=1)
    sample_interval: int = limited(1000, at_least=0)
    checkpoint_interval: int = limited(1000, at_least=0)
    eval_interval: int = limited(5000, at_least=0)
    keep_checkpoints: int = limited(3, at_least=1)
    rollbacks: int = limited(0, at_least=0)
    r1_interval: int = limited(16, at_least=0)
    r1_gamma: float = limited(10.0, at_least=0)
    ema_decay: float = limited(0.9999, at_least=0, below=1)
    method: Method = dataclasses.field(default_factory=Method)
    data: Data = dataclasses.field(default_factory=Data)
    generator: Generator = dataclasses.field(default_factory=Generator)
    segmenter: Segmenter = dataclasses.field(default_factory=Segmenter)
    discriminator: Discriminator = dataclasses.field(default_factory=Discriminator)
    decoder: Decoder = dataclasses.field(default_factory=Decoder)
    loss: Loss = dataclasses.field(default_factory=Loss)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    wandb: Wandb = dataclasses.field(default_factory=Wandb)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes(self)
        _check_decoder(self)

    @property
    def discriminator_levels(self) -> int:
        """Levels of the discriminator: as set, or as many as leave 4 pixels on the longer side."""
        own = self.discriminator
        if own.levels:
            return own.levels
        if own.name == "patch":
            return own.patch.bit_length() - 4
        return max((n for n in range(1, 32) if _fits(self.data, 2 ** (n + 1))), default=1)


PATHS = constraints.paths_of(Settings)
"""Fields that name files or folders -> "folder", "file" or "path", as `paths.of` takes it."""


def load(config: Any) -> Settings:
    """Frozen, checked settings of a configuration.

    Args:
      config: ml_collections ConfigDict or nested dict; a field it lacks, or a placeholder in it
        that was not set, has its default.

    Returns:
      Settings.

    Raises:
      UserError: a field is unknown, or its value has the wrong type or is out of range.
    """
    return constraints.from_dict(Settings, config_dicts.plain(config))


def to_dict(settings: Settings) -> dict[str, Any]:
    """Settings as a nested dict of plain Python values."""
    return dataclasses.asdict(settings)


def to_json(settings: Settings) -> str:
    """Settings as JSON text, one field a line."""
    return json.dumps(to_dict(settings), indent=2)


def from_json(text: str) -> Settings:
    """Settings of JSON text from `to_json`; a field it lacks has its default.

    Raises:
      UserError: the text is no JSON object, or a field cannot be used.
    """
    values = texts.parse_json(text, "the text of settings")
    if not isinstance(values, dict):
        raise UserError("settings must be a JSON object of fields")
    return load(values)


def flatten(settings: Settings) -> dict[str, Any]:
    """Settings as a flat dict with dotted names, such as `data.height`."""
    return constraints.flatten(to_dict(settings))


def differences(old: Settings, new: Settings) -> list[str]:
    """Fields in which two settings differ, each as "field: old -> new"."""
    a, b = flatten(old), flatten(new)
    return [f"{name}: {a[name]!r} -> {b[name]!r}" for name in a if a[name] != b[name]]


def check_devices(settings: Settings, num_devices: int) -> int:
    """Samples that each device gets of the global batch.

    Args:
      settings: Settings of the run.
      num_devices: number of devices of all hosts together.

    Returns:
      batch_size / num_devices.

    Raises:
      UserError: the batch does not divide over the devices.
    """
    batch = settings.batch_size
    if batch % num_devices:
        raise UserError(
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
    own = settings.discriminator
    if own.name == "patch":
        discriminator = ("discriminator", own.patch, "discriminator.patch")
    else:
        stride = 2 ** (settings.discriminator_levels + 1)
        discriminator = ("discriminator", stride, "2 ** (discriminator.levels + 1)")
    less = 1 if settings.generator.name == "wavelet" else 2
    formula = f"2 ** (len(generator.multipliers) - {less})"
    strides = (
        ("generator", settings.generator.stride, formula),
        ("segmenter", settings.segmenter.stride, "2 ** len(segmenter.down)"),
        discriminator,
    )
    for name in ("height", "width"):
        size = getattr(settings.data, name)
        for network, stride, formula in strides:
            if size % stride:
                below, above = size // stride * stride, (size // stride + 1) * stride
                nearest = f"{below} or {above}" if below else f"{above}"
                raise UserError(
                    f"data.{name} is {size}; it must be a multiple of the {network}'s stride "
                    f"{stride} = {formula}, for example {nearest}"
                )


def _check_decoder(settings: Settings) -> None:
    """Only the wavelet discriminator has features that a decoder reads."""
    discriminator, decoder = settings.discriminator.name, settings.decoder.name
    if discriminator != "wavelet" and decoder != "none":
        raise UserError(
            f"decoder.name is {decoder!r}; with discriminator.name={discriminator!r} it must be "
            "none (only the wavelet discriminator has a decoder)"
        )
