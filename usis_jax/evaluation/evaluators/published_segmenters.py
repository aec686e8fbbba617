"""Published segmentation networks as evaluators: those that papers measure mIoU with.

A published network has its own classes. A run's label maps are mapped to them by name, so that the
35 ids of Cityscapes are scored as the 19 of its benchmark; what the network does not know is void.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from usis_jax.data.specs import label_spec, lookup, spec_mapping
from usis_jax.distributed import sharded_map
from usis_jax.errors import UserError
from usis_jax.evaluation.networks import (
    deeplab,
    deeplab_keys,
    drn,
    drn_keys,
    upernet,
    upernet_keys,
)
from usis_jax.interop import files
from usis_jax.storage import paths

BATCH = 4


class Published(NamedTuple):
    """One published segmentation network and one way of reading images with it.

    Attributes:
      spec: name of the built-in label spec whose classes it is scored with.
      files: names of its files of weights, in the order in which they are given.
      where: where these can be had.
      manner: how photos are read, for results.
      variables: (state dicts, names of their files) -> variables.
      reader: () -> function of (variables, photos uint8 [B, H, W, 3]), giving train ids of `spec`
        [B, H, W].
      multiple, smallest: sides of photos must be multiples of one and at least the other.
    """

    spec: str
    files: tuple[str, ...]
    where: str
    manner: str
    variables: Callable
    reader: Callable
    multiple: int = 1
    smallest: int = 1


def _drn_variables(dicts, names):
    return drn_keys.variables(*dicts, *names)


def _drn_reader():
    return jax.jit(lambda variables, photos: drn.Drn().apply(variables, photos).argmax(-1))


def _drn_scales_reader():
    log_shares = jax.jit(
        lambda variables, photos: jax.nn.log_softmax(drn.Drn().apply(variables, photos))
    )

    def read(variables, photos):
        return drn.read_scales(functools.partial(log_shares, variables), photos).argmax(-1)

    return read


_DRN = Published(
    "cityscapes19", ("drn-d-105_ms_cityscapes.pth",), "http://go.yf.io/drn-cityscapes-models",
    "photos read at their own size", _drn_variables, _drn_reader, drn.STRIDE,
)  # fmt: skip


def _deeplab_variables(dicts, names):
    return deeplab_keys.variables(*dicts, *names)


def _deeplab_reader():
    # Train id 0 is void; the network has no output for it.
    return lambda variables, photos: deeplab.read(variables, photos) + 1


def _upernet_variables(dicts, names):
    return upernet_keys.variables(*dicts, names)


def _upernet_reader():
    # As of DeepLab.
    return lambda variables, photos: upernet.read(variables, photos) + 1


_DEEPLAB = Published(
    "coco_stuff", ("deeplabv2_resnet101_msc-cocostuff164k-100000.pth",),
    "https://github.com/kazuto1011/deeplab-pytorch/releases",
    "photos read at 1, 0.75 and 0.5 of their own size, without CRF",
    _deeplab_variables, _deeplab_reader, smallest=deeplab.SMALLEST,
)  # fmt: skip
_UPERNET = Published(
    "ade20k", ("encoder_epoch_50.pth", "decoder_epoch_50.pth"),
    "http://sceneparsing.csail.mit.edu/model/pytorch (ade20k-resnet101-upernet)",
    "photos read at shorter sides of " + ", ".join(map(str, upernet.SIDES)),
    _upernet_variables, _upernet_reader,
)  # fmt: skip

KNOWN = {
    "drn-d-105": _DRN,
    "drn-d-105-ms": _DRN._replace(
        manner="photos read at six scales from 0.5 to 1.75", reader=_drn_scales_reader,
        smallest=2 * drn.STRIDE),
    "deeplabv2-resnet101-msc": _DEEPLAB,
    "upernet101": _UPERNET,
}  # fmt: skip
"""Name of --evaluator -> Published."""


@dataclasses.dataclass(frozen=True)
class PublishedSegmenter:
    """A published segmentation network with its weights, ready to read images.

    Attributes:
      key: its name in KNOWN.
      published: Published.
      variables: weights.
      sha256: checksum of its file; of several files, of their checksums.
      advance: called with the number of photos of each batch, or None.
    """

    key: str
    published: Published
    variables: Any
    sha256: str
    advance: Callable[[int], Any] | None = None

    @property
    def name(self) -> str:
        """What to print beside a result: network, weights and how photos are read."""
        return f"{self.key} ({self.sha256[:8]}), {self.published.manner}"

    @property
    def spec(self) -> label_spec.LabelSpec:
        """Classes that it is scored with."""
        return lookup.get(self.published.spec)

    def labels(self, labels, spec) -> np.ndarray:
        """Maps a run's label maps to the evaluator's classes.

        Args:
          labels: integers [N, H, W], train ids of `spec`.
          spec: LabelSpec of the run.

        Returns:
          int32 [N, H, W], train ids of the evaluator's spec.

        Raises:
          UserError: the run has classes that the evaluator has no counterpart for; names them.
        """
        same = (spec.classes, spec.void) == (self.spec.classes, self.spec.void)
        table = np.arange(spec.num_classes) if same else spec_mapping.mapping(spec, self.spec)
        return table[np.asarray(labels)].astype(np.int32)

    def predict(self, photos) -> np.ndarray:
        """Predicts label maps of images.

        Args:
          photos: uint8 [N, H, W, 3].

        Returns:
          int32 [N, H, W], train ids of the evaluator's spec, never void.

        Raises:
          UserError: `photos` is no batch of images, or of a size that the evaluator cannot read.
        """
        photos = np.asarray(photos)
        if photos.ndim != 4 or photos.shape[3] != 3 or photos.dtype != np.uint8 or not len(photos):
            raise UserError(f"photos must be uint8 [N, H, W, 3], got {photos.dtype} {photos.shape}")
        multiple, smallest = self.published.multiple, self.published.smallest
        if any(side % multiple or side < smallest for side in photos.shape[1:3]):
            raise UserError(
                f"--evaluator={self.key} reads images whose sides are multiples of {multiple} and "
                f"at least {smallest}, and these are {photos.shape[1]}x{photos.shape[2]}; choose "
                "another evaluator"
            )
        read = _reader(self.published.reader)
        return sharded_map.each_device(
            lambda variables, batch: np.asarray(read(variables, batch), np.int32),
            self.variables,
            photos,
            BATCH,
            self.advance,
        )


def load(name: str, given, advance=None) -> PublishedSegmenter:
    """Loads a published segmentation network from its files of weights.

    Args:
      name: one of KNOWN.
      given: its files, in the order of `Published.files`.
      advance: as of PublishedSegmenter.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the name is unknown, files are missing, or they hold something else.
    """
    if name not in KNOWN:
        raise UserError(f"evaluator is {name!r}; it must be one of {', '.join(KNOWN)}")
    published = KNOWN[name]
    weights = [paths.of(path, "--evaluator_weights", paths.FILE) for path in given or ()]
    if len(weights) != len(published.files):
        raise UserError(
            f"--evaluator={name} needs {len(published.files)} of --evaluator_weights, not "
            f"{len(weights)}: {' and '.join(published.files)}, to be had from {published.where}"
        )
    dicts = [files.read(path) for path in weights]
    for path, content in zip(weights, dicts, strict=True):
        if not isinstance(content, dict):
            raise UserError(f"{path} holds no state dict; give {' and '.join(published.files)}")
    names = [str(path) for path in weights]
    variables = jax.tree.map(jnp.asarray, published.variables(dicts, names))
    digests = [_digest(path) for path in weights]
    joint = hashlib.sha256("".join(digests).encode()).hexdigest()
    digest = digests[0] if len(digests) == 1 else joint
    return PublishedSegmenter(name, published, variables, digest, advance)


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _reader(make):
    return make()
