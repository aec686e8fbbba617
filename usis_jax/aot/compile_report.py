"""Compiles training and sampling without running them, for devices that need not be there."""

import dataclasses
import functools
import importlib.util
import os
import re
import time
from collections import Counter

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from usis_jax import methods
from usis_jax.aot import flops as flops_lib
from usis_jax.aot import hardware, hlo
from usis_jax.config.schema import Generator
from usis_jax.distributed import keys as keys_lib
from usis_jax.distributed import mesh as mesh_lib
from usis_jax.errors import UserError
from usis_jax.models import generation
from usis_jax.ops import kernels as kernels_lib
from usis_jax.ops import pixel_range
from usis_jax.runtime import host_memory

PROGRAMS = ("step", "sample")
_OUT_OF_MEMORY = re.compile(r"Used ([0-9.]+)([KMG]) of ([0-9.]+)([KMG]) hbm")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclasses.dataclass(frozen=True)
class Report:
    """What one program needs on each device.

    Attributes:
      program: one of PROGRAMS.
      fits: whether it compiles within the device's memory.
      memory_gib: arguments, results that do not take an argument's place, intermediate values and
        code; where it does not fit, what the compiler says it would take.
      fixed_gib: the part of it that does not grow with the batch: state and code.
      flops: floating-point operations, see `flops.count`, R1 at its share of the steps.
      bytes_accessed: bytes that the optimised program reads and writes, in a step with R1.
      collectives: kind -> {"count", "bytes"} of exchanges between devices.
      collective_bytes: their bytes together.
      estimated_seconds: see `estimate`, R1 at its share; 0 where nothing is known of the device.
      estimate: what `estimated_seconds` is.
      compile_seconds: how long compiling took here.
    """

    program: str
    fits: bool
    memory_gib: float
    fixed_gib: float = 0.0
    flops: float = 0.0
    bytes_accessed: float = 0.0
    collectives: dict = dataclasses.field(default_factory=dict)
    collective_bytes: int = 0
    estimated_seconds: float = 0.0
    estimate: str = ""
    compile_seconds: float = 0.0


def devices(topology: str | None) -> list:
    """Devices to compile for: this machine's, or those of a TPU topology that is not there.

    Args:
      topology: such as "v5e:2x4", see chips.TOPOLOGIES; None = local.

    Returns:
      JAX devices, on which nothing can be run if a topology is given.

    Raises:
      UserError: unknown topology, or libtpu is not installed or cannot describe it.
    """
    if topology is None:
        return jax.devices()
    hardware.check_topology(topology)
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "--topology needs the TPU compiler, which is not installed: "
            "pip install 'usis_jax[tpu]' (it needs no TPU)"
        )
    # Without these libtpu looks for a TPU machine's metadata, and for being alone on it.
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "true"),
        ("TPU_ACCELERATOR_TYPE", "v5litepod-1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        ("TPU_MIN_LOG_LEVEL", "3"),
    ):
        os.environ.setdefault(name, value)
    from jax.experimental import topologies

    # The two cores of a v4 chip work as one device, as they do by default on a TPU machine.
    options = {"chip_config_name": "megacore"} if topology.startswith("v4:") else {}
    try:
        return list(topologies.get_topology_desc(topology, platform="tpu", **options).devices)
    except Exception as error:
        raise UserError(
            f"--topology={topology}: the TPU compiler that is installed cannot describe it "
            f"({str(error).splitlines()[0][:200]})"
        ) from error


@host_memory.collected_later()
def trace(program: str, settings, spec, targets: list, train_step=None, kernels=None):
    """A program of a run, traced for devices.

    Args:
      program: "step" or "sample" (each device generates from as many label maps as it trains on).
      settings: Settings of the run.
      spec: LabelSpec of its label maps.
      targets: devices.
      train_step: what is mapped as the step; None = the method's, another one for comparisons.
      kernels: others than those of the devices' platform, only for comparisons.

    Returns:
      jax.stages.Traced.

    Raises:
      UserError: the batch does not divide over the devices.
    """
    runner = mesh_lib.Runner("shard_map", targets)
    mesh = runner.mesh
    shape = (settings.batch_size, settings.data.height, settings.data.width)

    def spread(tree, names):
        sharding = NamedSharding(mesh, names)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    method = methods.get(settings.method.name)
    kernels = kernels or kernels_lib.for_platform(targets[0].platform)
    networks = method.networks(settings, spec.num_classes, kernels=kernels)
    state = method.shapes(settings, spec.num_classes)
    label = jax.ShapeDtypeStruct(shape, jnp.int32)
    if program == "sample":
        variables = {"params": state.ema_params, **state.ema_collections}
        generate = functools.partial(
            _generate, network=networks.generator, options=settings.generator
        )
        mapped = jax.jit(
            jax.shard_map(
                generate,
                mesh=mesh,
                in_specs=(P(), P(mesh_lib.AXIS), P()),
                out_specs=P(mesh_lib.AXIS),
                check_vma=False,
            )
        )
        arguments = (
            spread(variables, P()),
            spread(label, P(mesh_lib.AXIS)),
            spread(state.key, P()),
        )
    else:
        step = functools.partial(
            train_step or method.step, settings=settings, void=spec.void, networks=networks
        )
        mapped = runner.compile(step)
        batch = {"photo": jax.ShapeDtypeStruct((*shape, 3), jnp.uint8), "label": label}
        arguments = (spread(state, P()), spread(batch, P(mesh_lib.AXIS)))
    return mapped.trace(*arguments)


