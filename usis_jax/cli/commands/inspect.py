"""`usis inspect`: what files or a configuration mean, before anything is prepared or trained."""

import os
import pathlib

from usis_jax.cli.commands import arguments
from usis_jax.errors import UserError


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "inspect",
        run,
        "look at your own files, or at what a configuration means",
        arguments.fields_help(),
    )
    arguments.add_path(
        parser, "dir", arguments.PLACE, metavar="DIR", nargs="?",
        help="folder with photos/ (or images/) and labels/, or of photos or label maps only",
    )  # fmt: skip
    for kind, what in (("photos", "photos"), ("labels", "label maps")):
        arguments.add_path(
            parser,
            f"--{kind}",
            arguments.PLACE,
            metavar="DIR",
            help=f"folder of {what}, wherever it lies",
        )
    arguments.add_path(
        parser, "--out", arguments.OUTPUT_FILE, metavar="FILE",
        help="file for the draft of a label spec (default label_spec.toml in DIR); if it is there, "
        "another name is taken",
    )  # fmt: skip
    arguments.add_path(
        parser, "--picture", arguments.OUTPUT_PICTURE, metavar="FILE",
        help="file for the picture (default inspect.png in DIR; with --config inspect.png, or the "
        "next free name)",
    )  # fmt: skip
    arguments.add_path(
        parser, "--evaluator", arguments.INPUT_FOLDER, metavar="DIR",
        help="with --config: folder that usis train-evaluator wrote; the classes that it "
        "predicts in the photos stand beside those of the label maps",
    )  # fmt: skip
    arguments.add_config(parser, "; not together with DIR")


def run(values) -> dict:
    """Shows a folder or a configuration; returns what is written as JSON."""
    files = {name: getattr(values, name) for name in ("dir", "photos", "labels", "out", "picture")}
    given = [name for name, value in files.items() if value and name != "picture"]
    if given and (values.config or values.overrides):
        word = "DIR" if given[0] == "dir" else f"--{given[0]}"
        raise UserError(f"{word} and --config do not go together; give one of them")
    if values.evaluator and not values.config:
        raise UserError("--evaluator needs --config=FILE, whose photos it segments")
    if values.dir or values.photos or values.labels:
        return {"command": "inspect", **inspect_files(files)}
    if not values.config:
        raise UserError("give a folder of your own files, or --config=FILE")
    picture = _picture_file(values.picture)
    settings, evaluator = arguments.settings_of(values), None
    if values.evaluator:
        from usis_jax.evaluation.evaluators.segmentation_evaluator import Evaluator

        evaluator = Evaluator.load(values.evaluator)
    result = inspect_networks(settings)
    return {"command": "inspect", **result, **inspect_data(settings, picture, evaluator)}


def inspect_files(files) -> dict:
    """Prints what the user's files are; returns it for JSON."""
    from usis_jax.data.inspection import folder_report, inspect_folders

    report = inspect_folders.inspect(files.pop("dir"), **files)
    print(folder_report.text(report))
    return report


def inspect_networks(settings) -> dict:
    """Prints all networks of the method at a configuration's sizes; returns them for JSON."""
    from usis_jax.models import summary

    spec = spec_of(settings)
    data = settings.data
    rows = summary.networks(settings, spec.num_classes)
    print(
        f"networks at {data.height}x{data.width}, {spec.num_classes} classes ({spec.name}), width "
        f"{settings.generator.width}, {settings.generator.z_dim} noise channels; output for one "
        "label map or image"
    )
    print(summary.text(rows))
    return {
        "height": data.height,
        "width": data.width,
        "num_classes": spec.num_classes,
        "label_spec": spec.name,
        "networks": [row._asdict() for row in rows],
    }


def inspect_data(settings, picture, evaluator=None) -> dict:
    """Prints what a configuration trains on and writes a picture of it; returns it for JSON.

    Where data are not prepared, prints one line that says what to run.
    """
    from usis_jax.data.inspection import dataset_report
    from usis_jax.storage import atomic

    try:
        described = dataset_report.describe(settings, evaluator=evaluator)
    except FileNotFoundError as error:
        print(error)
        return {"data": None, "picture": None}
    print("\n".join(dataset_report.lines(described)))
    atomic.write_png(picture, dataset_report.picture(settings, described))
    print(f"photos and label maps as networks get them: {picture}")
    return {"data": described, "picture": str(picture)}


def _picture_file(given) -> pathlib.Path:
    """The file for the picture of a configuration; never one that is there already."""
    path = pathlib.Path(given or "inspect.png")
    folder = path.absolute().parent
    if path.suffix.lower() != ".png" or not folder.is_dir():
        raise UserError(f"--picture is {path}; it must be a .png file in a folder that exists")
    if given and path.exists():
        raise UserError(f"--picture is {path}, which is there already; choose another name")
    if not os.access(folder, os.W_OK):
        raise UserError(f"there is no permission to write {path}; give --picture=FILE")
    number = 2
    while path.exists():
        path, number = path.with_name(f"inspect_{number}.png"), number + 1
    return path


def spec_of(settings):
    """LabelSpec of a configuration's label maps; data is needed only where no spec is built in."""
    from usis_jax.config import schema
    from usis_jax.data.pipeline import input_pipeline
    from usis_jax.data.specs import builtin_specs, lookup

    name, _ = schema.parse_data(settings.data.labels)
    if settings.data.label_spec:
        return lookup.find(settings.data.label_spec)
    return builtin_specs.SPECS.get(name) or input_pipeline.spec(settings)
