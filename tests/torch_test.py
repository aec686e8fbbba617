"""Importing published state dicts: what is filled, and what is said when something does not fit."""

import subprocess
import sys

import jax
import numpy as np
import pytest
import vectors

from usis_jax.interop import torch

CASE = "spade_generator"


@pytest.fixture(scope="module")
def arrays():
    return vectors.state_dict(CASE)


def load(arrays, **changes):
    return torch.load(CASE, arrays, **(vectors.options(CASE) | changes))


def test_every_array_is_used_once(arrays):
    _, variables = load(arrays)
    leaves = jax.tree.leaves(variables)
    assert len(leaves) == len(arrays)
    assert sum(leaf.size for leaf in leaves) == sum(array.size for array in arrays.values())
    total = sum(float(np.asarray(leaf, np.float64).sum()) for leaf in leaves)
    expected = sum(float(array.sum(dtype=np.float64)) for array in arrays.values())
    assert total == pytest.approx(expected, abs=1e-6)


def test_spectral_vectors_give_the_published_sigma(arrays):
    _, variables = load(arrays)
    key = "body.3.conv_0"
    weight, u, v = (arrays[f"{key}.weight_{name}"] for name in ("orig", "u", "v"))
    kernel = variables["params"]["block_3"]["conv_0"]["kernel"]
    ours = variables["spectral"]["block_3"]["conv_0"]
    matrix = np.asarray(kernel).reshape(-1, kernel.shape[-1])
    np.testing.assert_allclose(ours["v"] @ matrix @ ours["u"],
                               u @ weight.reshape(len(weight), -1) @ v, rtol=1e-5)


def test_counters_and_filters_of_published_modules_are_passed_over(arrays):
    extra = {"body.0.norm_0.first_norm.num_batches_tracked": np.int64(3)}
    load(arrays | extra)


def test_unknown_kind_lists_the_kinds():
    with pytest.raises(ValueError, match=r"'vgg'.*spade_generator, segmenter, wavelet_discr"):
        torch.load("vgg", {})


def test_missing_key_is_named(arrays):
    with pytest.raises(ValueError, match=r"missing: body\.2\.conv_1\.weight_orig;"):
        load({key: value for key, value in arrays.items() if key != "body.2.conv_1.weight_orig"})


def test_left_over_key_is_named(arrays):
    with pytest.raises(ValueError, match=r"left over: head\.weight;"):
        load(arrays | {"head.weight": np.zeros(3)})


def test_other_shape_is_named(arrays):
    with pytest.raises(ValueError, match=r"of another shape: conv_img\.bias \(4,\)"):
        load(arrays | {"conv_img.bias": np.zeros(4, np.float32)})


def test_wrong_options_are_named(arrays):
    with pytest.raises(ValueError, match=r"another shape: .*mlp_shared\.0\.weight"):
        load(arrays, semantic_nc=8)
    with pytest.raises(ValueError, match="option ngf is unknown"):
        load(arrays, ngf=8)
    with pytest.raises(ValueError, match="option semantic_nc is None"):
        torch.load("segmenter", {})
    with pytest.raises(ValueError, match="size is 100; it must be a power of two"):
        torch.load("wavelet_discriminator", {}, size=100)


def test_loading_needs_no_pytorch():
    code = ("import sys, usis_jax; usis_jax.interop.torch.load; "
            "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
