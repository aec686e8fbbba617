"""The evaluator: a small segmentation network trained on real pairs, for measuring only.

No network of a run ever sees it. An evaluator is a folder: `evaluator.safetensors` (weights),
`evaluator.json` (sizes, what it was trained and measured on, its scores on real photos),
`label_spec.json` and `evaluator.png`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from usis_jax.checkpoint import flat_trees
from usis_jax.data.specs import spec_mapping
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.distributed import sharded_map
from usis_jax.errors import UserError
from usis_jax.evaluation.evaluators import evaluator_files
from usis_jax.evaluation.evaluators.evaluator_files import (
    FORMAT_VERSION,
    INFO_FILE,
    PICTURE_FILE,
    SPEC_FILE,
    WEIGHTS_FILE,
)
from usis_jax.interop import files
from usis_jax.ops import haar, pixel_range, resample
from usis_jax.storage import atomic, paths

BATCH = 16


class EvaluatorNetwork(nn.Module):
    """UNet on the Haar bands of a photo, with the bands of the logits as output.

    `widths` are those of the levels, at 1/2, 1/4, ... of the photo's size; `axis_name` is the axis
    of the devices that share a batch in training, or None.
    """

    num_classes: int
    widths: tuple[int, ...] = (32, 64, 96, 128)
    void: int | None = None
    axis_name: str | None = None

    @property
    def stride(self) -> int:
        """Height and width of photos must be multiples of this."""
        return 2 ** len(self.widths)

    def setup(self):
        self.encoder = [_Twice(width, self.axis_name) for width in self.widths]
        self.decoder = [_Twice(width, self.axis_name) for width in self.widths[-2::-1]]
        self.to_bands = nn.Conv(4 * self.num_classes, (3, 3))

    def levels(self, photo: Array, train: bool = False) -> list[Array]:
        """Encoder's output at each level; photo float [B, H, W, 3] in [-1, 1]."""
        x, found = haar.forward(photo), []
        for number, block in enumerate(self.encoder):
            x = block(nn.max_pool(x, (2, 2), (2, 2)) if number else x, train)
            found.append(x)
        return found

    def features(self, photo: Array) -> Array:
        """Global average of the smallest level: float [B, H, W, 3] -> [B, widths[-1]]."""
        return self.levels(photo)[-1].mean((1, 2))

    def __call__(self, photo: Array, train: bool = False) -> Array:
        """Classify every pixel.

        Args:
          photo: float [B, H, W, 3] in [-1, 1]; H and W multiples of `stride`.
          train: normalise by the batch.

        Returns:
          float32 [B, H, W, K]: logits by class id; void's is so low that nothing is read as void.
        """
        *skipped, x = self.levels(photo, train)
        for block, skip in zip(self.decoder, reversed(skipped), strict=True):
            x = block(jnp.concatenate([resample.nearest_up(x), skip], axis=-1), train)
        logits = haar.inverse(self.to_bands(x))
        return logits if self.void is None else logits.at[..., self.void].set(-1e9)


class _Twice(nn.Module):
    """Convolution, batch norm and ReLU, twice."""

    width: int
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        for _ in range(2):
            x = nn.Conv(self.width, (3, 3), use_bias=False)(x)
            x = nn.relu(
                nn.BatchNorm(
                    use_running_average=not train, momentum=0.95, axis_name=self.axis_name
                )(x)
            )
        return x


