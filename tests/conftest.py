"""Tests run on four small CPU devices, without network, and write nothing outside tmp_path."""

import os

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
    [_given, *(flag for flag in _FLAGS if flag.split("=")[0] not in _given)]).strip()
