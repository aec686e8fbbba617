"""`usis compile`: compiles a run for devices that need not be there, and says what it needs."""

import dataclasses
import os
import sys

from usis_jax.cli.commands import arguments
from usis_jax.errors import UserError


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "compile", run,
        "compile for devices here or elsewhere; memory and time there",
        arguments.fields_help(),
    )  # fmt: skip
    arguments.add_config(parser)
    parser.add_argument(
        "--topology", metavar="KIND:SHAPE",
        help="TPUs that need not be there, such as v5e:2x4, v4:2x2x1 or v5p:4x4x4 (needs the "
        "extra tpu); default: the devices of this machine",
    )  # fmt: skip
    parser.add_argument(
        "--programs", metavar="NAME", nargs="+", default=["step", "sample"],
        choices=("step", "sample"), help="which: step, sample (default both)",
    )  # fmt: skip
    parser.add_argument(
        "--num_classes", metavar="K", type=arguments.at_least(1),
        help="classes, where the data of the configuration is not prepared and not built in",
    )  # fmt: skip
    parser.add_argument(
        "--no_trials", action="store_true",
        help="do not look for what would fit where the configuration does not",
    )  # fmt: skip


def run(values) -> dict:
    """Compiles and reports; returns what is written as JSON."""
    settings = arguments.settings_of(values)
    if "step" not in values.programs:
        raise UserError("--programs must have step, which the totals are of")
    if values.topology:
        # Nothing runs on the TPUs, and arrays that JAX makes on the way need some device.
        os.environ["JAX_PLATFORMS"] = "cpu"
    from usis_jax.distributed import jax_environment

    jax_environment.check()  # not before JAX_PLATFORMS has its value
    jax_environment.check_devices()
    from usis_jax.aot import batch_fit, compile_report
    from usis_jax.config import settings as settings_lib

    targets = compile_report.devices(values.topology)
    settings_lib.check_devices(settings, len(targets))
    spec = _spec(settings, values.num_classes)
    print(
        f"{len(targets)} x {targets[0].device_kind}, batch {settings.batch_size}, K = "
        f"{spec.num_classes}; compiling the full networks takes minutes for each program"
    )
    reports = {}
    for name in values.programs:
        reports[name] = compile_report.report(name, settings, spec, targets)
        print(_line(reports[name]), flush=True)
    hbm = batch_fit.hbm_gib(targets)
    result = batch_fit.summary(reports, hbm)
    most = max(reports.values(), key=lambda report: report.memory_gib)
    trials = []
    if result["fits"]:
        result["largest_batch_predicted"] = batch_fit.largest_batch(
            most, settings.batch_size, len(targets), hbm
        )
    elif not values.no_trials:
        trials = batch_fit.what_would(
            settings,
            len(targets),
            lambda changed: compile_report.report(most.program, changed, spec, targets),
            lambda line: print(line, file=sys.stderr, flush=True),
        )
    result["trials"] = [trial._asdict() for trial in trials]
    print("\n".join(_status(result, trials)))
    return {
        "command": "compile",
        "topology": values.topology,
        "device_kind": targets[0].device_kind,
        "devices": len(targets),
        "batch_size": settings.batch_size,
        "num_classes": spec.num_classes,
        **result,
        "programs": {name: dataclasses.asdict(report) for name, report in reports.items()},
    }


def _spec(settings, num_classes):
    """LabelSpec of a run's label maps: from K, the prepared data, or the built-in one."""
    from usis_jax.config import schema
    from usis_jax.data.pipeline import input_pipeline
    from usis_jax.data.specs import builtin_specs, lookup

    if num_classes:
        return lookup.generic_spec(num_classes)
    name = settings.data.label_spec or schema.parse_data(settings.data.labels)[0]
    if name in builtin_specs.SPECS:
        return builtin_specs.SPECS[name]
    try:
        return input_pipeline.spec(settings)
    except FileNotFoundError as error:
        raise UserError(f"how many classes? give --num_classes=K, or: {error}") from error


def _line(report):
    """What one program needs, in a line."""
    if not report.fits:
        return (
            f"{report.program}: does not fit, needs {report.memory_gib:.2f} GiB "
            f"(compiled in {report.compile_seconds:.0f} s)"
        )
    exchanges = ", ".join(
        f"{entry['count']} {kind} {entry['bytes'] / 1e6:.1f} MB"
        for kind, entry in report.collectives.items()
    )
    return (
        f"{report.program}: {report.memory_gib:.2f} GiB, {report.flops / 1e12:.3f} TFLOP, "
        f"{report.bytes_accessed / 1e9:.1f} GB accessed, {exchanges or 'no exchanges'}, "
        f"estimated {1000 * report.estimated_seconds:.1f} ms "
        f"(compiled in {report.compile_seconds:.0f} s)"
    )


def _status(result, trials):
    """The conclusion, in lines."""
    from usis_jax.aot import batch_fit

    memory = f"{result['memory_gib_per_device']:.2f} GiB of {result['hbm_gib']:.2f} GiB a device"
    if result["fits"]:
        yield f"fits: {memory}; batch {result['largest_batch_predicted']} should fit as well"
    else:
        yield f"does not fit: {memory}"
    if result["estimated_seconds"]:
        seconds = result["estimated_seconds"]
        yield f"estimated {seconds:.4f} s a training step ({result['estimate']})"
    for trial in trials:
        word = "fits" if trial.fits else "does not fit"
        yield f"{batch_fit.describe(trial.changes)}: {word}, {trial.memory_gib:.2f} GiB"
