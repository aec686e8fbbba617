"""Networks in files: under prefixes, in nested dicts, beside others, and not there at all."""

import numpy as np
import pytest

from tests.support import published_files
from usis_jax.interop import recognise

SPADE = published_files.generator(1, 9)
OTHER = published_files.generator(1, 9, seed=1)
WAVELET = published_files.generator(1, 9, wavelet=True)
SEGMENTER = {"layer_up_last.weight": np.zeros(1), "body_down.0.conv_s.bias": np.zeros(1)}
DISCRIMINATOR = {"from_rgbs.0.conv.0.weight": np.zeros(1), "final_linear.0.weight": np.zeros(1)}


def prefixed(prefix, arrays):
    return {prefix + key: value for key, value in arrays.items()}


@pytest.mark.parametrize(
    "content",
    [
        SPADE,
        prefixed("module.", SPADE),
        prefixed("module.module.", SPADE),
        {"state_dict": SPADE, "epoch": 3},
        {"model": {"state_dict": prefixed("module.", SPADE)}, "options": {"lr": 0.1}},
        {"netG": OTHER, "netEMA": SPADE},
        {"netEMA": SPADE, "netG": OTHER, "netS": SEGMENTER},
        {"G": OTHER, "G_ema": prefixed("module.", SPADE)},
        prefixed("netG.", SPADE) | prefixed("netS.", SEGMENTER) | prefixed("netDu.", DISCRIMINATOR),
        prefixed("module.netG.", OTHER) | prefixed("module.netEMA.", SPADE),
        prefixed("model.generator.", SPADE),
        {"netG": SPADE, "wavelet": WAVELET},
    ],
)
def test_generator_is_found(content):
    found = recognise.choose(content, "spade_generator", "a.pth")
    assert list(found) == list(SPADE)
    assert all(found[key] is SPADE[key] for key in SPADE)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (SPADE, "spade_generator"),
        (WAVELET, "wavelet_generator"),
        (SEGMENTER, "segmenter"),
        (DISCRIMINATOR, "wavelet_discriminator"),
        (
            {"convs.0.0.weight": np.zeros(1), "final_linear.0.weight": np.zeros(1)},
            "whole_discriminator",
        ),
        ({"up1.conv.0.weight_orig": np.zeros(1), "final_up.0.weight_orig": np.zeros(1)}, "decoder"),
        ({"layer1.0.weight": np.zeros(1), "fc.weight": np.zeros(1)}, ""),
    ],
)
def test_kinds_are_known_by_their_keys(content, kind):
    (found,) = recognise.state_dicts(content)
    assert (found.kind, found.arrays) == (kind, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            WAVELET,
            r"expected a SPADE generator .*, found a wavelet generator \(--arch=usis-wavelet\)",
        ),
        (SEGMENTER, r"found a segmenter \(or OASIS's discriminator\)$"),
        ({"S": SEGMENTER, "D": DISCRIMINATOR}, "found a segmenter .* and a wavelet discriminator$"),
        (
            {"a": np.zeros(1), "b.c": np.zeros(2)},
            r"found 2 tensors of no known network \(a, b\.c\)$",
        ),
        ({"epoch": 3}, "found no tensors"),
        ([SPADE], "found no tensors"),
        ({"a": SPADE, "b": OTHER}, r"holds several networks of this kind \(a, b\)"),
        ({"ema": SPADE, "older_ema": OTHER}, r"several .*\(ema, older_ema\)"),
    ],
)
def test_anything_else_is_named(content, words):
    with pytest.raises(ValueError, match=rf"^a\.pth.*{words}"):
        recognise.choose(content, "spade_generator", "a.pth")
