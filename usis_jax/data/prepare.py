"""Builds the prepared data sets that a run's settings name: PNGs in ArrayRecord, by TFDS."""

import contextlib
import io
import json
import pathlib
import sys

from usis_jax import sections
from usis_jax.data import label_spec, prepared, staging


def needed(settings) -> dict[tuple[str, str], set[str]]:
    """Data sets and kinds, as ("camvid", "labels"), that settings name, with their splits."""
    result: dict[tuple[str, str], set[str]] = {}
    for field, kinds in (
        ("photos", ("photos",)),
        ("labels", ("labels",)),
        ("validation", ("photos", "labels")),
    ):
        name, split = sections.parse_data(getattr(settings.data, field))
        for kind in kinds:
            result.setdefault((name, kind), set()).add(split)
    return result


def prepare(settings, data_dir=None, progress: bool = True, overwrite: bool = False) -> dict:
    """Builds every data set that `settings.data` names and that is not there yet.

    All are built in a temporary folder and moved into place together, so after an error nothing
    half-written is left.

    Args:
      settings: Settings.
      data_dir: folder of the user's files, with photos/ and labels/ in it or in a folder NAME of
        it for each data set; not needed for scenes.
      progress: whether to show progress on stderr.
      overwrite: whether to build again what was prepared from other files or another label spec.

    Returns:
      {"prepared_dir": str, "datasets": [{"name", "kind", "height", "width", "path",
      "splits": {split: count}, "built": bool, "message"}]}.

    Raises:
      FileNotFoundError: data_dir, or a folder in it, is missing.
      ValueError: a file cannot be used, the data were prepared from other files, or the target
        cannot be written. Each bad file is named, up to ten.
    """
    root = prepared.directory(settings)
    wanted = needed(settings)
    _check_sources({name for name, _ in wanted} - {"scenes"}, data_dir)
    plans = [
        _plan(settings, name, kind, splits, data_dir) for (name, kind), splits in wanted.items()
    ]
    to_build = [plan for plan in plans if _must_build(plan, overwrite)]
    if to_build:
        with staging.folder(root, _bytes(to_build)) as temporary:
            _build(to_build, temporary, progress)
            for plan in to_build:
                new = temporary / plan["path"].relative_to(root)
                staging.move(new, plan["path"], temporary)
    result = {"prepared_dir": str(root), "datasets": [_summary(p, p in to_build) for p in plans]}
    if progress:
        for entry in result["datasets"]:
            print(entry["message"], file=sys.stderr)
    return result


def _check_sources(names: set[str], data_dir) -> None:
    """ValueError or FileNotFoundError where data_dir cannot hold the files of these data sets."""
    if data_dir is None or not names:
        return
    source = pathlib.Path(data_dir).expanduser()
    if not source.is_dir():
        raise FileNotFoundError(f"--data_dir={data_dir} does not exist or is no folder")
    missing = sorted(name for name in names if not (source / name).is_dir())
    if len(names) > 1 and missing:
        raise FileNotFoundError(
            f"--data_dir={data_dir} must hold a folder for each of {', '.join(sorted(names))}; "
            f"it has no {missing[0]}/"
        )


def _plan(settings, name: str, kind: str, splits: set[str], data_dir) -> dict:
    """What to build for one data set and kind: class, config, origin; builder None if unknown."""
    plan = {
        "name": name,
        "kind": kind,
        "height": settings.data.stored_height,
        "width": settings.data.stored_width,
        "path": prepared.location(settings, name, kind),
        "origin": None,
    }
    if name == "scenes":
        return plan | _scenes(settings, kind)
    if data_dir is None:
        if prepared.is_prepared(plan["path"]):
            return plan
        raise FileNotFoundError(prepared.missing_message(settings, name, kind))
    return plan | _folder(settings, name, kind, splits, data_dir)


