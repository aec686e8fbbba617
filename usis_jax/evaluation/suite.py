"""The measures of an evaluation, each with the protocol that its number belongs to.

Every result is a row: the value of generated images, the same measure of real photos beside it, and
in words what was compared with what. Measures that need something that is not there (an evaluator,
Inception's weights, pairs) are left out and say why.
"""

import dataclasses
import functools

import numpy as np

from usis_jax import methods
from usis_jax.config import schema
from usis_jax.distributed import sharded_map
from usis_jax.evaluation.evaluators import published_segmenters
from usis_jax.evaluation.evaluators import segmentation_evaluator as evaluators
from usis_jax.evaluation.metrics import (
    diversity,
    fid,
    kid,
    segmentation,
    sliced_wasserstein,
    spectrum,
)
from usis_jax.evaluation.rows import HIGHER, LOWER, Row
from usis_jax.ops import pixel_range

_BATCH = 8
_NO_EVALUATOR = "no evaluator; usis train-evaluator trains one, --evaluator=DIR names it"


def rows_of(material, evaluator=None, inception=None, perceptual=(), measures=None, begin=None):
    """Measures everything that can be measured.

    Args:
        material: material.Material.
        evaluator: evaluator.Evaluator of the same classes and size, published_segmenters.PublishedSegmenter, or None.
        inception: features.Extractor, or None: Fréchet and kernel distances of the FID.
        perceptual: perceptual.Perceptual of each learned distance to measure diversity with.
        measures: names of `sections.MEASURES`, for these only; None for all.
        begin: called with the name of each measure before it is taken, or None.
    Returns:
        (list of Row, dict of id -> why it was left out).
    """
    chosen = dict.fromkeys(
        function for name in measures or _FUNCTIONS for function in _FUNCTIONS[name]
    )
    rows, left_out = take(material, chosen, evaluator, inception, perceptual, begin)
    if measures is not None:
        wanted = {value for name in measures for value in schema.MEASURES[name]}
        rows = [row for row in rows if row.id in wanted]
    return rows, left_out


def take(material, functions, evaluator=None, inception=None, perceptual=(), begin=None):
    """Takes some measures, such as those of DISTANCES; arguments and result as of `rows_of`."""
    rows, left_out = [], {}
    for measure in functions:
        if begin:
            begin(measure.__name__.strip("_").replace("_", " "))
        found, why = measure(
            material, evaluator=evaluator, inception=inception, perceptual=perceptual
        )
        rows += found
        left_out |= why
    return rows, left_out


def _sliced_wasserstein(material, **_):
    number = min(len(material.generated), len(material.real))
    found = sliced_wasserstein.distance(material.generated[:number], material.real[:number])
    floor = material.once("SWD", lambda: _sliced_wasserstein_floor(material, number))
    protocol = f"patches of {number} generated and {number} {material.real_name}{_of(material)}"
    return [Row("swd", "SWD", found["swd"], floor, LOWER, protocol, None, found)], {}


def _sliced_wasserstein_floor(material, number):
    if material.other is None:
        return None
    few = min(number, len(material.other))
    return sliced_wasserstein.distance(material.other[:few], material.real[:few])["swd"]


def _inception(material, inception, **_):
    why = fid.too_few(material.generated, material.real)
    if inception is None:
        why = "no weights of the FID's Inception; usis get-weights inception fetches them"
    if why:
        return [], {"fid": why, "kid": why}
    real, other = material.once(
        "FID", lambda: _of_real_photos(material, lambda photos: inception(photos, keep=True))
    )
    generated = inception(material.generated)
    titles = ("fid", "FID"), ("kid", "KID")
    return _distances(*titles, inception.name, material, generated, real, other), {}


def _of_real_photos(material, describe):
    """(what `describe` finds in validation photos, the same of training photos or None)."""
    other = None if material.other is None else describe(material.other)
    return describe(material.real), other


