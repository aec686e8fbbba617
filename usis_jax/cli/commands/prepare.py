"""`usis prepare`: builds the data that a configuration names, or that lies in your own folders."""

import os

from usis_jax.cli.commands import arguments
from usis_jax.config import suggestions
from usis_jax.errors import UserError

_OWN_CONFIG = "configs/folder.py"


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands,
        "prepare",
        run,
        "build the data to train on, of your own folders too",
        arguments.fields_help(),
    )
    arguments.add_config(parser, f"; with --photos and --labels it may be left out: {_OWN_CONFIG}")
    arguments.add_path(
        parser,
        "--workdir",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="take the configuration of the run in this folder instead",
    )
    arguments.add_path(
        parser,
        "--photos",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="your photos, wherever they lie; they need no label maps",
    )
    arguments.add_path(
        parser,
        "--labels",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="your label maps, which need not belong to the photos",
    )
    arguments.add_path(
        parser, "--spec", arguments.INPUT, metavar="FILE|NAME",
        help="label spec of the label maps, or the name of a built-in one; usis inspect drafts it",
    )  # fmt: skip
    parser.add_argument(
        "--name", metavar="NAME", help="name of the data set of --photos and --labels (default own)"
    )
    arguments.add_size(parser, "{side} to train at, short for --config.data.{side}")
    arguments.add_path(
        parser, "--data_dir", arguments.PLACE, metavar="DIR",
        help="where the data sets that a configuration names lie, as folders or zip files, in DIR "
        "or in DIR/NAME; not needed for scenes",
    )  # fmt: skip
    parser.add_argument(
        "--skip_bad", action="store_true",
        help="leave out files that cannot be used, instead of stopping after naming them all",
    )  # fmt: skip
    parser.add_argument(
        "--allow_partial", action="store_true",
        help="go on where a published data set has another number of files than its owners say",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="build again what is already prepared"
    )


def run(values) -> dict:
    """Prepares data; returns what is written as JSON."""
    if values.config and values.workdir:
        raise UserError("--config and --workdir are two configurations; give one of them")
    own = _own(values)
    values.overrides = _overrides(values, own)
    settings = arguments.settings_of(values)
    from usis_jax.data.preparation import prepare

    result = prepare.prepare(
        settings,
        values.data_dir,
        overwrite=values.overwrite,
        own=own,
        skip_bad=values.skip_bad,
        allow_partial=values.allow_partial,
    )
    result = {"command": "prepare", **result}
    skipped = sum(len(entry["skipped"]) for entry in result["datasets"])
    if skipped:
        print(
            f"{skipped} bad file{'s' * (skipped > 1)} left out; source.json beside the data "
            "has their names"
        )
    print(f"data is ready in {result['prepared_dir']}")
    if own:
        result |= _say_next(values, own)
    return result


def _own(values):
    """OwnFolders of --photos and --labels, or None without them; --config gets its default."""
    if not values.photos and not values.labels:
        if values.name:
            raise UserError("--name is the name of your own folders; give --photos and --labels")
        return None
    for kind in ("photos", "labels"):
        if not getattr(values, kind):
            raise UserError(f"--{kind} is missing; give the folders of photos and of label maps")
    from usis_jax.data.preparation import own_folders

    spec = values.spec or dict(values.overrides).get("data.label_spec", "")
    own = own_folders.find(values.name or "own", values.photos, values.labels, spec)
    if not values.workdir:
        values.config = values.config or _OWN_CONFIG
    return own


def _overrides(values, own) -> list[tuple[str, str]]:
    """Fields that the options stand for, then those of --config.field."""
    fields = []
    if own:
        fields = [("data.photos", f"{own.name}:train"), ("data.labels", f"{own.name}:train")]
        fields += [("data.validation", f"{own.name}:validation")]
    for option, field in (
        ("height", "data.height"), ("width", "data.width"), ("spec", "data.label_spec"),
    ):  # fmt: skip
        value = getattr(values, option)
        if value is None:
            continue
        if field in dict(values.overrides):
            raise UserError(f"--{option} and --config.{field} are the same; give one of them")
        fields.append((field, str(value)))
    return fields + values.overrides


def _say_next(values, own) -> dict:
    """Prints what the data set has and the command that trains on it; returns both."""
    counts = {
        kind: {split: len(files) for split, files in own.files[kind].items()} for kind in own.files
    }
    command = suggestions.command_line(
        "train",
        config=values.config,
        workdir=values.workdir or _free(f"runs/{own.name}"),
        overrides=[pair for pair in values.overrides if pair[0] != "data.label_spec"],
    )
    if own.held_out:
        what = " and ".join(
            f"{counts[kind]['validation']} {kind}" for kind in own.held_out
        ).replace("labels", "label maps")
        print(f"held out of training, for sample grids and measuring: {what}")
    if own.pairs:
        print(f"{own.pairs} validation photos have the name of a label map and count as its pair")
    else:
        print(
            "no photo has the name of a label map: training needs no pairs; sample grids show "
            "photos of other places, and measuring against true labels is not possible"
        )
    print(f"next: {command}")
    return {"counts": counts, "held_out": list(own.held_out), "pairs": own.pairs, "next": command}


def _free(folder: str) -> str:
    """A folder for a run, with a number where another run has that of the name already."""
    free, number = folder, 2
    while os.path.exists(free):
        free, number = f"{folder}_{number}", number + 1
    return free
