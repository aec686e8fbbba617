"""The published code's values, in configs/released, against its total losses written out here."""

import pytest

from usis_jax.config import loading, settings

NAMES = ("cityscapes", "cityscapes_wavelet", "ade20k", "coco_stuff")


def load(name):
    return settings.load(loading.load_config(f"released/{name}"))


@pytest.mark.parametrize("name", NAMES)
def test_published_values_are_set(name):
    run, city = load(name), name.startswith("cityscapes")
    rates = run.optimizer
    assert (rates.segmenter_rate, rates.discriminator_rate) == (4e-4, 2e-3)
    assert (rates.generator_rate, run.ema_decay) == ((4e-4, 0.999) if city else (1e-4, 0.9999))
    assert (run.update, run.loss.adversarial, run.loss.segmentation) == ("alternating", 1, 1)
    assert run.data.labels.startswith("cityscapes" if city else name)


@pytest.mark.parametrize("name", NAMES)
def test_penalty_has_the_published_share_of_the_discriminator_s_loss(name):
    """Over 4 steps: published 4 * (4 * adversarial) + 10 * penalty."""
    run = load(name)
    steps = 4
    adversarial = steps * run.loss.adversarial
    penalty = steps // run.r1_interval * 0.5 * run.r1_gamma * run.r1_interval
    assert penalty / adversarial == 10 / (4 * 4)


@pytest.mark.parametrize("name", NAMES)
def test_only_fields_that_the_published_code_sets_otherwise_differ_from_the_paper(name):
    paper = settings.load(loading.load_config(name.removesuffix("_wavelet")))
    changed = {line.split(":")[0] for line in settings.differences(paper, load(name))}
    assert {"steps", "r1_interval", "r1_gamma", "decoder.name"} <= changed
    assert changed <= {
        "batch_size", "steps", "r1_interval", "r1_gamma", "ema_decay", "decoder.name",
        "discriminator.stddev_grouping", "optimizer.generator_rate", "optimizer.segmenter_rate",
        "optimizer.discriminator_rate", "generator.name", "generator.width",
    }  # fmt: skip


def test_epochs_are_whole_batches_of_the_data_set():
    steps = {name: load(name).steps for name in NAMES}
    assert steps == {
        "cityscapes": 148_600,
        "cityscapes_wavelet": 74_200,
        "ade20k": 1_010_400,
        "coco_stuff": 2_957_100,
    }


def test_wavelet_generator_is_as_wide_as_the_spade_generator():
    wavelet, spade = load("cityscapes_wavelet").generator, load("cityscapes").generator
    assert (wavelet.name, 4 * wavelet.width) == ("wavelet", spade.width)


def test_configurations_are_found_by_name_and_listed():
    with pytest.raises(ValueError, match=r"configs/released/ade20k\.py"):
        loading.find_config("nothing")
    assert loading.find_config("configs/released/ade20k.py").is_file()
