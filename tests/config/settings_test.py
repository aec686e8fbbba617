"""Settings: defaults, checks, differences."""

import dataclasses

import ml_collections
import pytest

from configs import base
from usis_jax.config import loading, schema, settings

ALL_CONFIGS = [
    "base",
    "quickstart",
    "camvid",
    "faces",
    "cityscapes",
    "ade20k",
    "coco_stuff",
    "gta5_to_cityscapes",
    "folder",
    "released/cityscapes",
    "released/cityscapes_wavelet",
    "released/ade20k",
    "released/coco_stuff",
]


def test_base_config_lists_every_field_with_its_default():
    config = base.get_config().to_dict()
    assert config == settings.to_dict(settings.Settings())


def test_defaults_are_those_of_the_paper():
    run = settings.Settings()
    assert (run.data.height, run.data.width, run.batch_size) == (256, 512, 8)
    assert run.optimizer.generator_rate == run.optimizer.discriminator_rate == 1e-4
    assert (run.optimizer.beta1, run.optimizer.beta2, run.ema_decay) == (0.0, 0.999, 0.9999)
    assert (run.r1_interval, run.r1_gamma) == (16, 10.0)
    assert (run.generator.stride, run.segmenter.stride, run.discriminator_levels) == (32, 64, 6)


@pytest.mark.parametrize("name", ALL_CONFIGS)
def test_every_bundled_config_is_valid_and_has_no_field_that_base_lacks(name):
    config = loading.load_config(f"configs/{name}.py")
    run = settings.load(config)
    assert set(settings.flatten(run)) == set(settings.flatten(settings.Settings()))
    assert settings.check_devices(run, 1) == run.batch_size


@pytest.mark.parametrize("name", ["camvid", "faces"])
def test_real_data_is_unpaired(name):
    run = settings.load(loading.load_config(name))
    assert schema.parse_data(run.data.photos) == (name, "train[:50%]")
    assert schema.parse_data(run.data.labels) == (name, "train[50%:]")


def test_paper_configs_have_the_paper_sizes():
    sizes = {
        name: (run.data.height, run.data.width, run.data.stored_height, run.batch_size)
        for name in ("cityscapes", "ade20k", "coco_stuff")
        for run in [settings.load(loading.load_config(name))]
    }
    assert sizes == {
        "cityscapes": (256, 512, 256, 8),
        "ade20k": (256, 256, 286, 32),
        "coco_stuff": (256, 256, 286, 32),
    }


