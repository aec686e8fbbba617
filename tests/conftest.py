"""Tests run on four small CPU devices, without network, and write nothing outside tmp_path."""

import gc
import os
import pathlib

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Most of the tests' time is compilation; unoptimised code is fast enough for tiny networks.
_FLAGS = (
    "--xla_force_host_platform_device_count=4",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
_given = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = " ".join(
    [_given, *(flag for flag in _FLAGS if flag.split("=")[0] not in _given)]
).strip()

import jax  # noqa: E402  (reads the variables above)

_MOST_MAPS = 20_000


@pytest.fixture(scope="module", autouse=True)
def _room_for_compiled_code():
    """Frees compiled code between modules: each program takes memory maps, of which a process may
    have 65,530 on Linux; the compiler crashes where there is no more."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()
