"""Published state dicts: what is filled, what is written, what is said of what does not fit."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import places, published_files, vectors
from usis_jax.interop import torch
from usis_jax.models.discriminator import WaveletDiscriminator
from usis_jax.models.generator import SpadeGenerator
from usis_jax.models.patch_discriminator import PatchDiscriminator
from usis_jax.models.segmenter import Segmenter
from usis_jax.models.wavelet_generator import WaveletGenerator
from usis_jax.models.whole_discriminator import WholeDiscriminator

CASE = "spade_generator"
LABEL, NOISE = jnp.zeros((1, 64, 64), jnp.int32), jnp.zeros((1, 2))
OWN = {
    "spade_generator": (
        SpadeGenerator(3, 1, z_dim=2),
        (LABEL, NOISE),
        None,
        {"semantic_nc": 3, "channels_G": 1, "z_dim": 2},
    ),
    "wavelet_generator": (
        WaveletGenerator(3, 1, z_dim=2),
        (LABEL, NOISE),
        None,
        {"semantic_nc": 3, "channels_G": 1, "z_dim": 2},
    ),
    "segmenter": (Segmenter(3), (jnp.zeros((1, 64, 64, 3)),), None, {"semantic_nc": 3}),
    "wavelet_discriminator": (
        WaveletDiscriminator(levels=1),
        (jnp.zeros((1, 8, 16, 3)),),
        (2, 4),
        {"size": 16},
    ),
    "whole_discriminator": (
        WholeDiscriminator(levels=1),
        (jnp.zeros((1, 8, 16, 3)),),
        (2, 4),
        {"size": 16},
    ),
    "patch_discriminator": (
        PatchDiscriminator(levels=1, patch=16),
        (jnp.zeros((1, 32, 16, 3)),),
        (4, 4),
        {"patch": 16},
    ),
}
"""Kind -> small module of the published structure, its inputs, its last feature, options."""
CASES = json.loads((places.VECTORS / "parity_manifest.json").read_text())["cases"]
PUBLISHED = {
    "spade_generator": "spade_generator",
    "wavelet_generator": "wavelet_generator",
    "segmenter": "segmenter",
    "wavelet_discriminator": "wavelet_discriminator",
    "whole_discriminator": "whole_discriminator",
    "tile_discriminator": "patch_discriminator",
}


def drawn(template, seed=0):
    """Arrays of the shapes of a template."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.standard_normal(leaf.shape, np.float32), template)


def bits(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf).tobytes()
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.parametrize("kind", OWN)
def test_reading_what_was_written_changes_no_bit(kind):
    module, inputs, grid, options = OWN[kind]
    variables = drawn(jax.eval_shape(module.init, jax.random.key(0), *inputs))
    written = torch.state_dict(kind, variables, grid)
    again, read = torch.load(kind, written, **options)
    assert bits(read) == bits(variables)
    assert type(again) is type(module)


@pytest.mark.parametrize("case", PUBLISHED)
def test_writing_what_was_read_gives_the_published_keys_and_bits(case):
    kind, random = PUBLISHED[case], np.random.default_rng(1)
    arrays = {
        key: random.standard_normal(entry["shape"], np.float32)
        for key, entry in CASES[case]["tensors"].items()
    }
    _, variables = torch.load(kind, arrays, **CASES[case]["options"])
    written = torch.state_dict(kind, variables, (4, 4) if case.startswith("tile") else (2, 4))
    assert set(arrays) <= set(written)
    for key, array in arrays.items():
        assert written[key].shape == array.shape and written[key].dtype == array.dtype, key
        if ".norm_s." not in key or kind != "wavelet_generator":
            np.testing.assert_array_equal(written[key], array, err_msg=key)


def test_generators_are_written_with_the_buffers_of_the_published_modules():
    for kind, wavelet in (("spade_generator", False), ("wavelet_generator", True)):
        arrays = published_files.generator(1, 9, wavelet)
        _, variables = torch.load(kind, arrays, semantic_nc=5, channels_G=1, z_dim=4)
        written = torch.state_dict(kind, variables)
        assert set(written) == set(arrays)
        for key, array in arrays.items():
            assert written[key].shape == array.shape and written[key].dtype == array.dtype, key
            if key.endswith((".ll", ".lh", ".hl", ".hh")):
                np.testing.assert_allclose(written[key], array, rtol=1e-6, err_msg=key)