def _evaluator_distances(material, evaluator, **_):
    why = _NO_EVALUATOR if evaluator is None else fid.too_few(material.generated, material.real)
    if isinstance(evaluator, published_segmenters.PublishedSegmenter):
        why = f"{evaluator.key} gives no features; an evaluator of usis train-evaluator does"
    if why:
        return [], {"fd_evaluator": why, "kd_evaluator": why}
    _check(evaluator, material)
    real, other = material.once(
        "FD-evaluator", lambda: _of_real_photos(material, evaluator.features)
    )
    generated = evaluator.features(material.generated)
    titles = ("fd_evaluator", "FD-evaluator"), ("kd_evaluator", "KD-evaluator")
    return _distances(*titles, evaluator.name, material, generated, real, other), {}


def _evaluator_scores(material, evaluator, **_):
    if evaluator is None:
        return [], {"miou": _NO_EVALUATOR}
    if isinstance(evaluator, published_segmenters.PublishedSegmenter):
        labels = evaluator.labels(material.labels, material.generator.spec)
        if segmentation.is_void_only(labels, evaluator.spec.void):
            return [], {f"{evaluator.key} mIoU": segmentation.VOID_ONLY}
        return _published_segmenters(material, evaluator, labels), {}
    if segmentation.is_void_only(material.labels, material.generator.spec.void):
        return [], {"mIoU": segmentation.VOID_ONLY}
    scores = _scores(evaluator.predict(material.generated), material)
    bound = evaluator.scores
    if material.paired:
        bound = material.once(
            "mIoU", lambda: dataclasses.asdict(_scores(evaluator.predict(material.real), material))
        )
    where = "on the validation photos" if material.paired else "as measured when it was trained"
    protocol = f"{evaluator.name} on {_generated(material)}; real: the evaluator {where}"
    return _segmentation_rows("", "", scores, bound, protocol), {}


def _check(evaluator, material):
    generator, size = material.generator, material.generated.shape[1:3]
    validation = None if material.folders else generator.settings.data.validation
    evaluators.check_fits(evaluator, size, generator.spec, validation)


def _published_segmenters(material, evaluator, labels):
    scores = _scores(evaluator.predict(material.generated), material, labels, evaluator.spec)
    bound, where = None, "none, no label maps of the real photos"
    if material.paired:
        bound = _scores(evaluator.predict(material.real), material, labels, evaluator.spec)
        bound, where = dataclasses.asdict(bound), "the same evaluator on the validation photos"
    protocol = (
        f"{evaluator.name}, {evaluator.spec.num_classes - 1} classes of {evaluator.spec.name}, void "
        f"left out; {_generated(material)}; real: {where}"
    )
    return _segmentation_rows(
        f"{evaluator.key.replace('-', '_')}_", f"{evaluator.key} ", scores, bound, protocol
    )


def _segmenter(material, **_):
    if material.segmenter is None:
        return [], {"consistency_miou": "the run has no segmenter"}
    if segmentation.is_void_only(material.labels, material.generator.spec.void):
        return [], {"consistency_miou": segmentation.VOID_ONLY}
    network, variables = material.segmenter
    method = methods.get(material.generator.settings.method.name)
    read = _reader(method.read_labels, network)
    scores = _scores(read(variables, material.generated), material)
    protocol = f"the run's own segmenter S on {_generated(material)}; it never saw a real photo"
    return _segmentation_rows("consistency_", "consistency ", scores, None, protocol), {}


def _diversity(material, **_):
    found = diversity.diversity(material.samples.swapaxes(0, 1))
    protocol = (
        f"all pairs of {found.samples} samples of each of {found.label_maps} label maps, "
        f"{found.scales} scales{_of(material)}"
    )
    details = {"each": list(found.each)}
    return [
        Row("ms_ssim", "MS-SSIM", found.value, None, LOWER, protocol, found.warning, details)
    ], {}


