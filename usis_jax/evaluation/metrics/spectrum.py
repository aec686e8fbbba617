"""High frequencies: the power spectrum of photos by radius and the energy of Haar sub-bands.

Source: the paper's claim that its wavelet discriminator keeps high frequencies (section 5.2), which
it shows on pictures only; the radial average is that of Durall, Keuper, Keuper, "Watch your
Up-Convolution", CVPR 2020. Differs from that: a Hann window, because opposite edges of a photo do
not match and would fill the high frequencies, and distances in decibels, so that high frequencies
count as much as low ones.
"""

import dataclasses

import numpy as np

from usis_jax.errors import UserError
from usis_jax.ops import haar
from usis_jax.storage import atomic

BANDS = ("LH", "HL", "HH")
# Variance of rounding to 8 bits: power below it is no property of the picture.
ROUNDING_POWER = 1 / 12
# Below it no ring is under 1/8 cycle a pixel.
SMALLEST_SIDE = 16
_SMALLEST_BAND = 4
# Photos at once, so that memory does not grow with them.
_CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Mean power of a set of photos in [0, 255], and what it was made with.

    Args:
        frequencies: float64 [R], cycles a pixel, from one cycle a photo's shorter side to
            the corner of the spectrum, 0.71.
        power: float64 [R], mean over photos, colour channels and directions; white noise has its
            variance at every frequency.
        bands: mean square of the coefficients of each Haar sub-band, by "LEVEL/BAND", finest
            level 1 first; LH has horizontal edges, HL vertical ones, HH diagonals.
        number: photos.
        height: of the photos.
        width: of the photos.
    """

    frequencies: np.ndarray
    power: np.ndarray
    bands: dict[str, float]
    number: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class SpectrumDistance:
    """How far the spectra of two sets of photos differ, in decibels. Signed values are a over b.

    Args:
        spectral_distance: root mean square over all frequencies of the power's ratio.
        haar_distance: root mean square over all sub-bands of the energies' ratio.
        low: mean ratio of the power under 1/8 cycle a pixel; negative where a has less.
        middle: the same from 1/8 to 1/4.
        high: the same from 1/4 on.
        bands: ratio of each sub-band's energies, by "LEVEL/BAND".
        number_a: photos of the first set.
        number_b: photos of the second set.
        height: of the photos.
        width: of the photos.
    """

    spectral_distance: float
    haar_distance: float
    low: float
    middle: float
    high: float
    bands: dict[str, float]
    number_a: int
    number_b: int
    height: int
    width: int


def measure(batches):
    """Measures the mean power spectrum and Haar energies; memory does not grow with the photos.

    Args:
        batches: iterable of uint8 or float [N_i, H, W, 3] in [0, 255], all of one H and W of at
            least 16.
    Returns:
        Spectrum.
    Raises:
        UserError: no photos, sizes differ, or photos are below 16 pixels.
    """
    size, number, power, energies = None, 0, 0.0, {}
    for batch in batches:
        batch = np.asarray(batch)
        if batch.ndim != 4 or batch.shape[-1] != 3 or min(batch.shape[1:3]) < SMALLEST_SIDE:
            raise UserError(
                f"photos must be [N, H, W, 3] of at least {SMALLEST_SIDE} pixels a side, "
                f"got {batch.shape}"
            )
        size = size or batch.shape[1:3]
        if batch.shape[1:3] != size:
            raise UserError(f"photos must be of one size, got {batch.shape[1:3]} after {size}")
        number += len(batch)
        for start in range(0, len(batch), _CHUNK):
            photos = batch[start : start + _CHUNK]
            power = power + _power(photos)
            for name, energy in _haar_energies(photos).items():
                energies[name] = energies.get(name, 0.0) + energy
    if not number:
        raise UserError("the spectrum needs at least 1 photo, got none")
    frequencies, radial = _radial_mean(power / number, *size)
    bands = {name: energy / number for name, energy in energies.items()}
    return Spectrum(frequencies, radial, bands, number, *size)


def compare(a, b):
    """Compares two spectra.

    Args:
        a: Spectrum, usually of generated photos.
        b: Spectrum of photos of the same size, usually real ones.
    Returns:
        SpectrumDistance.
    Raises:
        UserError: the sizes differ.
    """
    if (a.height, a.width) != (b.height, b.width):
        raise UserError(
            "spectra must be of photos of one size, got "
            f"{a.height}x{a.width} and {b.height}x{b.width} (height x width)"
        )
    ratios = _decibels(a.power, b.power)
    bands = {name: float(_decibels(a.bands[name], b.bands[name])) for name in a.bands}
    octave = np.digitize(a.frequencies, [1 / 8, 1 / 4])
    low, middle, high = (float(ratios[octave == i].mean()) for i in range(3))
    return SpectrumDistance(
        spectral_distance=_root_mean_square(ratios),
        haar_distance=_root_mean_square(list(bands.values())),
        low=low,
        middle=middle,
        high=high,
        bands=bands,
        number_a=a.number,
        number_b=b.number,
        height=a.height,
        width=a.width,
    )


def plot(path, spectra):
    """Draws power by frequency and the energy of every sub-band, one colour a set of photos.

    Args:
        path: PNG to write.
        spectra: dict of name -> Spectrum, all of photos of one size.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    by_radius, by_band = figure.subplots(1, 2)
    width = 0.8 / len(spectra)
    for i, (name, spectrum) in enumerate(spectra.items()):
        by_radius.loglog(
            spectrum.frequencies,
            np.maximum(spectrum.power, ROUNDING_POWER),
            label=f"{name} ({spectrum.number} photos)",
        )
        levels = 10 * np.log10(np.maximum(list(spectrum.bands.values()), ROUNDING_POWER))
        by_band.bar(np.arange(len(levels)) + i * width, levels, width, label=name)
    by_radius.axvline(0.5, color="grey", linewidth=0.8, linestyle=":")
    by_radius.set(title="Power by radius", xlabel="cycles per pixel", ylabel="power")
    names = list(next(iter(spectra.values())).bands)
    by_band.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names, rotation=60)
    by_band.set(title="Haar sub-bands (level 1 is the finest)", ylabel="energy in dB")
    for axes in (by_radius, by_band):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    canvas.draw()
    atomic.write_png(path, np.asarray(canvas.buffer_rgba())[..., :3])


