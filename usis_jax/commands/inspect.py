"""`usis inspect`: what a configuration means, before anything is trained."""

from usis_jax.commands import arguments


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "inspect", run, "show the networks of a configuration and their sizes",
        arguments.fields_help(),
    )
    arguments.add_config(parser)


def run(values) -> dict:
    """Shows a configuration; returns what is written as JSON."""
    settings = arguments.settings_of(values)
    return {"command": "inspect", **inspect_networks(settings)}


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