def _perceptual(material, perceptual, **_):
    if not perceptual:
        why = "no weights of a perceptual distance; usis get-weights st-lpips-vgg16 fetches some"
        return [], {"perceptual": why}
    rows = []
    for measure in perceptual:
        each = [float(measure.pairs(samples).mean()) for samples in material.samples.swapaxes(0, 1)]
        protocol = (
            f"{measure.name}; all pairs of {len(material.samples)} samples of each of "
            f"{len(each)} label maps{_of(material)}"
        )
        rows.append(
            Row(
                measure.id,
                measure.title,
                float(np.mean(each)),
                None,
                HIGHER,
                protocol,
                None,
                {"each": each},
            )
        )
    return rows, {}


def _spectrum(material, **_):
    found = spectra(material)
    generated, real = found["generated"], found["validation"]
    d = spectrum.compare(generated, real)
    floor = spectrum.compare(found["training"], real) if "training" in found else None
    protocol = (
        f"root mean square ratio in decibels, {generated.number} generated against "
        f"{real.number} {material.real_name}{_of(material)}"
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


def spectra(material):
    """Spectra of generated, validation and (where there are) training photos.

    Args:
        material: material.Material.
    Returns:
        dict of "generated", "validation" and "training" -> spectrum.Spectrum.
    """
    generated = spectrum.measure([material.generated])
    real, other = material.once(
        "spectra", lambda: _of_real_photos(material, lambda photos: spectrum.measure([photos]))
    )
    found = {"generated": generated, "validation": real, "training": other}
    return {name: value for name, value in found.items() if value is not None}


def _distances(named, kernel_named, network, material, generated, real, other):
    """Fréchet and kernel distance of generated and of training photos to validation photos."""
    seed = material.sizes.seed
    protocol = f"{network}; {len(generated)} generated against {len(real)} {material.real_name}{_of(material)}"
    d, k = fid.compare(generated, real), kid.compare(generated, real, seed=seed)
    floors = (None, None)
    if other is not None and len(other) > 1:
        floors = material.once(
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


def _segmentation_rows(prefix, title, scores, bound, protocol):
    bound = bound or {}
    details = dataclasses.asdict(scores) | {"iou_of_real": bound.get("iou")}
    return [
        Row(
            f"{prefix}miou",
            f"{title}mIoU",
            scores.miou,
            bound.get("miou"),
            HIGHER,
            protocol,
            None,
            details,
        ),
        Row(
            f"{prefix}pixel_accuracy",
            f"{title}pixel accuracy",
            scores.accuracy,
            bound.get("accuracy"),
            HIGHER,
            protocol,
        ),
    ]


def _scores(predicted, material, labels=None, spec=None):
    """Scores of predictions against label maps, by default those of the run."""
    labels, spec = material.labels if labels is None else labels, spec or material.generator.spec
    matrix = segmentation.confusion(labels, predicted, spec.num_classes, spec.void)
    return segmentation.scores(matrix, spec.void, len(labels))


@functools.lru_cache(maxsize=4)
def _reader(read_labels, network):
    """A segmenter on all devices: uint8 images -> ids of classes."""
    return sharded_map.Spread(
        lambda variables, photo: read_labels(network, variables, pixel_range.to_float(photo)),
        _BATCH,
    )


def _generated(material):
    return f"{len(material.generated)} generated images{_of(material)}"


def _of(material):
    """Size and seed, which every protocol names, and label maps that are not the run's own."""
    height, width = material.generated.shape[1:3]
    maps = "" if material.maps_name == "label maps" else f", {material.maps_name}"
    return f" of {height}x{width}, EMA, seed {material.sizes.seed}{maps}"


_FUNCTIONS = {
    "swd": (_sliced_wasserstein,),
    "fid": (_inception,),
    "kid": (_inception,),
    "evaluator": (_evaluator_distances, _evaluator_scores),
    "consistency": (_segmenter,),
    "ms_ssim": (_diversity,),
    "perceptual": (_perceptual,),
    "spectrum": (_spectrum,),
}
DISTANCES = (_sliced_wasserstein, _inception, _evaluator_distances, _spectrum)
"""Measures of a set of photos against the validation photos."""
SCORES = (_evaluator_scores, _segmenter)
"""Measures of photos against their label maps."""
DIVERSITY = (_diversity, _perceptual)
"""Measures of samples of the same label map."""
