"""Sizes of all networks at the published settings, against counts written out by hand here."""

import itertools
import json

import pytest

from usis_jax.cli import main
from usis_jax.config import loading, settings
from usis_jax.models import summary

CLASSES = {"cityscapes": 35, "ade20k": 151, "coco_stuff": 183}
SIZES = {"cityscapes": (256, 512), "ade20k": (256, 256), "coco_stuff": (256, 256)}


def conv(inputs, outputs, size):
    return inputs * outputs * size**2 + outputs


def modulation(segmentation, channels):
    return conv(segmentation, 128, 3) + 2 * conv(128, channels, 3)


def generator(num_classes, wavelet):
    """Width 64, Z = 64; the wavelet generator is 4 times as wide, its SPADE layers are not."""
    segmentation, factor = num_classes + 64, 4 if wavelet else 1
    widths = [factor * 64 * m for m in (16, 16, 16, 8, 4, 2, 1)]
    total = conv(segmentation, widths[0], 3)
    for a, b in itertools.pairwise(widths):
        total += conv(a, min(a, b), 3) + conv(min(a, b), b, 3)
        total += modulation(segmentation, a // factor)
        total += modulation(segmentation, min(a, b) // factor)
        if a != b:
            total += a * b + (0 if wavelet else modulation(segmentation, a))
    return total + (conv(widths[-1], 12, 1) if wavelet else conv(64, 3, 3))


def segmenter(num_classes):
    pairs = [
        (3, 128),
        (128, 128),
        (128, 256),
        (256, 256),
        (256, 512),
        (512, 512),
        (512, 512),
        (1024, 256),
        (512, 256),
        (512, 128),
        (256, 128),
        (256, 64),
    ]
    total = sum(conv(a, b, 3) + conv(b, b, 3) + (conv(a, b, 1) if a != b else 0) for a, b in pairs)
    return total + conv(64, num_classes + 1, 1)


def channels(size):
    return min(512, 32768 // size)


def heads(height, width):
    """What follows the last feature of a discriminator, of 512 channels."""
    return conv(513, 512, 3) + (512 * height * width + 1) * 512 + 513


def wavelet_discriminator(height, width):
    """The first block goes from the channels of the photo's size to those of a quarter of it."""
    size, total, inside = width, 0, channels(width)
    while size > 8:
        outside = channels(size // 4)
        total += conv(12, inside, 1) + conv(inside, inside, 3) + conv(inside, outside, 3)
        inside, size = outside, size // 2
    return total + conv(12, 512, 1) + heads(height * 4 // width, 4)


def whole_discriminator(height, width):
    size, total = width, conv(3, channels(width), 1)
    while size > 4:
        a, b = channels(size), channels(size // 2)
        total += conv(a, a, 3) + conv(a, b, 3) + a * b
        size //= 2
    return total + heads(height * 4 // width, 4)


def decoder(width, block, last):
    """Takes the wavelet discriminator's features, coarse to fine.

    `block` counts a block from its input and output channels, `last` what follows the last one.
    """
    features, size = [], width
    while size > 8:
        features.insert(0, channels(size // 4))
        size //= 2
    half = features[-1] // 2
    inputs = [features[0], *(2 * skip for skip in features[1:])]
    return sum(map(block, inputs, [*features[1:], half])) + last(half)


def expected(name):
    num_classes, (height, width) = CLASSES[name], SIZES[name]
    photo, score = (1, height, width, 3), (1, 1)
    return {
        ("generator", "spade"): (generator(num_classes, False), photo),
        ("generator", "wavelet"): (generator(num_classes, True), photo),
        ("segmenter", "unet"): (segmenter(num_classes), (1, height, width, num_classes + 1)),
        ("discriminator", "wavelet"): (wavelet_discriminator(height, width), score),
        ("discriminator", "whole"): (whole_discriminator(height, width), score),
        ("discriminator", "patch"): (whole_discriminator(64, 64), (height * width // 64**2, 1)),
        ("decoder", "wavelet_upsample"): (
            decoder(width, lambda a, b: 9 * a * b, lambda a: conv(a, 12, 1)),
            photo,
        ),
        ("decoder", "wavelet_upsample_batch_norm"): (
            decoder(width, lambda a, b: 9 * a * b + 2 * b, lambda a: conv(a, 12, 1)),
            photo,
        ),
        ("decoder", "transposed"): (
            decoder(width, lambda a, b: 16 * a * b + 2 * b, lambda a: conv(a, 3, 4)),
            photo,
        ),
    }


def load(name, *changes):
    config = loading.load_config(name)
    loading.apply(config, list(changes))
    return settings.load(config)


@pytest.mark.parametrize("name", CLASSES)
def test_counts_and_shapes_of_the_published_settings(name):
    rows = {row[:2]: row for row in summary.networks(load(name), CLASSES[name])}
    assert list(rows) == list(expected(name))
    for key, (parameters, output) in expected(name).items():
        assert (rows[key].parameters, rows[key].output) == (parameters, output), key
        assert not rows[key].problem


def test_counts_of_the_published_networks_for_cityscapes():
    counts = {key: value[0] for key, value in expected("cityscapes").items()}
    assert counts["generator", "spade"] == 71_107_523
    assert counts["segmenter", "unet"] == 22_251_364
    assert counts["discriminator", "wavelet"] == 25_333_377


def test_what_the_configuration_selects_is_marked():
    rows = summary.networks(load("cityscapes", ("decoder.name", "none")), 35)
    assert [row[:2] for row in rows if row.selected] == [
        ("generator", "spade"),
        ("segmenter", "unet"),
        ("discriminator", "wavelet"),
    ]


def test_network_that_does_not_fit_says_why(capsys):
    rows = {row[:2]: row for row in summary.networks(load("camvid"), 12)}
    patch = rows["discriminator", "patch"]
    assert (patch.parameters, patch.output) == (0, ())
    assert "data.height is 96; it must be a multiple of the discriminator's stride 64" in (
        patch.problem
    )
    assert rows["discriminator", "whole"].output == (1, 1)
    (line,) = (line for line in summary.text(list(rows.values())).splitlines() if "patch" in line)
    assert "-  does not fit" in line and "data.height is 96" in line


def test_command_prints_the_table_and_writes_json(tmp_path, capsys):
    assert main.main(["inspect", "--config=cityscapes", f"--json={tmp_path / 'a.json'}"]) == 0
    printed = capsys.readouterr().out
    assert "256x512, 35 classes (cityscapes), width 64, 64 noise channels" in printed
    (line,) = (line for line in printed.splitlines() if "71,107,523" in line)
    assert line.split() == ["generator", "spade", "71,107,523", "1x256x512x3", "selected"]
    written = json.loads((tmp_path / "a.json").read_text())
    (row,) = (row for row in written["networks"] if row["name"] == "unet")
    assert row["parameters"] == 22_251_364 and row["output"] == [1, 256, 512, 36]