class Evaluator:
    """A trained evaluator, ready to read images.

    Args:
      variables: weights and statistics of its network.
      spec: LabelSpec of what it predicts.
      info: what `evaluator.json` holds; needs height, width, widths and scores.

    Raises:
      UserError: the variables do not fit the sizes.
    """

    def __init__(self, variables, spec: LabelSpec, info: dict):
        self.spec, self.info = spec, info
        self.height, self.width = info["height"], info["width"]
        self.network = EvaluatorNetwork(spec.num_classes, tuple(info["widths"]), spec.void)
        flat = flat_trees.flatten(variables)
        shapes = jax.eval_shape(
            self.network.init, jax.random.key(0), jnp.zeros((1, self.height, self.width, 3))
        )
        self.variables = flat_trees.unflatten(shapes, flat, "evaluator")
        self.sha256 = _digest(flat)
        self._labels = sharded_map.Spread(
            lambda variables, photo: (
                self.network.apply(variables, pixel_range.to_float(photo))
                .argmax(-1)
                .astype(jnp.int32)
            ),
            BATCH,
        )
        self._features = sharded_map.Spread(
            lambda variables, photo: self.network.apply(
                variables, pixel_range.to_float(photo), method="features"
            ),
            BATCH,
        )

    @classmethod
    def load(cls, directory) -> "Evaluator":
        """Loads an evaluator that `usis train-evaluator` wrote.

        Raises:
          FileNotFoundError: the folder holds no evaluator.
          UserError: a file of it is damaged or of another version.
        """
        directory = paths.of(directory, "--evaluator", paths.FOLDER)
        if not (directory / INFO_FILE).is_file():
            raise FileNotFoundError(
                f"{directory} holds no evaluator: it has no {INFO_FILE}; give the folder "
                "that usis train-evaluator wrote as --out"
            )
        info = evaluator_files.read_info(directory / INFO_FILE)
        spec = LabelSpec.load(directory / SPEC_FILE)
        evaluator_files.check_spec(info, spec, directory)
        variables = flat_trees.nest(files.read(directory / WEIGHTS_FILE))
        try:
            evaluator = cls(variables, spec, info)
        except ValueError as error:
            raise UserError(f"{directory} cannot be used: {error}") from error
        if evaluator.sha256 != info["sha256"]:
            raise UserError(
                f"{directory / WEIGHTS_FILE} is not the file that {INFO_FILE} was "
                "written with; train the evaluator again, into another folder"
            )
        return evaluator

    @property
    def name(self) -> str:
        """Its name in results, such as "evaluator scenes 64x128 1a2b3c4d"; weights change it."""
        return f"evaluator {self.spec.name} {self.height}x{self.width} {self.sha256[:8]}"

    @property
    def scores(self) -> dict:
        """Scores on the real photos it was measured on: miou, accuracy, iou of each class."""
        return self.info["scores"]

    def predict(self, photos) -> np.ndarray:
        """Predicts label maps of images.

        Args:
          photos: uint8 [N, H, W, 3] of the evaluator's size, 0 to 255; or float in [-1, 1].

        Returns:
          int32 [N, H, W], class ids; never void.

        Raises:
          UserError: photos have another shape.
        """
        return self._spread(self._labels, photos)

    def features(self, photos) -> np.ndarray:
        """Averages the deepest layer over each photo, for a Fréchet distance.

        Args:
          photos: as of `predict`.

        Returns:
          float32 [N, D].

        Raises:
          UserError: photos have another shape.
        """
        return self._spread(self._features, photos)

    def save(self, directory, picture=None) -> None:
        """Writes the evaluator as a new folder, whole or not at all.

        Args:
          directory: must not exist, or be empty.
          picture: uint8 [h, w, 3] for `evaluator.png`, or None.

        Raises:
          UserError: the folder holds something.
          PermissionError: it cannot be written.
        """
        directory = paths.of(directory, "--out")
        check_free(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
        try:
            files.write(temporary / WEIGHTS_FILE, flat_trees.flatten(self.variables))
            self.spec.save(temporary / SPEC_FILE)
            info = {
                "format_version": FORMAT_VERSION,
                **self.info,
                "sha256": self.sha256,
                "label_spec": self.spec.to_dict(),
            }
            atomic.write_text(temporary / INFO_FILE, json.dumps(info, indent=1) + "\n")
            if picture is not None:
                atomic.write_png(temporary / PICTURE_FILE, picture)
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o777 & ~mask)
            temporary.rename(directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _spread(self, function, photos):
        photos = np.asarray(photos)
        if photos.ndim != 4 or photos.shape[1:] != (self.height, self.width, 3) or not len(photos):
            raise UserError(
                f"photos are {list(photos.shape)}; this evaluator was trained and measured at "
                f"[N, {self.height}, {self.width}, 3] and reads only those"
            )
        return function(self.variables, photos)


def check_fits(
    evaluator, size, spec: LabelSpec, validation: str | None, name: str = "--evaluator"
) -> None:
    """Checks that an evaluator can measure a run.

    Args:
      evaluator: Evaluator.
      size: (height, width) of the run's photos.
      spec: LabelSpec of its label maps.
      validation: split that the run is measured with, or None.
      name: the option or field that names the evaluator, for the message.

    Raises:
      UserError: it is of another size or of other classes, or was trained on that split.
    """
    if (evaluator.height, evaluator.width) != tuple(size):
        raise UserError(
            f"{name} reads photos of {evaluator.height}x{evaluator.width} and this run generates "
            f"{size[0]}x{size[1]}; train an evaluator of that size"
        )
    if evaluator.spec.classes != spec.classes or evaluator.spec.void != spec.void:
        what = spec_mapping.differences(evaluator.spec, spec, "the evaluator", "the run")
        raise UserError(
            f"{name} knows the classes of {evaluator.spec.name!r} and this run generates those of "
            f"{spec.name!r} ({'; '.join(what)}); train an evaluator of the same classes"
        )
    if validation is not None and evaluator.info.get("pairs") == validation:
        raise UserError(
            f"{name} was trained on {validation}, the photos that this run is measured with; "
            "train an evaluator on other pairs"
        )


def check_free(directory) -> None:
    """Checks that an evaluator can be written as a folder.

    Raises:
      UserError: it is there already and holds something, or lies in a file.
      PermissionError: it cannot be written.
    """
    directory = paths.of(directory, "--out")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"--out is {directory}, which is there already; choose another folder")
    parent = next(path for path in directory.absolute().parents if path.exists())
    if not parent.is_dir():
        raise UserError(f"--out is {directory}, which lies in a file; choose another folder")
    if not os.access(parent, os.W_OK):
        raise PermissionError(f"there is no permission to write --out {directory}")


def _digest(flat: dict[str, np.ndarray]) -> str:
    """SHA-256 of named arrays."""
    digest = hashlib.sha256()
    for name in sorted(flat):
        digest.update(f"{name} {flat[name].shape}".encode())
        digest.update(np.ascontiguousarray(flat[name], "<f4").tobytes())
    return digest.hexdigest()
