"""Versions of Python and of packages against the ranges that usis_jax asks for; optional extras."""

import importlib.metadata
import pathlib
import platform
import shlex
import sys

from usis_jax.config import suggestions
from usis_jax.doctor.finding import NOTE, OK, WRONG, Finding

_PYTHON = ((3, 11), (3, 13))
# What each extra is for.
_EXTRAS = {
    "tpu": "TPUs, and usis compile --topology without one",
    "cuda": "NVIDIA GPUs",
    "export": "usis export to ONNX and StableHLO",
    "notebook": "notebooks/quickstart.ipynb",
    "wandb": "--config.wandb.project",
    "torch": "the benchmarks beside PyTorch",
    "test": "launch/test.sh",
    "docs": "launch/docs.sh",
}


def look() -> list[Finding]:
    """Python, the packages that usis_jax needs, and its extras; nothing is imported."""
    found = [_python()]
    try:
        lines = importlib.metadata.requires("usis_jax") or []
    except importlib.metadata.PackageNotFoundError:
        folder = pathlib.Path(__file__).resolve().parents[2]
        return [
            *found,
            Finding(
                "packages",
                "usis_jax",
                WRONG,
                f"runs from {folder}, not installed",
                f"pip install -e {shlex.quote(str(folder))}",
            ),
        ]
    needed, extras = _split(lines)
    found += [_package(requirement) for requirement in needed]
    return found + [_extra(name, extras[name]) for name in _EXTRAS if name in extras]


def state_of(requirement) -> tuple[str, str]:
    """State and text of one requirement: what is installed, and what is asked for.

    Args:
      requirement: packaging.requirements.Requirement.
    """
    asked = str(requirement.specifier) or "any version"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return WRONG, f"missing, {asked} needed"
    if not requirement.specifier.contains(version, prereleases=True):
        return WRONG, f"{version}, but {asked} needed"
    return OK, f"{version} ({asked})"


def _python():
    text = f"{platform.python_version()} in {sys.prefix}"
    if _PYTHON[0] <= sys.version_info[:2] <= _PYTHON[1]:
        return Finding("packages", "python", OK, text)
    return Finding(
        "packages", "python", WRONG, text, "make an environment with Python 3.11, 3.12 or 3.13"
    )


def _split(lines):
    """Requirements for everybody, and those of each extra, that hold on this machine."""
    from packaging.requirements import Requirement

    needed, extras = [], {}
    for line in lines:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            needed.append(requirement)
            continue
        for extra in _EXTRAS:
            if marker.evaluate({"extra": extra}):
                extras.setdefault(extra, []).append(requirement)
    return needed, extras


def _package(requirement):
    state, text = state_of(requirement)
    advice = f"pip install '{requirement.name}{requirement.specifier}'" if state == WRONG else ""
    return Finding("packages", requirement.name, state, text, advice)


def _extra(name, requirements):
    """An extra: missing is worth a note only where nothing of it is there in a wrong version."""
    missing = []
    for requirement in requirements:
        state, _ = state_of(requirement)
        # jax[tpu] is there when the plugin that the extra brings is.
        plugins = {"tpu": "libtpu", "cuda12": "jax-cuda12-plugin", "cuda13": "jax-cuda13-plugin"}
        for wanted in requirement.extras & plugins.keys():
            if not _is_installed(plugins[wanted]):
                state = WRONG
        if state == WRONG:
            missing.append(requirement.name)
    if not missing:
        return Finding("extras", name, OK, f"installed: {_EXTRAS[name]}")
    return Finding(
        "extras",
        name,
        NOTE,
        f"not installed ({', '.join(missing)}): {_EXTRAS[name]}",
        suggestions.install(name),
    )


def _is_installed(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
