"""Fréchet distance between two sets of features, in float64 and exact for any rank.

With centred features A [N, D] and B [M, D], each divided by the root of its number minus one, the
covariances are A'A and B'B, and the trace of the root of their product is the nuclear norm (sum
of singular values) of A B'. So no matrix root is taken: nothing turns imaginary, nothing is added
to a diagonal, and fewer images than features need no special case.

Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale Update
Rule Converge to a Local Nash Equilibrium", NeurIPS 2017 (the distance); the paper's FID. Differs
from the published code, which takes a matrix root: the same number, without its rounding.
"""

import dataclasses
import math

import numpy as np

from usis_jax.errors import UserError
from usis_jax.storage import atomic

FEWEST_IMAGES = 2048


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean and covariance of a set of features; the covariance as a factor, never squared.

    Args:
        number: images seen.
        mean: float64 [D].
        factor: float64 [R, D], R at most D; factor' factor = (number - 1) covariance.
    """

    number: int
    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, features):
        """Takes the statistics of one array of features.

        Args:
            features: float [N, D], N at least 1.
        Returns:
            Statistics.
        Raises:
            UserError: not [N, D], empty, or not finite.
        """
        features = check_features(features, "features", fewest=1)
        mean = features.mean(axis=0)
        return cls(len(features), mean, _shortened(features - mean))

    @classmethod
    def of_batches(cls, batches):
        """Takes the statistics of a stream of features; memory does not grow with its length.

        Args:
            batches: iterable of float [N_i, D].
        Returns:
            Statistics, equal to `of` on all batches together.
        Raises:
            UserError: no batch came, or one is not [N_i, D].
        """
        total, waiting = None, []
        for batch in batches:
            waiting.append(check_features(batch, "features", fewest=1))
            if sum(map(len, waiting)) >= waiting[0].shape[1]:
                total, waiting = _extended(total, waiting), []
        if waiting:
            total = _extended(total, waiting)
        if total is None:
            raise UserError("features: got no batch, the Fréchet distance needs at least 2 images")
        return total

    @classmethod
    def of_moments(cls, mean, covariance, number):
        """Takes published statistics (`mu` and `sigma` of a reference file).

        Args:
            mean: float [D].
            covariance: float [D, D], symmetric, divided by number - 1.
            number: images that they were taken from, at least 2.
        Returns:
            Statistics; the factor is only as exact as a covariance allows (about 1e-8).
        Raises:
            UserError: shapes do not fit, or number is below 2.
        """
        mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise UserError(
                f"statistics must be a mean [D] and a covariance [D, D], got {mean.shape} and "
                f"{covariance.shape}"
            )
        if number < 2:
            raise UserError(f"statistics must be of 2 images or more, got number={number}")
        values, vectors = np.linalg.eigh(covariance)
        scale = np.sqrt(np.maximum(values, 0) * (number - 1))
        return cls(number, mean, scale[:, None] * vectors.T)

    @property
    def dims(self):
        """Number of features of an image, D."""
        return len(self.mean)

    @property
    def covariance(self):
        """float64 [D, D], divided by number - 1."""
        return self.factor.T @ self.factor / (self.number - 1)

    def joined(self, other):
        """Joins the statistics of two sets without common images.

        Args:
            other: Statistics of the same D.
        Returns:
            Statistics of both together.
        Raises:
            UserError: they have another number of features.
        """
        _check_dims(self.dims, other.dims)
        number = self.number + other.number
        step = other.mean - self.mean
        # The scatter around the common mean has one more term, along the step between the means.
        along = step * math.sqrt(self.number * other.number / number)
        factor = _shortened(np.concatenate([self.factor, other.factor, along[None]]))
        return Statistics(number, self.mean + step * (other.number / number), factor)

    def save(self, path):
        """Writes the statistics as a file of NumPy arrays, whole or not at all."""
        fields = {"number": self.number, "mean": self.mean, "factor": self.factor}
        atomic.write_with(path, lambda file: np.savez(file, **fields))

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(int(file["number"]), file["mean"], file["factor"])


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """A Fréchet distance and what it was made with.

    Args:
        value: the squared distance, as FID is printed.
        mean_term: its part from the means.
        covariance_term: its part from the covariances.
        number_a: images of the first set.
        number_b: images of the second set.
        dims: features of an image.
        warning: why not to compare the value with published ones, or None.
    """

    value: float
    mean_term: float
    covariance_term: float
    number_a: int
    number_b: int
    dims: int
    warning: str | None


def distance(features_a, features_b):
    """Measures the Fréchet distance between two sets of features.

    Args:
        features_a: float [N, D], N at least 2, or Statistics.
        features_b: float [M, D], M at least 2, or Statistics.
    Returns:
        float, at least 0: squared distance of the means plus that of the covariances.
    Raises:
        UserError: not [N, D], D differs, fewer than 2 images, or not finite.
    """
    return compare(features_a, features_b).value


def compare(features_a, features_b):
    """Measures the Fréchet distance, with its parts and the numbers of images.

    Args:
        features_a: float [N, D], N at least 2, or Statistics.
        features_b: float [M, D], M at least 2, or Statistics.
    Returns:
        FrechetDistance.
    Raises:
        UserError: not [N, D], D differs, fewer than 2 images, or not finite.
    """
    a, b = _statistics(features_a, "features_a"), _statistics(features_b, "features_b")
    _check_dims(a.dims, b.dims)
    factor_a = a.factor / math.sqrt(a.number - 1)
    factor_b = b.factor / math.sqrt(b.number - 1)
    step = a.mean - b.mean
    mean_term = float(step @ step)
    nuclear_norm = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    # Rounding can leave a distance of 0 just below it.
    traces = np.square(factor_a).sum() + np.square(factor_b).sum()
    covariance_term = max(0.0, float(traces - 2 * nuclear_norm))
    return FrechetDistance(
        value=mean_term + covariance_term,
        mean_term=mean_term,
        covariance_term=covariance_term,
        number_a=a.number,
        number_b=b.number,
        dims=a.dims,
        warning=few_images_warning(a.number, b.number),
    )


def few_images_warning(number_a, number_b):
    """Says what few images do to a distance between sets of features.

    Args:
        number_a: images of the first set.
        number_b: images of the second set.
    Returns:
        str, or None if both have at least FEWEST_IMAGES.
    """
    if min(number_a, number_b) >= FEWEST_IMAGES:
        return None
    return (
        f"measured on {number_a} and {number_b} images: with fewer than {FEWEST_IMAGES} of each "
        "the Fréchet distance comes out too large and the kernel distance scatters; compare only "
        "with values of the same numbers of images"
    )


def too_few(a, b):
    """Why two sets of photos have no distance of features, or None if they have one.

    Args:
        a, b: arrays [N, H, W, 3].
    """
    return None if min(len(a), len(b)) >= 2 else "it needs 2 photos or more of each kind"


def check_features(features, name, fewest=2):
    """Checks one set of features.

    Args:
        features: float [N, D].
        name: of the argument, for messages.
        fewest: smallest N.
    Returns:
        float64 [N, D].
    Raises:
        UserError: not [N, D], fewer than `fewest` images, or not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < fewest:
        raise UserError(
            f"{name} must be [N, D] with N at least {fewest}, got shape {features.shape}"
        )
    if not np.isfinite(features).all():
        images = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise UserError(
            f"{name} must be finite, got NaN or infinity for {len(images)} of {len(features)} "
            f"images, first image {images[0]}"
        )
    return features


def _statistics(features, name):
    """Statistics of features, of at least 2 images."""
    if not isinstance(features, Statistics):
        return Statistics.of(check_features(features, name))
    if features.number < 2:
        raise UserError(f"{name} must be of 2 images or more, got {features.number}")
    return features


def _extended(total, batches):
    """Statistics `total` (or None) joined with those of a list of batches."""
    part = Statistics.of(np.concatenate(batches))
    return part if total is None else total.joined(part)


def _shortened(rows):
    """At most D rows with the same scatter: the triangle of the QR decomposition."""
    return np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows


def _check_dims(a, b):
    if a != b:
        raise UserError(f"both sets must have the same number of features, got {a} and {b}")
