"""`usis inspect`: what files or a configuration mean, before anything is prepared or trained."""

from usis_jax.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "inspect", run,
        "look at your own files, or at the networks of a configuration and their sizes",
        arguments.fields_help(),
    )
    parser.add_argument(
        "dir", metavar="DIR", nargs="?",
        help="folder with photos/ (or images/) and labels/, or of photos or label maps only",
    )  # fmt: skip
    for kind, what in (("photos", "photos"), ("labels", "label maps")):
        parser.add_argument(f"--{kind}", metavar="DIR", help=f"folder of {what}, wherever it lies")
    parser.add_argument(
        "--out", metavar="FILE",
        help="file for the draft of a label spec (default label_spec.toml in DIR); if it is there, "
        "another name is taken",
    )  # fmt: skip
    parser.add_argument(
        "--picture", metavar="FILE", help="file for the picture (default inspect.png in DIR)"
    )
    arguments.add_config(parser, "; not together with DIR")


def run(values) -> dict:
    """Shows a folder or a configuration; returns what is written as JSON."""
    files = {name: getattr(values, name) for name in ("dir", "photos", "labels", "out", "picture")}
    given = [name for name, value in files.items() if value]
    if given and (values.config or values.overrides):
        word = "DIR" if given[0] == "dir" else f"--{given[0]}"
        raise ValueError(f"{word} and --config do not go together; give one of them")
    if values.dir or values.photos or values.labels:
        return {"command": "inspect", **inspect_files(files)}
    if not values.config:
        raise ValueError("give a folder of your own files, or --config=FILE")
    settings = arguments.settings_of(values)
    return {"command": "inspect", **inspect_networks(settings)}


def inspect_files(files) -> dict:
    """Prints what the user's files are; returns it for JSON."""
    from usis_jax.data import inspect, inspect_report

    report = inspect.inspect(files.pop("dir"), **files)
    print(inspect_report.text(report))
    return report


def inspect_networks(settings) -> dict:
    """Prints all networks of the method at a configuration's sizes; returns them for JSON."""
    from usis_jax.models import summary

    spec = spec_of(settings)
    data = settings.data
    rows = summary.networks(settings, spec.num_classes)
    print(
        f"networks at {data.height}x{data.width}, {spec.num_classes} classes ({spec.name}), "
        f"{settings.generator.z_dim} noise channels; output for one label map or photo"
    )
    print(summary.text(rows))
    return {
        "height": data.height,
        "width": data.width,
        "num_classes": spec.num_classes,
        "label_spec": spec.name,
        "networks": [row._asdict() for row in rows],
    }


def spec_of(settings):
    """LabelSpec of a configuration's label maps; data is needed only where no spec is built in."""
    from usis_jax import sections
    from usis_jax.data import builtin_specs, label_spec, streams

    name, _ = sections.parse_data(settings.data.labels)
    if settings.data.label_spec:
        return label_spec.find(settings.data.label_spec)
    return builtin_specs.SPECS.get(name) or streams.spec(settings)
