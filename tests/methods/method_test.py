import subprocess
import sys

import pytest

from usis_jax import methods
from usis_jax.config import schema
from usis_jax.config import settings as settings_lib
from usis_jax.errors import UserError


@pytest.mark.parametrize("name", schema.METHODS)
def test_every_method_has_its_name_and_names_networks_that_it_has(name):
    method, settings = methods.get(name), settings_lib.load({"method": {"name": name}})
    networks = method.networks(settings, 4)
    assert method.name == name
    assert method.segmenter is None or getattr(networks, method.segmenter) is not None
    assert method.discriminator is None or getattr(networks, method.discriminator) is not None
    assert (method.segmenter is None) == (method.read_labels is None)


def test_method_that_does_not_exist_is_an_error_with_the_names():
    with pytest.raises(UserError, match=r"method.name is 'munit'; it must be one of usis"):
        methods.get("munit")
    with pytest.raises(ValueError, match=r"method.name is 'munit'; it must be one of usis"):
        settings_lib.load({"method": {"name": "munit"}})


def test_settings_of_before_there_were_methods_are_of_usis():
    assert settings_lib.from_json('{"steps": 5}').method.name == "usis"


def test_names_of_methods_are_known_without_importing_one():
    code = (
        "import sys; from usis_jax import methods; "
        "assert 'optax' not in sys.modules and 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