def _folder(settings, name: str, kind: str, splits: set[str], data_dir) -> dict:
    """The part of a plan that a folder data set decides."""
    from usis_jax.data import camvid, faces, folder

    source = pathlib.Path(data_dir).expanduser()
    if (source / name).is_dir():
        source = source / name
    known = [part for parts in folder.FOLDERS.values() for part in parts]
    if name in prepared.COMING and not any((source / part).is_dir() for part in known):
        raise ValueError(
            f"a builder of {name!r} is not in this version; arrange its files as {source}/photos "
            f"and {source}/labels, each with train/ and val/, and they are read as a folder"
        )
    files = folder.list_files(source, kind)
    for part in sorted(part.split("[")[0] for split in splits for part in split.split("+")):
        if part not in files and part != "all":
            raise ValueError(
                f"data set {name!r} has no {kind} of split {part!r} in {source}, only of "
                f"{', '.join(files)}; change data.photos, data.labels or data.validation"
            )
    spec = _spec(settings, name, source) if kind == "labels" else None
    origin = {"files": folder.fingerprint(files), "spec": spec.to_dict() if spec else None}
    classes = {"camvid": camvid.Camvid, "faces": faces.Faces}
    return {
        "builder": classes.get(name) or folder.named(name),
        "origin": origin,
        "source": str(source),
        "spec": spec,
        "counts": {split: len(paths) for split, paths in files.items()},
    }


def _scenes(settings, kind: str) -> dict:
    """The part of a plan that the embedded data set decides."""
    from usis_jax.data import scenes

    if settings.data.label_spec:
        raise ValueError(
            f"data.label_spec is {settings.data.label_spec!r}; it must be empty for scenes"
        )
    counts = {
        "train": settings.data.num_scenes,
        "validation": settings.data.num_validation,
        "test": settings.data.num_validation,
    }
    return {
        "builder": scenes.Scenes,
        "origin": {"counts": counts, "seed": 0},
        "source": "",
        "spec": label_spec.get("scenes"),
        "counts": counts,
    }


def _spec(settings, name: str, source: pathlib.Path) -> label_spec.LabelSpec:
    from usis_jax.data import builtin_specs, folder

    if settings.data.label_spec:
        return label_spec.find(settings.data.label_spec)
    if any((source / file).is_file() for file in label_spec.FILE_NAMES):
        return folder.find_spec(source)
    return builtin_specs.SPECS.get(name) or folder.find_spec(source)


def _must_build(plan: dict, overwrite: bool) -> bool:
    """Whether a plan is not prepared yet; ValueError if it is, from other files."""
    from usis_jax.data import builder

    if not prepared.is_prepared(plan["path"]):
        return True
    if plan["origin"] is None:
        return False
    try:
        old = json.loads((plan["path"] / builder.SOURCE_FILE).read_text())
    except (OSError, ValueError):
        old = {}
    new = json.loads(json.dumps(plan["origin"]))
    if old == new:
        return False
    if overwrite:
        return True
    what = " and ".join(key for key in new if old.get(key) != new[key])
    raise ValueError(
        f"{plan['path']} was prepared from other data (different: {what}); add --overwrite to "
        "build it again, or choose another --config.data.prepared_dir"
    )


def _build(plans: list[dict], folder: pathlib.Path, progress: bool) -> None:
    """Builds all plans below `folder`; reports the bad files of all of them in one error."""
    import tensorflow_datasets as tfds
    import tqdm

    from usis_jax.data import builder

    tfds.disable_progress_bar()
    problems = []
    total = sum(sum(plan["counts"].values()) for plan in plans)
    bar = tqdm.tqdm(total=total, disable=not progress, unit="image", desc="prepare")
    with bar, _quiet():
        for plan in plans:
            config = builder.DataConfig(
                **{k: plan[k] for k in ("kind", "height", "width", "spec", "source", "origin")}
            )
            one = plan["builder"](data_dir=str(folder), config=config)
            one.on_image = bar.update
            one.download_and_prepare(file_format="array_record")
            problems += one.problems
    if problems:
        raise builder.BadFiles(problems)


@contextlib.contextmanager
def _quiet():
    """Keeps TFDS's own messages off stdout and stderr."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _bytes(plans: list[dict]) -> int:
    """Upper estimate of the space that plans need: all images without compression."""
    pixels = {"photos": 3, "labels": 1}
    return sum(
        sum(p["counts"].values()) * p["height"] * p["width"] * pixels[p["kind"]] for p in plans
    )


def _summary(plan: dict, built: bool) -> dict:
    info = json.loads((plan["path"] / "dataset_info.json").read_text())
    splits = {s["name"]: sum(map(int, s["shardLengths"])) for s in info["splits"]}
    what = f"{plan['name']} {plan['kind']} {plan['height']}x{plan['width']}"
    counts = ", ".join(f"{n} {split}" for split, n in splits.items())
    state = "prepared" if built else "already prepared, nothing to do"
    return {
        **{key: plan[key] for key in ("name", "kind", "height", "width")},
        "path": str(plan["path"]),
        "splits": splits,
        "built": built,
        "message": f"{what}: {state} ({counts}) in {plan['path']}",
    }
