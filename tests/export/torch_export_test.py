"""usis export-torch: published state dicts of runs, and settings that have none."""

import json

import jax
import numpy as np
import pytest

from tests.support import published_files, tiny_run
from usis_jax.checkpoint import flat_trees, manager
from usis_jax.cli import main
from usis_jax.config import settings
from usis_jax.export import torch_export
from usis_jax.interop import files, torch
from usis_jax.methods import train_state
from usis_jax.workdir import layout

PUBLISHED = {
    "data": {"height": 64, "width": 128},
    "generator": {"width": 1, "z_dim": 4},
    "decoder": {"name": "none"},
}
SMALL = {
    "generator": {"width": 1, "multipliers": (2, 1), "z_dim": 4},
    "segmenter": {"down": (4,), "up": (4,)},
    "discriminator": {"channel_base": 64, "channel_max": 8, "dense": 8},
}


def settings_of(network, **changes):
    """A run in which one network has the published structure and the others are small."""
    small = {name: section for name, section in SMALL.items() if name != network}
    return settings.load(PUBLISHED | small | changes)


def drawn(tree, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.standard_normal(leaf.shape, np.float32), tree)


def save_run(folder, run, swd=(None,)):
    """A run's directory with drawn states, one for each measurement; returns the last state."""
    layout.save_settings(folder, run)
    template = train_state.shapes(run, tiny_run.SPEC.num_classes)
    with manager.Checkpoints(folder) as checkpoints:
        for step, value in enumerate(swd, start=1):
            content = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), template)
            content = content.replace(
                **{
                    name: drawn(getattr(content, name), [step, number])
                    for number, name in enumerate(
                        ("params", "collections", "ema_params", "ema_collections")
                    )
                }
            )
            checkpoints.save(
                step, content, run, tiny_run.SPEC, metrics=None if value is None else {"swd": value}
            )
    return content


def bits(tree):
    return {name: value.tobytes() for name, value in flat_trees.flatten(tree).items()}


@pytest.mark.parametrize(
    ("network", "changes", "kind", "options"),
    [
        ("generator", {}, "spade_generator", {"semantic_nc": 4, "channels_G": 1, "z_dim": 4}),
        ("segmenter", {}, "segmenter", {"semantic_nc": 4}),
        ("discriminator", {}, "wavelet_discriminator", {"size": 128}),
        ("discriminator", {"name": "whole"}, "whole_discriminator", {"size": 128}),
        ("discriminator", {"name": "patch", "patch": 32}, "patch_discriminator", {"patch": 32}),
    ],
)
def test_network_of_a_run_comes_back_bit_by_bit(tmp_path, network, changes, kind, options):
    content = save_run(tmp_path, settings_of(network, **({network: changes} if changes else {})))
    assert (
        main.main(
            [
                "export-torch",
                str(tmp_path),
                str(tmp_path / "a.pth"),
                f"--network={network}",
                f"--json={tmp_path / 'a.json'}",
            ]
        )
        == 0
    )
    expected = {"params": content.params[network], **content.collections.get(network, {})}
    if network == "generator":
        expected = {"params": content.ema_params, **content.ema_collections}
    _, variables = torch.load(kind, files.read(tmp_path / "a.pth"), **options)
    assert bits(variables) == bits(expected)
    written = json.loads((tmp_path / "a.json").read_text())
    assert (written["kind"], written["step"], written["num_classes"]) == (kind, 1, 4)
    assert written["parameters"] == sum(x.size for x in jax.tree.leaves(expected["params"]))


@pytest.mark.parametrize("wavelet", [False, True])
def test_export_after_import_gives_the_file_again(tmp_path, wavelet):
    arrays = published_files.generator(1, 12, wavelet)
    published_files.save(arrays, tmp_path / "a.pth")
    arch = "usis-wavelet" if wavelet else "usis"
    assert (
        main.main(
            [
                "import-torch",
                f"--arch={arch}",
                "--num_classes=4",
                "--height=64",
                "--width=64",
                f"--out={tmp_path / 'run'}",
                str(tmp_path / "a.pth"),
            ]
        )
        == 0
    )
    assert main.main(["export-torch", str(tmp_path / "run"), str(tmp_path / "b.pth")]) == 0
    written = files.read(tmp_path / "b.pth")
    assert set(written) == set(arrays)
    for key, array in arrays.items():
        assert written[key].shape == array.shape and written[key].dtype == array.dtype
        constant = key.endswith(("num_batches_tracked", ".ll", ".lh", ".hl", ".hh"))
        if not constant and not (wavelet and ".norm_s." in key):
            assert written[key].tobytes() == array.tobytes(), key


