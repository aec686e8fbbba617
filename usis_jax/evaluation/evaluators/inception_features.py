"""Features of photos by a published network, under a named way of bringing them to its size.

The resizing changes a Fréchet distance by more than many methods differ, so it has a name here:

* `fid-published`: bilinear without antialiasing, in floating point, then x / 127.5 - 1; what
  pytorch-fid did, and with it the evaluations of OASIS and USIS.
* `fid-clean`: photos in 8 bits, bicubic with antialiasing (PIL) in floating point, then
  (x - 128) / 128; what Parmar, Zhang, Zhu, "On Aliased Resizing and Surprising Subtleties in GAN
  Evaluation", CVPR 2022, recommend. Photos of 299 x 299 are left as they are.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from PIL import Image

from usis_jax.distributed import sharded_map
from usis_jax.errors import UserError
from usis_jax.evaluation.evaluators import pretrained_weights
from usis_jax.evaluation.networks import inception as inception_network
from usis_jax.evaluation.networks import inception_keys
from usis_jax.storage import atomic

SIDE = 299
_THREADS = 4


class Network(NamedTuple):
    """A network that describes photos, and which weights it has.

    Attributes:
      name: to print beside results.
      width: number of features.
      variables: weights.
      apply: (variables, float32 [B, 299, 299, 3] in [-1, 1]) -> float32 [B, width].
      file: name of the known file of its weights.
      sha256: that file's checksum.
    """

    name: str
    width: int
    variables: Any
    apply: Callable
    file: str
    sha256: str


def inception(path=None, feature: int = 2048) -> Network:
    """The Inception of the FID, from its published weights.

    Args:
      path: file or folder with them; None = the cache of `usis get-weights inception`.
      feature: width of the layer, 64, 192, 768 or 2048; a published FID has 2048.

    Raises:
      UserError: there are no weights or others, and how to get them; or no such feature.
    """
    if feature not in inception_network.FEATURES:
        raise UserError(f"feature is {feature}; it must be one of {inception_network.FEATURES}")
    found, known = pretrained_weights.find("inception", path)
    variables = inception_keys.variables(pretrained_weights.read(found, known), found)
    network = inception_network.Inception(feature)
    name = "inception-2015-12-05" + ("" if feature == 2048 else f"/{feature}")
    return Network(name, feature, variables, network.apply, known.name, known.sha256)


def resize_bilinear(photo, height: int = SIDE, width: int = SIDE):
    """Resizes by interpolating between the two nearest rows and columns, without antialiasing.

    Args:
      photo: [H, W, C], any real dtype.
      height, width: of the result.

    Returns:
      float32 [height, width, C].

    Source: torch.nn.functional.interpolate(mode="bilinear", align_corners=False).
    """
    photo = np.asarray(photo, np.float32)
    for axis, size in ((0, height), (1, width)):
        old = photo.shape[axis]
        # Positions in float32, as published: rounding them moves values by up to 1e-5 of the range.
        step = np.float32(old) / np.float32(size)
        place = np.maximum(
            (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5), 0
        )
        low = np.minimum(place.astype(int), old - 1)
        part = np.float32(place - low).reshape([-1 if i == axis else 1 for i in range(3)])
        high = np.minimum(low + 1, old - 1)
        photo = photo.take(low, axis) * (1 - part) + photo.take(high, axis) * part
    return photo


def resize_bicubic(photo, height: int = SIDE, width: int = SIDE):
    """Resizes with PIL's antialiased bicubic filter, each channel in floating point.

    Args:
      photo: [H, W, C] in [0, 255]; rounded to 8 bits first.
      height, width: of the result.

    Returns:
      float32 [height, width, C], which may overshoot [0, 255] at edges.

    Source: Parmar, Zhang, Zhu, CVPR 2022.
    """
    photo = np.float32(np.rint(photo))
    channels = [
        Image.fromarray(np.ascontiguousarray(photo[..., index])).resize(
            (width, height), Image.Resampling.BICUBIC)
        for index in range(photo.shape[2])]  # fmt: skip
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


PRESETS = {
    "fid-published": lambda photo: resize_bilinear(photo) / np.float32(127.5) - 1,
    "fid-clean": lambda photo: (resize_bicubic(photo) - 128) / 128,
}
"""Name -> function of a photo [H, W, 3] in [0, 255], giving float32 [299, 299, 3]."""


def batches(
    photos: Iterable, network: Network, preset: str, batch_size: int = 16
) -> Iterator[np.ndarray]:
    """Features of photos, a batch at a time; memory does not grow with their number.

    The process's devices share each batch. The last one is filled up for them, and what filled it
    is left out of the result.

    Args:
      photos: arrays [H, W, 3] or [B, H, W, 3], uint8, or float in [0, 255]; sizes may differ.
      network: such as `inception()`.
      preset: one of PRESETS.
      batch_size: photos at once, rounded up to a multiple of the devices.

    Yields:
      float32 [b, network.width], in the order of the photos.

    Raises:
      UserError: unknown preset, batch_size below 1, or an array that is no photo.
    """
    if preset not in PRESETS:
        raise UserError(f"preset is {preset!r}; it must be one of {', '.join(PRESETS)}")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; it must be 1 or more")
    devices = jax.local_devices()
    batch_size = -(-batch_size // len(devices)) * len(devices)
    mesh = Mesh(np.array(devices), ("batch",))
    variables = jax.device_put(network.variables, NamedSharding(mesh, P()))
    split = NamedSharding(mesh, P("batch"))
    apply = jax.jit(network.apply, out_shardings=split)
    single = _photos(photos)
    waiting = None
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        while chosen := list(itertools.islice(single, batch_size)):
            ready = np.stack(list(pool.map(PRESETS[preset], chosen)))
            rest = np.zeros((batch_size - len(ready), *ready.shape[1:]), np.float32)
            result = apply(variables, jax.device_put(np.concatenate([ready, rest]), split))
            # Devices work on this batch while the one before is taken and the next one resized.
            if waiting is not None:
                yield np.asarray(waiting)
            waiting = result if not len(rest) else np.asarray(result)[: len(ready)]
    if waiting is not None:
        yield np.asarray(waiting)


def extract(
    photos: Iterable, network: Network, preset: str = "fid-published", batch_size: int = 16
) -> np.ndarray:
    """Features of all photos; arguments and errors as for `batches`.

    Returns:
      float32 [N, network.width], in the order of the photos.
    """
    found = list(batches(photos, network, preset, batch_size))
    return np.concatenate(found) if found else np.zeros((0, network.width), np.float32)


def _photos(photos):
    """Each photo alone, checked."""
    for number, array in enumerate(photos):
        array = np.asarray(array)
        if array.ndim not in (3, 4) or array.shape[-1] != 3 or not all(array.shape[-3:]):
            raise UserError(
                f"photos: array {number} has the shape {array.shape}; it must be "
                "[H, W, 3] or [B, H, W, 3]"
            )
        if array.dtype != np.uint8:
            is_float = np.issubdtype(array.dtype, np.floating)
            if not is_float or (array.size and not (array.min() >= 0 and array.max() <= 255)):
                raise UserError(
                    f"photos: array {number} ({array.dtype}) must be uint8, or float in [0, 255]"
                )
        yield from array if array.ndim == 4 else (array,)


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network and a preset: photos to features, those of real photos kept in a folder.

    Attributes:
      network: such as `inception()`.
      preset: one of PRESETS.
      batch_size: photos at once.
      cache: folder for the features of real photos, or None to keep none.
      advance: called with the number of photos of each batch, or None.
    """

    network: Network
    preset: str = "fid-published"
    batch_size: int = 16
    cache: pathlib.Path | None = None
    advance: Callable[[int], Any] | None = None

    @property
    def name(self) -> str:
        """What to print beside a result: network, weights and preset."""
        return f"{self.network.name} ({self.network.sha256[:8]}), {self.preset}"

    def __call__(self, photos, keep: bool = False) -> np.ndarray:
        """Features of a set of photos, of which each host measures its share.

        Args:
          photos: uint8, or float in [0, 255], [N, H, W, 3], the same on all hosts.
          keep: look in the cache first, by what the photos are, and keep them there if it can be
            written; for real photos, which are measured again and again.

        Returns:
          float32 [N, network.width].

        Raises:
          UserError: as for `batches`.
        """
        if not keep or self.cache is None:
            return self._measure(photos)
        file = pathlib.Path(self.cache) / f"{self._key(photos)}.npy"
        shape = (len(photos), self.network.width)
        found = _kept(file, shape)
        if not sharded_map.all_hosts(found is not None):
            found = self._measure(photos)
            # A cache that is full or read-only must not cost what was measured.
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                atomic.write_with(file, lambda part: np.save(part, found))
        return found

    def _measure(self, photos):
        return sharded_map.over_hosts(self._own, photos) if len(photos) else self._own(photos)

    def _own(self, photos):
        found = [np.zeros((0, self.network.width), np.float32)]
        for part in batches(photos, self.network, self.preset, self.batch_size):
            found.append(part)
            if self.advance is not None:
                self.advance(len(part) * jax.process_count())
        return np.concatenate(found)

    def _key(self, photos):
        """Hash of what decides the features: photos, weights, layer and preset."""
        photos = np.ascontiguousarray(photos)
        about = (photos.shape, photos.dtype.str, self.network.sha256, self.network.name,
                 self.preset)  # fmt: skip
        digest = hashlib.sha256(repr(about).encode())
        digest.update(photos)
        return digest.hexdigest()[:32]


def _kept(file, shape):
    """Features in a file of the cache, or None where it is missing, damaged or of another shape."""
    try:
        found = np.load(file, allow_pickle=False)
    except Exception:  # of damaged files, NumPy raises nearly anything
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None
