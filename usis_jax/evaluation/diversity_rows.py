"""How much samples of the same label map differ, as rows: MS-SSIM and learned distances."""

import numpy as np

from usis_jax.evaluation.metrics import diversity
from usis_jax.evaluation.rows import HIGHER, LOWER, Row, conditions


def measure_diversity(inputs, **_):
    """MS-SSIM between samples of the same label map."""
    found = diversity.diversity(inputs.samples.swapaxes(0, 1))
    protocol = (
        f"all pairs of {found.samples} samples of each of {found.label_maps} label maps, "
        f"{found.scales} scales{conditions(inputs)}"
    )
    details = {"each": list(found.each)}
    return [
        Row("ms_ssim", "MS-SSIM", found.value, None, LOWER, protocol, found.warning, details)
    ], {}


def measure_perceptual(inputs, perceptual, **_):
    """Learned perceptual distances between samples of the same label map."""
    if not perceptual:
        why = "no weights of a perceptual distance; usis get-weights st-lpips-vgg16 fetches some"
        return [], {"perceptual": why}
    rows = []
    for measure in perceptual:
        each = [float(measure.pairs(samples).mean()) for samples in inputs.samples.swapaxes(0, 1)]
        protocol = (
            f"{measure.name}; all pairs of {len(inputs.samples)} samples of each of "
            f"{len(each)} label maps{conditions(inputs)}"
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
