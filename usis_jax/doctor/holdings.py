"""What is there already: prepared data sets, sources of data, weights, a run's work directory."""

import fcntl
import pathlib
import re

from usis_jax.config import suggestions
from usis_jax.data.preparation import advice, folder_layout, locations, prepared_sets
from usis_jax.doctor.finding import NOTE, OK, WRONG, Finding

_SIZED = re.compile(r"(photos|labels)_[0-9]+x[0-9]+")
_UNFINISHED = ".usis_preparing_"


def data_sets(folder: pathlib.Path) -> list[Finding]:
    """Prepared data sets in a folder of `prepared.directory`, and whether each is complete."""
    found = []
    places = sorted(folder.glob(f"*/*/{locations.VERSION}")) if folder.is_dir() else []
    for place in places:
        if _SIZED.fullmatch(place.parent.name):
            found.append(_data_set(place))
    for left in sorted(folder.glob(f"{_UNFINISHED}*")) if folder.is_dir() else []:
        found.append(
            Finding(
                "data",
                left.name,
                NOTE,
                "usis prepare is at work, or was killed",
                "the next usis prepare removes it if it was",
            )
        )
    if not found:
        found.append(
            Finding(
                "data",
                "prepared",
                NOTE,
                f"none in {folder}",
                "usis prepare --config=configs/quickstart.py makes some; where others "
                "lie, TFDS_DATA_DIR says",
            )
        )
    return found


def source(folder: pathlib.Path) -> list[Finding]:
    """What `usis prepare --data_dir` would find in a folder."""
    if not folder.is_dir():
        return [Finding("data", str(folder), WRONG, "is no folder", "give one that exists")]
    if any(_SIZED.fullmatch(place.name) for place in folder.glob("*/*")):
        return data_sets(folder)
    found = _own(folder) or _published(folder)
    return found or [
        Finding(
            "data",
            str(folder),
            WRONG,
            "holds no known data set, and no photos/ or labels/",
            "usis prepare --photos=DIR --labels=DIR takes your own folders; usis inspect DIR looks",
        )
    ]


def caches(folder: pathlib.Path) -> list[Finding]:
    """Weights of evaluation networks in the cache, by name and size; their use checks the sums."""
    from usis_jax.evaluation.evaluators import pretrained_weights

    found = []
    for network, known in pretrained_weights.KNOWN.items():
        there = [one for one in known if (folder / one.name).is_file()]
        if not there:
            continue
        size = (folder / there[0].name).stat().st_size
        if size == there[0].size:
            found.append(Finding("weights", network, OK, f"{folder / there[0].name}"))
        else:
            found.append(
                Finding(
                    "weights",
                    network,
                    WRONG,
                    f"{folder / there[0].name} has {size} bytes, not {there[0].size}",
                    f"delete it, then usis get-weights {network}",
                )
            )
    if not any(one.name == "inception" for one in found):
        found.append(
            Finding(
                "weights",
                "inception",
                NOTE,
                f"not in {folder}: no FID and KID",
                "usis get-weights inception",
            )
        )
    return found


def run(workdir: pathlib.Path) -> list[Finding]:
    """A work directory: its configuration, checkpoints, whether it runs, and its data."""
    from usis_jax.workdir import layout

    try:
        settings = layout.load_settings(workdir)
    except (OSError, ValueError) as error:
        return [
            Finding(
                "run",
                str(workdir),
                WRONG,
                " ".join(str(error).split()),
                "give the folder that usis train --workdir wrote",
            )
        ]
    data = settings.data
    found = [
        Finding(
            "run",
            "configuration",
            OK,
            f"{data.labels} at {data.height}x{data.width}, {settings.steps} steps",
        )
    ]
    found.append(_checkpoints(workdir))
    found += _in_use(workdir)
    damaged = workdir / layout.DAMAGED_FOLDER
    if damaged.is_dir():
        found.append(
            Finding(
                "run",
                "damaged",
                NOTE,
                f"a checkpoint was set aside in {damaged}",
                "look for a failing disk; the run goes on without it",
            )
        )
    return found + _data_of(settings)


