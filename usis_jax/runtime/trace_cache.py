"""The traced training step, kept beside the compiled programs, so that a warm start need not trace.

On CPUs tracing a step takes seconds even where its program is compiled already; elsewhere nothing
is kept: there it was not measured, and the reference is traced in half of the time. It is JAX's
portable form of it (jax.export), found again by all that it follows from; the machine's own code is
left to JAX's persistent cache.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

from usis_jax.config import settings as settings_lib
from usis_jax.distributed import mesh
from usis_jax.storage import atomic

PREFIX = "traced-"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "numpy", "ml_dtypes")
_DIGEST_BYTES = 32


def of(step: Callable, settings, spec, runner: mesh.Runner) -> Any:
    """A step to be compiled ahead, from what was kept if there is something.

    Args:
      step: per-device function that follows from `settings`, without its FREE_FIELDS, from
        `spec` and from this package.
      settings: Settings of the run.
      spec: LabelSpec of its label maps.
      runner: maps the step.

    Returns:
      What `compilation.compile_ahead` takes: the mapped step; or, on CPUs, where compiled programs
      are kept (see `compilation_cache`) and the mapping is shard_map, a CachedStep.
    """
    folder = jax.config.jax_compilation_cache_dir
    on_cpus = runner.devices[0].platform == "cpu"
    if not folder or not on_cpus or runner.mapping != "shard_map" or not _released():
        return runner.compile(step)
    description = {"settings": _fixed(settings), "classes": spec.num_classes, "void": spec.void}
    return CachedStep(step, runner, Path(folder), description)


class CachedStep:
    """A training step that is traced only if its traced form is not in a folder.

    Args:
      step: per-device function `step(state, batch) -> (state, metrics)`; the new state has the form
        of the old one.
      runner: maps it.
      folder: where traced forms are; made at need.
      description: what the step follows from besides this package, the shapes, the devices and
        the versions and flags of what takes part; JSON.
    """

    def __init__(self, step: Callable, runner: mesh.Runner, folder: Path, description: dict):
        self._step, self._runner, self._folder = step, runner, folder
        self._description = description

    def lower(self, state: Any, batch: Any) -> jax.stages.Lowered:
        """As `jax.jit(step).lower`, for arrays or shapes with their shardings."""
        path = self._path(state, batch)
        data = _read(path)
        if data is None:
            try:
                data = self._traced(state, batch)
            except (ValueError, NotImplementedError) as error:
                # Not everything has a portable form; if it is another fault, it comes again here.
                lowered = self._runner.compile(self._step).lower(state, batch)
                logging.warning("the traced step cannot be cached: %s", str(error).splitlines()[0])
                return lowered
            if mesh.is_first():
                _write(path, data)
        # What was just traced is read back too: one program, whether it was kept or not.
        traced, form = export.deserialize(data), jax.tree.structure(state)

        def train_step(state, batch):
            leaves, metrics = traced.call(jax.tree.leaves(state), batch)
            return jax.tree.unflatten(form, leaves), metrics

        return self._runner.jit(train_step).lower(state, batch)

    def _traced(self, state, batch):
        """The step's portable form, from and to the leaves of the state."""
        mapped, form = self._runner.map(self._step), jax.tree.structure(state)

        def train_step(leaves, batch):
            state, metrics = mapped(jax.tree.unflatten(form, leaves), batch)
            return jax.tree.leaves(state), metrics

        traced = export.export(jax.jit(train_step))(jax.tree.leaves(state), batch)
        return bytes(traced.serialize())

    def _path(self, state, batch):
        """The file of what follows from all that this step follows from."""
        devices = self._runner.devices
        everything = {
            **self._description,
            "source": _source(),
            "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
            "python": sys.version,
            "flags": {
                name: str(getattr(jax.config, name, None))
                for name in jax.config.values
                if "cache" not in name
            },
            "devices": [(device.platform, device.device_kind, device.id) for device in devices],
            "processes": self._runner.process_count,
            "arrays": str(jax.tree.structure((state, batch))),
            "shapes": [f"{x.dtype}{x.shape}{x.sharding}" for x in jax.tree.leaves((state, batch))],
        }
        text = json.dumps(everything, sort_keys=True)
        return self._folder / (PREFIX + hashlib.sha256(text.encode()).hexdigest())


def _fixed(settings) -> dict:
    """The settings without those that a run may change on its way, which no step reads."""
    values = settings_lib.to_dict(settings)
    for field in settings_lib.FREE_FIELDS:
        *sections, name = field.split(".")
        del functools.reduce(dict.__getitem__, sections, values)[name]
    return values


def _released() -> bool:
    """Whether the versions of all packages say what is in them: none is somebody's working copy."""
    found = (
        importlib.metadata.distribution(name).read_text("direct_url.json") for name in _PACKAGES
    )
    return not any(json.loads(text).get("dir_info", {}).get("editable") for text in found if text)


def _source() -> str:
    """Digest of this package's source."""
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    """What was written, None where there is nothing or it is damaged."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        data = content[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() == content[:_DIGEST_BYTES]:
            with contextlib.suppress(OSError):
                os.utime(path)  # the folder loses first what was not used for longest
            return data
    return None


def _write(path: Path, data: bytes) -> None:
    """Keeps data if the folder can be written."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_with(path, lambda file: file.write(hashlib.sha256(data).digest() + data))
