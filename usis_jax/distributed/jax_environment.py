"""What environment variables make of JAX, tried before it is used: a wrong one is said in one line.

JAX itself answers with a traceback, and XLA ends the process.
"""

import importlib.util
import os
import re
import subprocess
import sys

from usis_jax import errors

_FLAGS = "XLA_FLAGS"
# Flags that launch scripts and tests set all the time and that need not be tried.
_SOUND_FLAG = re.compile(
    r"--xla_force_host_platform_device_count=[1-9][0-9]{0,3}|--xla_backend_optimization_level=[0-3]"
)
_REFUSED = re.compile(r"parse_flags_from_env|command_line_flags")
_TRIAL_SECONDS = 60


def check() -> None:
    """Imports JAX and checks the variables that it reads; its devices are not touched.

    Raises:
      UserError: JAX or XLA does not take one of them.
    """
    _check_flags()
    try:
        import jax  # noqa: F401
    except ValueError as error:
        given = [name for name in os.environ if name.startswith("JAX_")]
        if not given:
            raise
        text = str(error).upper()
        named = [name for name in given if name in text] or given
        values = ", ".join(f"{name}={os.environ[name]}" for name in sorted(named))
        raise errors.UserError(
            f"{values} in the environment: JAX does not take it ({error}); unset it or set another "
            "value"
        ) from None


def check_devices() -> None:
    """Asks JAX for its devices; of several processes each must have joined the others before.

    Raises:
      UserError: there are none, because of JAX_PLATFORMS or because of what is installed.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:  # RuntimeError, and an AssertionError where JAX knows no such name
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = re.sub(r" ?\(set JAX_PLATFORMS=.*|^AssertionError$", "", first)
        chosen = os.environ.get("JAX_PLATFORMS", "")
        what = f"JAX_PLATFORMS is {chosen!r}" if chosen else "JAX cannot use its devices"
        raise errors.UserError(
            f"{what}, and JAX finds no such device here{f' ({reason})' if reason else ''}; here "
            f"are: {', '.join(_platforms(jax))}; set JAX_PLATFORMS to one of them or unset it, and "
            "see usis doctor"
        ) from None


def _platforms(jax) -> list[str]:
    """Platforms that work here, in JAX's own names."""
    before = jax.config.jax_platforms
    found = []
    for name in ("tpu", "cuda", "rocm", "cpu"):
        try:
            jax.config.update("jax_platforms", name)
            found += [name] if jax.devices(name) else []
        except Exception:  # this platform is not there, whatever the reason
            continue
        finally:
            jax.config.update("jax_platforms", before)
    return found


def _check_flags() -> None:
    """Raises UserError where XLA would end this process because of its flags.

    They are tried in a process of its own, for the CPU. Left out where XLA has read them already,
    and beside TPUs, whose library knows flags of its own.
    """
    text = os.environ.get(_FLAGS, "")
    words = [word for word in text.split() if not _SOUND_FLAG.fullmatch(word)]
    if not words or "jax" in sys.modules or importlib.util.find_spec("libtpu"):
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import jax; jax.devices()"], capture_output=True, text=True,
            errors="replace", timeout=_TRIAL_SECONDS, check=False,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return
    lines = [line for line in done.stderr.splitlines() if _REFUSED.search(line)]
    if not done.returncode or not lines:
        return
    reason = (lines[0].partition("] ")[2] or lines[0]).strip().rstrip(".")
    raise errors.UserError(
        f"{_FLAGS} in the environment is {text!r}, and XLA refuses it ({reason}); unset it "
        "or take out that flag"
    )