def curves(spectra):
    """Power by radius as short JSON numbers, for charts.

    Args:
        spectra: dict of name -> Spectrum, at least one, all of photos of one size.
    Returns:
        dict of lists of floats: "frequencies", and the power by each name.
    """
    values = {"frequencies": next(iter(spectra.values())).frequencies}
    values |= {name: one.power for name, one in spectra.items()}
    return {name: [float(f"{x:.5g}") for x in each] for name, each in values.items()}


def _power(photos):
    """Windowed periodograms summed over photos, mean over channels: float64 [H, W // 2 + 1]."""
    height, width = photos.shape[1:3]
    window = np.outer(_hann(height), _hann(width))[..., None]
    total = 0.0
    for photo in photos.astype(np.float32):
        level = (window * photo).sum(axis=(0, 1)) / window.sum()
        spectrum = np.fft.rfft2(window * (photo - level), axes=(0, 1))
        total = total + np.square(np.abs(spectrum)).mean(axis=-1)
    return total / np.square(window).sum()


def _hann(size):
    """Hann window centred on the pixels, nowhere zero: float64 [size]."""
    return np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2


def _radial_mean(power, height, width):
    """Mean over rings as wide as one cycle a shorter side: frequencies and power, float64 [R]."""
    side = min(height, width)
    rows, columns = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    ring = np.rint(np.hypot(rows[:, None], columns) * side).astype(int)
    # The columns that rfft2 leaves out mirror those inside.
    copies = np.where((columns == 0) | (columns == 0.5), 1.0, 2.0) * np.ones((height, 1))
    count = np.bincount(ring.ravel(), copies.ravel())
    total = np.bincount(ring.ravel(), (copies * power).ravel())
    # Ring 0 is the level that was taken away; a ring can be empty only in the very corner.
    rings = np.flatnonzero(count)[1:]
    return rings / side, total[rings] / count[rings]


def _haar_energies(photos):
    """Mean squares of the sub-bands, summed over photos: dict of "LEVEL/BAND" to float."""
    current, level, found = photos.astype(np.float32), 1, {}
    while not any(side % 2 for side in current.shape[1:3]) and (
        min(current.shape[1:3]) >= 2 * _SMALLEST_BAND
    ):
        current, *details = np.split(np.asarray(haar.forward(current)), 4, axis=-1)
        for name, detail in zip(BANDS, details, strict=True):
            mean = np.square(detail, dtype=np.float64).mean()
            found[f"{level}/{name}"] = len(photos) * float(mean)
        level += 1
    return found


def _decibels(a, b):
    """Ratio in decibels, power below that of rounding taken as rounding."""
    return 10 * np.log10(np.maximum(a, ROUNDING_POWER) / np.maximum(b, ROUNDING_POWER))


def _root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0