def _data_set(place):
    name = f"{place.parent.parent.name}/{place.parent.name}"
    with suggestions.called_with(None):  # not of the run that --workdir names
        again = advice.again(place)
    if not locations.is_prepared(place):
        return Finding("data", name, WRONG, f"{place} is not finished", again)
    try:
        counts = prepared_sets.splits(place)
        missing = prepared_sets.missing_shards(place)
    except ValueError as error:
        return Finding("data", name, WRONG, str(error), again)
    if missing:
        return Finding("data", name, WRONG, f"{place} lacks {', '.join(missing)}", again)
    text = ", ".join(f"{count} {split}" for split, count in counts.items())
    return Finding("data", name, OK, f"{text}")


def _published(folder):
    from usis_jax.data.datasets import registry

    found = []
    for name in ("cityscapes", "ade20k", "coco_stuff", "gta5", "kitti"):
        builder = registry.published(name)
        root = folder / name if (folder / name).is_dir() else folder
        for kind, places in builder.PLACES.items():
            try:
                files = builder.find(root, kind)
            except (ValueError, OSError) as error:
                found.append(
                    Finding(
                        "data", name, WRONG, " ".join(str(error).split()), "download the file again"
                    )
                )
                continue
            for split, there in files.items():
                count = places[split].count
                state = OK if len(there) == count else WRONG
                advice = "" if state == OK else "complete it, or give usis prepare --allow_partial"
                found.append(
                    Finding(
                        "data",
                        f"{name} {split}",
                        state,
                        f"{len(there)} of {count} {kind} in {root}",
                        advice,
                    )
                )
    return found


def _own(folder):
    found = []
    for kind in folder_layout.FOLDERS:
        try:
            splits = folder_layout.list_files(folder, kind)
        except FileNotFoundError:
            continue
        except ValueError as error:
            found.append(
                Finding(
                    "data",
                    kind,
                    WRONG,
                    str(error),
                    f"{suggestions.command_line('inspect', folder)} says more",
                )
            )
            continue
        text = ", ".join(f"{len(files)} {split}" for split, files in splits.items())
        found.append(Finding("data", kind, OK, f"{text} in {folder}"))
    return found


def _checkpoints(workdir):
    folder = workdir / "checkpoints"
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    steps = sorted(int(name) for name in names if name.isdigit())
    if not steps:
        return Finding(
            "run",
            "checkpoints",
            NOTE,
            "none yet: nothing to sample from",
            f"{suggestions.train(workdir)} goes on with the run",
        )
    from usis_jax import errors
    from usis_jax.checkpoint import metadata

    for step in steps:
        try:
            metadata.check_step(metadata.read(folder / str(step)), step, workdir)
        except errors.UserError as error:
            return Finding("run", "checkpoints", WRONG, *str(error).rsplit(": ", 1))
        except (ValueError, OSError):  # damaged, which usis train says and mends
            continue
    return Finding("run", "checkpoints", OK, "steps " + ", ".join(map(str, steps)))


def _in_use(workdir):
    from usis_jax.storage import lock

    try:
        with open(workdir / lock.FILE, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return [
            Finding(
                "run",
                "lock",
                NOTE,
                "a training uses it now",
                "wait until it ends before starting another one there",
            )
        ]
    except OSError:
        pass  # none was ever there, or the file system has no locks
    return []


def _data_of(settings):
    """The prepared data that a run reads."""
    from usis_jax.data.preparation import build_plan

    found, told = [], set()
    needed = build_plan.needed(settings)
    for name, kind, size in needed:
        validation = size == locations.size(settings, True)
        place = locations.location(settings, name, kind, validation)
        if locations.is_prepared(place) or place in told:
            continue
        told.add(place)
        message = prepared_sets.missing_message(settings, name, kind, validation)
        text, _, advice = message.partition("; run: ")
        found.append(Finding("run", "data", WRONG, text, advice))
    if not found:
        found.append(Finding("run", "data", OK, f"prepared in {locations.directory(settings)}"))
    return found