def test_shortcut_norms_that_the_wavelet_generator_never_uses_are_written_without_effect():
    module, inputs, _, _ = OWN["wavelet_generator"]
    variables = drawn(jax.eval_shape(module.init, jax.random.key(0), *inputs))
    written = torch.state_dict("wavelet_generator", variables)
    unused = {key: value for key, value in written.items() if ".norm_s." in key}
    assert {key.split(".")[1] for key in unused} == {"2", "3", "4", "5"}
    for key, value in unused.items():
        if "mlp" in key or "mean" in key:
            assert not value.any(), key
        if key.endswith("running_var"):
            assert (value == 1).all(), key


def test_discriminators_are_written_with_the_buffers_of_the_published_modules():
    """Names by StyleGAN2 and SWAGAN's modules: blurs before each halving, Haar transforms."""
    haar = ("ll", "lh", "hl", "hh")
    expected = {
        "wavelet_discriminator": {
            "convs.0.conv2.0.kernel",
            "from_rgbs.1.downsample.kernel",
            *(f"dwt.{b}" for b in haar),
            *(f"from_rgbs.1.{name}.{band}" for name in ("iwt", "dwt") for band in haar),
        },
        "whole_discriminator": {
            f"convs.{i}.{part}.0.kernel" for i in (1, 2) for part in ("conv2", "skip")
        },
    }
    blur = np.convolve([1, 1], np.convolve([1, 1], [1, 1]))
    for kind, names in expected.items():
        module, inputs, grid, _ = OWN[kind]
        variables = drawn(jax.eval_shape(module.init, jax.random.key(0), *inputs))
        written = torch.state_dict(kind, variables, grid)
        leaves = len(jax.tree.leaves(variables))
        assert names <= set(written) and len(written) == leaves + len(names)
        np.testing.assert_allclose(
            written["convs.1.conv2.0.kernel" if kind[1] == "h" else "convs.0.conv2.0.kernel"],
            np.outer(blur, blur) / 64,
        )


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
    np.testing.assert_allclose(
        ours["v"] @ matrix @ ours["u"], u @ weight.reshape(len(weight), -1) @ v, rtol=1e-5
    )


def test_counters_of_published_modules_are_passed_over(arrays):
    extra = {"body.0.norm_0.first_norm.num_batches_tracked": np.int64(3)}
    load(arrays | extra)
    with pytest.raises(ValueError, match=r"left over: body\.9\.norm_0\.first_norm\.num_batches"):
        load(arrays | {"body.9.norm_0.first_norm.num_batches_tracked": np.int64(3)})


def test_other_filters_than_the_published_ones_are_named():
    arrays = published_files.generator(1, 9, wavelet=True)
    options = {"semantic_nc": 5, "channels_G": 1, "z_dim": 4}
    torch.load("wavelet_generator", arrays | {"iwt.ll": np.full((2, 2), 0.4995)}, **options)
    for value in (np.full((2, 2), 0.25), np.full((4, 4), 0.5)):
        with pytest.raises(ValueError, match=r"with other filters: iwt\.ll;"):
            torch.load("wavelet_generator", arrays | {"iwt.ll": value}, **options)


def test_weights_of_half_precision_become_float32(arrays):
    halves = {key: value.astype(np.float16) for key, value in arrays.items()}
    _, variables = load(halves)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    np.testing.assert_array_equal(
        variables["params"]["to_rgb"]["bias"], np.float32(halves["conv_img.bias"])
    )


def test_writing_a_discriminator_needs_the_size_of_its_last_feature():
    with pytest.raises(ValueError, match="whole_discriminator: grid is missing"):
        torch.state_dict("whole_discriminator", {})
    with pytest.raises(ValueError, match="kind is 'vgg'"):
        torch.state_dict("vgg", {})


def test_unknown_kind_lists_the_kinds():
    with pytest.raises(ValueError, match=r"'vgg'.*spade_generator, .*patch_discriminator"):
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
    code = "import sys, usis_jax; usis_jax.interop.torch.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