def test_photo_sources_are_read_in_their_order_with_their_weights():
    assert schema.parse_sources("scenes:train") == [("scenes", "train", None)]
    assert schema.parse_sources("a:train[:50%], b:train+test") == [
        ("a", "train[:50%]", None),
        ("b", "train+test", None),
    ]
    assert schema.parse_sources("a:train[1:]@0.7,b:train@3,c:x@.5") == [
        ("a", "train[1:]", 0.7),
        ("b", "train", 3.0),
        ("c", "x", 0.5),
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stepz": 1}, ["no field stepz", "did you mean steps?"]),
        ({"data": {"heigth": 1}}, ["data.heigth", "data.height"]),
        ({"data": 3}, ["data is 3", "group of fields"]),
        ({"steps": 1.5}, ["steps is 1.5", "whole number"]),
        ({"steps": True}, ["steps is True", "whole number"]),
        ({"steps": 0}, ["steps is 0", "at least 1"]),
        ({"ema_decay": 1.0}, ["ema_decay is 1.0", "less than 1"]),
        ({"r1_gamma": float("nan")}, ["r1_gamma is nan", "finite"]),
        ({"update": "both"}, ["update is 'both'", "alternating, joint"]),
        ({"mapping": "xmap"}, ["mapping is 'xmap'", "shard_map, pmap"]),
        ({"data": {"flip": "yes"}}, ["data.flip is 'yes'", "True or False"]),
        ({"data": {"photos": "scenes"}}, ["data.photos is 'scenes'", "NAME:SPLIT"]),
        ({"data": {"photos": "a:b@1,c:d"}}, ["data.photos is 'a:b@1,c:d'", "all sources a weight"]),
        ({"data": {"photos": "a:b@0"}}, ["data.photos is 'a:b@0'", "number above 0"]),
        ({"data": {"photos": "a:b@1e3"}}, ["data.photos is 'a:b@1e3'", "number above 0"]),
        ({"data": {"photos": "a:b,a:b"}}, ["data.photos is 'a:b,a:b'", "twice"]),
        ({"data": {"photos": "a:b,"}}, ["data.photos is 'a:b,'", "''", "NAME:SPLIT", "commas"]),
        ({"data": {"labels": "a:b,c:d"}}, ["data.labels is 'a:b,c:d'", "NAME:SPLIT"]),
        ({"data": {"labels": "a:b@1"}}, ["data.labels is 'a:b@1'", "NAME:SPLIT"]),
        ({"data": {"load_width": 64}}, ["data.load_width is 64", "data.width=512"]),
        ({"data": {"height": 100}}, ["data.height is 100", "generator's stride 32", "96 or 128"]),
        ({"data": {"width": 544}}, ["data.width is 544", "segmenter's stride 64", "512 or 576"]),
        (
            {"discriminator": {"levels": 8}},
            ["data.height is 256", "discriminator's stride 512", "for example 512"],
        ),
        (
            {"data": {"height": 96}, "generator": {"name": "wavelet"}},
            ["data.height is 96", "generator's stride 64", "len(generator.multipliers) - 1"],
        ),
        (
            {"discriminator": {"name": "whole", "levels": 8}, "decoder": {"name": "none"}},
            ["data.height is 256", "discriminator's stride 512"],
        ),
        (
            {
                "discriminator": {"name": "patch", "patch": 128},
                "data": {"width": 320},
                "decoder": {"name": "none"},
            },
            ["data.width is 320", "discriminator's stride 128 = discriminator.patch", "256 or 384"],
        ),
        ({"discriminator": {"patch": 48}}, ["discriminator.patch is 48", "power of two", "32"]),
        ({"discriminator": {"patch": 4}}, ["discriminator.patch is 4", "at least 8"]),
        (
            {"discriminator": {"name": "patch", "patch": 16, "levels": 4}},
            ["discriminator.levels is 4", "discriminator.patch=16", "at most 3"],
        ),
        (
            {"discriminator": {"name": "whole"}},
            ["decoder.name is 'wavelet_upsample'", "discriminator.name='whole'", "must be none"],
        ),
        (
            {"discriminator": {"name": "patch"}, "decoder": {"name": "transposed"}},
            ["decoder.name is 'transposed'", "discriminator.name='patch'", "must be none"],
        ),
        ({"discriminator": {"name": "tile"}}, ["discriminator.name is 'tile'", "whole, patch"]),
        ({"generator": {"name": "haar"}}, ["generator.name is 'haar'", "spade, wavelet"]),
        ({"decoder": {"name": "unet"}}, ["decoder.name is 'unet'", "transposed, none"]),
        ({"decoder": {"width_max": 30}}, ["decoder.width_max is 30", "multiple of 4", "28"]),
        ({"discriminator": {"augment": "blur"}}, ["augment is 'blur'", "color, translation"]),
        ({"generator": {"multipliers": [16, "x"]}}, ["multipliers[1] is 'x'", "whole number"]),
        ({"generator": {"multipliers": 16}}, ["multipliers is 16", "(1, 2, 3)"]),
        ({"generator": {"multipliers": [1]}}, ["multipliers is (1,)", "2 numbers"]),
        ({"generator": {"spade_kernel": 2}}, ["spade_kernel is 2", "odd"]),
        ({"segmenter": {"up": [8, 8]}}, ["segmenter.up has 2", "as many"]),
        ({"segmenter": {"down": [], "up": []}}, ["segmenter.down is ()", "1 number"]),
    ],
)
def test_bad_value_is_one_line_that_names_field_value_and_what_is_allowed(values, words):
    with pytest.raises(ValueError) as caught:
        settings.load(values)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_smallest_sizes_that_fit_all_strides_are_accepted():
    run = settings.load({"data": {"height": 64, "width": 192}})
    assert run.discriminator_levels == 4


@pytest.mark.parametrize(("name", "levels"), [("wavelet", 6), ("whole", 6), ("patch", 3)])
def test_discriminator_ends_with_four_pixels_unless_told_otherwise(name, levels):
    decoder = {"name": "none"}
    run = settings.load({"discriminator": {"name": name}, "decoder": decoder})
    assert run.discriminator_levels == levels
    told = settings.load({"discriminator": {"name": name, "levels": 2}, "decoder": decoder})
    assert told.discriminator_levels == 2


def test_smallest_patch_is_halved_once():
    discriminator = {"name": "patch", "patch": 8}
    run = settings.load({"discriminator": discriminator, "decoder": {"name": "none"}})
    assert run.discriminator_levels == 0


def test_integers_become_floats_and_lists_become_tuples():
    run = settings.load({"r1_gamma": 1, "segmenter": {"down": [8, 8], "up": [8, 8]}})
    assert isinstance(run.r1_gamma, float)
    assert run.segmenter.down == (8, 8)


def test_settings_are_frozen_and_hashable():
    run = settings.Settings()
    assert hash(run) == hash(settings.Settings())
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.steps = 1


def test_replacing_a_field_checks_it_again():
    with pytest.raises(ValueError, match="batch_size is 0"):
        dataclasses.replace(settings.Settings(), batch_size=0)


def test_json_restores_settings():
    run = settings.load({"steps": 7, "generator": {"noise": "pixel"}, "data": {"flip": False}})
    assert settings.from_json(settings.to_json(run)) == run


def test_config_dict_restores_settings():
    run = settings.load({"steps": 7})
    assert settings.load(ml_collections.ConfigDict(settings.to_dict(run))) == run


def test_differences_name_the_fields_and_both_values():
    old = settings.Settings()
    new = settings.load({"steps": 7, "data": {"photos": "camvid:train"}})
    assert settings.differences(old, old) == []
    assert settings.differences(old, new) == [
        "steps: 100000 -> 7",
        "data.photos: 'scenes:train' -> 'camvid:train'",
    ]


def test_each_device_gets_an_equal_share_of_the_batch():
    assert settings.check_devices(settings.Settings(batch_size=8), 4) == 2
    with pytest.raises(ValueError, match=r"batch_size is 8; .* multiple of the 3 devices.* 9"):
        settings.check_devices(settings.Settings(batch_size=8), 3)
    assert settings.check_devices(settings.Settings(batch_size=6), 1) == 6