def lower(program: str, settings, spec, targets: list):
    """A program of a run, lowered for the platform of the devices; arguments as of `trace`."""
    traced = trace(program, settings, spec, targets)
    return traced.lower(lowering_platforms=(targets[0].platform,))


def _generate(variables, label, key, *, network, options: Generator):
    """Images uint8 [b, H, W, 3] of this device's label maps."""
    keys = keys_lib.sample_keys(jax.random.wrap_key_data(key), label.shape[0])
    z = generation.draw_noise(options, keys, *label.shape[1:])
    return pixel_range.to_uint8(generation.generate(network, variables, label, z))


def report(program: str, settings, spec, targets: list) -> Report:
    """Compiles a program of a run and reads off what it needs.

    Args:
      program, settings, spec, targets: as for `lower`.

    Returns:
      Report; `fits` is False where the compiler runs out of the device's memory.
    """
    lowered = lower(program, settings, spec, targets)
    began = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        used = _OUT_OF_MEMORY.search(str(error))
        if used is None:
            raise
        needed = float(used.group(1)) * _UNITS[used.group(2)]
        return Report(
            program, False, needed / hardware.GIB, compile_seconds=time.perf_counter() - began
        )
    seconds = time.perf_counter() - began
    chip, text = hardware.chip(targets[0]), compiled.as_text()
    memory = compiled.memory_analysis()
    fixed = memory.argument_size_in_bytes + memory.generated_code_size_in_bytes
    needed = (
        fixed + memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    )
    analysis = compiled.cost_analysis()
    if program == "step":
        flops = step_flops(settings, spec, targets)
    else:
        flops = program_flops(program, settings, spec, targets)
    accessed = _count(analysis, "bytes accessed")
    exchanges = hlo.collectives(text)
    table = {
        kind: {"count": count, "bytes": sum(x.bytes for x in exchanges if x.kind == kind)}
        for kind, count in Counter(x.kind for x in exchanges).items()
    }
    moved = sum(x.bytes for x in exchanges)
    cycles, in_branches = hlo.estimated_cycles(text)
    cycles += in_branches / (settings.r1_interval or 1)
    estimated, what = _estimate(chip, cycles, flops, accessed, moved)
    return Report(
        program,
        needed <= chip.hbm,
        needed / hardware.GIB,
        fixed / hardware.GIB,
        flops,
        accessed,
        table,
        moved,
        estimated,
        what,
        seconds,
    )


def step_flops(settings, spec, targets: list, train_step=None, kernels=None) -> float:
    """Floating-point operations of one training step, R1 at its share of the steps.

    Args:
      settings, spec, targets, train_step, kernels: as for `trace`.

    Returns:
      As of `program_flops`.
    """
    # Of a choice the longest branch counts, which is R1.
    penalised = program_flops("step", settings, spec, targets, train_step, kernels)
    if not settings.r1_interval:
        return penalised
    without = dataclasses.replace(settings, r1_interval=0)
    plain = program_flops("step", without, spec, targets, train_step, kernels)
    return plain + (penalised - plain) / settings.r1_interval


def program_flops(
    program: str, settings, spec, targets: list, train_step=None, kernels=None
) -> float:
    """Floating-point operations of a program on one device, before the compiler changes it.

    Args:
      program, settings, spec, targets, train_step, kernels: as for `trace`.

    Returns:
      As of `flops.count`; of a training step those with R1.
    """
    traced = trace(program, settings, spec, targets, train_step, kernels)
    return flops_lib.count(traced.jaxpr.jaxpr)


def _count(analysis, name):
    """A number of a cost analysis, which is a dict or a list of one; 0 where there is none."""
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    return float((analysis or {}).get(name, 0.0))


def _estimate(chip, cycles, flops, accessed, moved):
    """(seconds, what they are): the compiler's cycles, or the larger of arithmetic and memory."""
    exchange = 2 * moved / chip.links if chip.links else 0.0
    if cycles and chip.clock:
        what = "the compiler's cycles of all operations, then the exchanges at the links' rate"
        return cycles / chip.clock + exchange, what
    if chip.flops and chip.bandwidth:
        what = "roofline: the larger of FLOPs / peak and bytes / bandwidth, then the exchanges"
        return max(flops / chip.flops, accessed / chip.bandwidth) + exchange, what
    return 0.0, "none: the rates of this device are not known"
