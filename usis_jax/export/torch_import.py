"""From a published checkpoint to a work directory that usis sample can use."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import jax
import numpy as np

from usis_jax.checkpoint import manager
from usis_jax.config import loading
from usis_jax.config import settings as settings_lib
from usis_jax.data.specs import builtin_specs
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.errors import UserError
from usis_jax.interop import files, recognise, torch
from usis_jax.storage import paths
from usis_jax.workdir import layout

ARCHITECTURES = {
    "usis": "spade_generator",
    "usis-wavelet": "wavelet_generator",
    "oasis": "spade_generator",
}
DATASETS = ("cityscapes", "ade20k", "coco_stuff")
PUBLISHED_Z = 64
BLOCKS = 6
_START = {"spade_generator": 16, "wavelet_generator": 64}
"""Channels of the start, as multiples of the width."""


def import_checkpoint(
    path,
    arch: str,
    out,
    *,
    dataset: str | None = None,
    spec: LabelSpec | None = None,
    height: int | None = None,
    width: int | None = None,
) -> dict:
    """Make a work directory of a published generator.

    Args:
      path: file of the generator, or of a model that has it; of several, the moving average.
      arch: "usis", "usis-wavelet" or "oasis".
      out: the work directory; appears whole or not at all.
      dataset: "cityscapes", "ade20k" or "coco_stuff", for its classes and its size.
      spec: the classes, instead of the data set's.
      height, width: of images, instead of the data set's.

    Returns:
      dict: workdir, arch, file, sha256, tensors, channels_G, parameters, num_classes, z_dim, and
      height and width of images.

    Raises:
      FileNotFoundError: there is no such file.
      FileExistsError: `out` is there and not empty.
      UserError: the file cannot be read or holds another network, its channels do not fit the
        classes, or the size does not fit the networks' strides.

    Source: the published state dicts; sizes of the data sets as the published code has them.
    """
    path, out = paths.of(path, "FILE", paths.FILE), paths.of(out, "--out")
    check_free(out)
    layout.check_name(out, "--out")
    kind = ARCHITECTURES[arch]
    arrays = recognise.choose(files.read(path), kind, path)
    channels_g, segmentation = _sizes(arrays, kind, path)
    spec = spec or _spec(dataset, segmentation, path)
    z_dim = _noise(spec, dataset, segmentation, path)
    settings = _settings(kind, dataset, channels_g, z_dim, height, width)
    _, variables = torch.load(
        kind, arrays, semantic_nc=spec.num_classes, channels_G=channels_g, z_dim=z_dim
    )
    _check_finite(arrays, path)
    origin = {"arch": arch, "file": path.name, "sha256": _digest(path)}
    with _appearing(out) as temporary:
        layout.save_settings(temporary, settings)
        with manager.Checkpoints(temporary) as checkpoints:
            checkpoints.save_imported(variables, settings, spec, origin)
    return {
        "workdir": str(out), **origin, "tensors": len(arrays), "channels_G": channels_g,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "num_classes": spec.num_classes, "z_dim": z_dim, "height": settings.data.height,
        "width": settings.data.width,
    }  # fmt: skip


def check_free(out) -> None:
    """Raises FileExistsError or NotADirectoryError unless `out` is free or an empty folder."""
    out = paths.of(out, "--out")
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"--out {out} is not empty; choose another folder")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out {out} is a file; it must be a new folder")


def _sizes(arrays, kind, path) -> tuple[int, int]:
    """Width and number of input channels (noise and classes) of a generator."""
    shape = arrays["fc.weight"].shape if "fc.weight" in arrays else ()
    unit = _START[kind]
    if len(shape) != 4 or shape[0] % unit or not shape[0]:
        raise UserError(
            f"{path}: fc.weight is {shape}; a published generator's of this kind "
            f"is [{unit} * width, noise and classes, 3, 3]"
        )
    blocks = {key.split(".")[1] for key in arrays if key.startswith("body.")}
    if len(blocks) != BLOCKS:
        raise UserError(f"{path} has {len(blocks)} blocks; a published generator has {BLOCKS}")
    return shape[0] // unit, shape[1]


def _spec(dataset, segmentation, path) -> LabelSpec:
    if dataset is not None:
        return builtin_specs.SPECS[dataset]
    raise UserError(
        f"{path} takes {segmentation} channels, noise and classes together; say how many are "
        f"classes: --dataset=NAME, --spec=FILE or --num_classes=K ({segmentation - PUBLISHED_Z} "
        f"with the published noise of {PUBLISHED_Z})"
    )


def _noise(spec, dataset, segmentation, path) -> int:
    """Number of noise channels: what the classes leave."""
    z_dim = segmentation - spec.num_classes
    what = f"{path} takes {segmentation} channels, noise and classes together"
    for name in DATASETS:
        classes = builtin_specs.SPECS[name].num_classes
        if dataset not in (None, name) and segmentation == PUBLISHED_Z + classes:
            raise UserError(
                f"{what}: {PUBLISHED_Z} and the {classes} of {name}, not the "
                f"{spec.num_classes} of {dataset}; use --dataset={name}"
            )
    if z_dim == 0:
        raise UserError(
            f"{what}: the network was trained without noise (no_3dnoise), which this "
            "version does not support"
        )
    if z_dim < 0:
        raise UserError(f"{what}, fewer than {spec.num_classes} classes of {spec.name!r}")
    return z_dim


def _settings(kind, dataset, channels_g, z_dim, height, width):
    """The data set's configuration with the imported generator in it."""
    config = loading.load_config(str(loading.bundled_configs() / f"{dataset or 'folder'}.py"))
    config.generator.name = kind.removesuffix("_generator")
    config.generator.width, config.generator.z_dim = channels_g, z_dim
    if height or width:
        config.data.height, config.data.width = height, width
        config.data.load_height = config.data.load_width = 0
    return settings_lib.load(config)


def _check_finite(arrays, path):
    for key, array in arrays.items():
        if not np.isfinite(array.astype(np.float32)).all():
            raise UserError(f"{path}: {key} holds numbers that are not finite")


def _digest(path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _appearing(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside `out` that takes its place at the end, or vanishes on an error."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)
        os.replace(temporary, out)  # an empty folder may be there
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
