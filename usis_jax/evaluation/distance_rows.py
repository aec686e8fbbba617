"""Distances of generated images from real ones, as rows: SWD, FID, KID, FD and KD, spectra."""

import dataclasses

from usis_jax.evaluation.evaluators import published_segmenters, segmentation_evaluator
from usis_jax.evaluation.metrics import fid, kid, sliced_wasserstein, spectrum
from usis_jax.evaluation.rows import LOWER, NO_EVALUATOR, Row, conditions


def measure_sliced_wasserstein(inputs, **_):
    """Sliced Wasserstein distance to the validation photos; as all measures: (rows, why not)."""
    number = min(len(inputs.generated), len(inputs.real))
    found = sliced_wasserstein.distance(inputs.generated[:number], inputs.real[:number])
    floor = inputs.once("swd", lambda: _sliced_wasserstein_floor(inputs, number))
    protocol = f"patches of {number} generated and {number} {inputs.real_name}{conditions(inputs)}"
    return [Row("swd", "SWD", found["swd"], floor, LOWER, protocol, None, found)], {}


def _sliced_wasserstein_floor(inputs, number):
    if inputs.other is None:
        return None
    few = min(number, len(inputs.other))
    return sliced_wasserstein.distance(inputs.other[:few], inputs.real[:few])["swd"]


def measure_inception(inputs, inception, **_):
    """FID and KID."""
    why = fid.too_few(inputs.generated, inputs.real)
    if inception is None:
        why = "no weights of the FID's Inception; usis get-weights inception fetches them"
    if why:
        return [], {"fid": why, "kid": why}
    real, other = inputs.once(
        "fid", lambda: _of_real_photos(inputs, lambda photos: inception(photos, keep=True))
    )
    generated = inception(inputs.generated)
    titles = ("fid", "FID"), ("kid", "KID")
    return _distances(*titles, inception.name, inputs, generated, real, other), {}


def measure_evaluator_distances(inputs, evaluator, **_):
    """Fréchet and kernel distance between features of an evaluator."""
    why = NO_EVALUATOR if evaluator is None else fid.too_few(inputs.generated, inputs.real)
    if isinstance(evaluator, published_segmenters.PublishedSegmenter):
        why = f"{evaluator.key} gives no features; an evaluator of usis train-evaluator does"
    if why:
        return [], {"fd_evaluator": why, "kd_evaluator": why}
    _check(evaluator, inputs)
    real, other = inputs.once("fd_evaluator", lambda: _of_real_photos(inputs, evaluator.features))
    generated = evaluator.features(inputs.generated)
    titles = ("fd_evaluator", "FD-evaluator"), ("kd_evaluator", "KD-evaluator")
    return _distances(*titles, evaluator.name, inputs, generated, real, other), {}


def _check(evaluator, inputs):
    generator, size = inputs.generator, inputs.generated.shape[1:3]
    validation = None if inputs.folders else generator.settings.data.validation
    segmentation_evaluator.check_fits(evaluator, size, generator.spec, validation)


def measure_spectrum(inputs, **_):
    """Distances between power spectra and between energies of Haar sub-bands."""
    found = spectra(inputs)
    generated, real = found["generated"], found["validation"]
    d = spectrum.compare(generated, real)
    floor = spectrum.compare(found["training"], real) if "training" in found else None
    protocol = (
        f"root mean square ratio in decibels, {generated.number} generated against "
        f"{real.number} {inputs.real_name}{conditions(inputs)}"
    )
    details = dataclasses.asdict(d) | {"spectra": spectrum.curves(found)}
    details |= {"high_of_training": floor.high} if floor else {}
    return [
        Row(
            "spectral_distance",
            "spectral distance",
            d.spectral_distance,
            floor and floor.spectral_distance,
            LOWER,
            f"radially averaged power; {protocol}",
            None,
            details,
        ),
        Row(
            "haar_distance",
            "Haar distance",
            d.haar_distance,
            floor and floor.haar_distance,
            LOWER,
            f"energy of every Haar sub-band; {protocol}",
        ),
    ], {}


def spectra(inputs):
    """Spectra of generated, validation and (where there are) training photos.

    Args:
        inputs: EvalInputs.
    Returns:
        dict of "generated", "validation" and "training" -> spectrum.Spectrum.
    """
    generated = spectrum.measure([inputs.generated])
    real, other = inputs.once(
        "spectra", lambda: _of_real_photos(inputs, lambda photos: spectrum.measure([photos]))
    )
    found = {"generated": generated, "validation": real, "training": other}
    return {name: value for name, value in found.items() if value is not None}


def _of_real_photos(inputs, describe):
    """(what `describe` finds in validation photos, the same of training photos or None)."""
    other = None if inputs.other is None else describe(inputs.other)
    return describe(inputs.real), other


def _distances(named, kernel_named, network, inputs, generated, real, other):
    """Fréchet and kernel distance of generated and of training photos to validation photos."""
    seed = inputs.sizes.seed
    sets = f"{len(generated)} generated against {len(real)} {inputs.real_name}"
    protocol = f"{network}; {sets}{conditions(inputs)}"
    d, k = fid.compare(generated, real), kid.compare(generated, real, seed=seed)
    floors = (None, None)
    if other is not None and len(other) > 1:
        floors = inputs.once(
            f"{named[0]} floors",
            lambda: (fid.distance(other, real), kid.kernel_distance(other, real)),
        )
        protocol += f"; real: {len(other)} training photos"
    return [
        Row(*named, d.value, floors[0], LOWER, protocol, d.warning, dataclasses.asdict(d)),
        Row(
            *kernel_named,
            k.value,
            floors[1],
            LOWER,
            f"{protocol}; all images, unbiased",
            k.warning,
            dataclasses.asdict(k),
        ),
    ]
