"""Tests of usis_jax.data.datasets.folder."""

from usis_jax.data.datasets import folder


def test_builder_class_has_the_name_of_its_data_set():
    assert folder.named("my_streets").name == "my_streets"
    assert folder.named("my_streets") is not folder.named("my_streets")