def test_import_after_export_is_the_same_generator(tmp_path):
    content = save_run(tmp_path, settings_of("generator"))
    assert main.main(["export-torch", str(tmp_path), str(tmp_path / "a.pth")]) == 0
    assert (
        main.main(
            [
                "import-torch",
                "--arch=usis",
                "--num_classes=4",
                "--height=64",
                "--width=128",
                f"--out={tmp_path / 'run'}",
                str(tmp_path / "a.pth"),
            ]
        )
        == 0
    )
    with manager.Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        variables, _ = checkpoints.restore_generator()
    assert bits(variables) == bits({"params": content.ema_params, **content.ema_collections})


def test_best_checkpoint_is_exported_when_asked_for(tmp_path):
    save_run(tmp_path, settings_of("generator"), swd=(1.0, 3.0))
    export = torch_export.export_checkpoint
    assert export(tmp_path, tmp_path / "a.pth", best=True)["step"] == 1
    assert export(tmp_path, tmp_path / "b.pth")["step"] == 2
    assert export(tmp_path, tmp_path / "c.pth", step=1)["step"] == 1


@pytest.mark.parametrize(
    ("section", "field", "value", "network"),
    [
        ("generator", "spade_kernel", 1, "generator"),
        ("generator", "spade_width", 64, "generator"),
        ("generator", "noise", "pixel", "generator"),
        ("generator", "multipliers", (16, 8, 4, 2, 1), "generator"),
        ("segmenter", "down", (64, 128, 256, 256, 512, 512), "segmenter"),
        ("segmenter", "up", (512, 256, 256, 128, 128, 32), "segmenter"),
        ("discriminator", "channel_max", 256, "discriminator"),
        ("discriminator", "dense", 256, "discriminator"),
        ("discriminator", "stddev_group", 2, "discriminator"),
    ],
)
def test_setting_without_a_published_counterpart_is_named(section, field, value, network):
    run = settings.load(PUBLISHED | {section: PUBLISHED.get(section, {}) | {field: value}})
    with pytest.raises(ValueError, match=rf"^{section}\.{field} is .*; only .* has a published"):
        torch_export.published_kind(run, network)
    others = [name for name in torch_export.NETWORKS if name != network]
    for other in others:
        torch_export.published_kind(run, other)


@pytest.mark.parametrize(
    ("data", "discriminator", "words"),
    [
        (
            {"height": 128, "width": 64},
            {"name": "wavelet"},
            "data.height=128 and data.width=64 with 4 levels leave 4x2 pixels",
        ),
        ({"height": 64, "width": 64}, {"name": "whole"}, "leave 4x4 pixels; .* ends with 2x4, so"),
        ({"height": 64, "width": 128}, {"name": "wavelet", "levels": 3}, "with 3 levels leave 4x8"),
    ],
)
def test_size_without_a_published_discriminator_is_named(data, discriminator, words):
    run = settings.load(PUBLISHED | {"data": data, "discriminator": discriminator})
    with pytest.raises(ValueError, match=words):
        torch_export.published_kind(run, "discriminator")


def test_imported_generator_has_no_other_networks_to_export(tmp_path, capsys):
    published_files.save(published_files.generator(1, 12), tmp_path / "a.pth")
    main.main(
        [
            "import-torch",
            "--arch=usis",
            "--num_classes=4",
            "--height=64",
            "--width=64",
            f"--out={tmp_path / 'run'}",
            str(tmp_path / "a.pth"),
        ]
    )
    capsys.readouterr()
    assert (
        main.main(
            ["export-torch", str(tmp_path / "run"), str(tmp_path / "b.pth"), "--network=segmenter"]
        )
        == 2
    )
    error = capsys.readouterr().err
    assert "holds a generator that was imported, and nothing else" in error
    assert error.count("\n") == 1 and not (tmp_path / "b.pth").exists()


def test_file_is_checked_before_anything_is_read(tmp_path, capsys):
    assert main.main(["export-torch", str(tmp_path), "weights.npz"]) == 2
    assert "weights.npz must end with .pth" in capsys.readouterr().err
    assert main.main(["export-torch", str(tmp_path), "weights.pth"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
