"""What `prepare` must build for a run's settings: data sets, kinds, sizes, splits, label specs."""

import json
import pathlib

from usis_jax.config import schema
from usis_jax.data.preparation import folder_layout, locations, prepared_sets, sources
from usis_jax.data.specs import label_spec, lookup, spec_mapping
from usis_jax.errors import UserError
from usis_jax.storage import paths, texts


def needed(settings) -> dict[tuple[str, str, tuple[int, int]], set[str]]:
    """Data sets, kinds and sizes, as ("camvid", "labels", (96, 128)), that settings name.

    Args:
      settings: Settings.

    Returns:
      The splits that each must have, such as {"train[:50%]"}.
    """
    data = settings.data
    wanted = [
        (name, split, "photos", False) for name, split, _ in schema.parse_sources(data.photos)
    ]
    wanted.append((*schema.parse_data(data.labels), "labels", False))
    wanted += [(*schema.parse_data(data.validation), kind, True) for kind in ("photos", "labels")]
    result: dict[tuple[str, str, tuple[int, int]], set[str]] = {}
    for name, split, kind, validation in wanted:
        key = name, kind, locations.size(settings, validation)
        result.setdefault(key, set()).add(split)
    return result


def all_plans(settings, data_dir=None, own=None, allow_partial: bool = False) -> list[dict]:
    """What to build for each data set, kind and size that settings name.

    Args:
      settings: Settings.
      data_dir: folder of the user's files, or None.
      own: OwnFolders, the files of the data set of that name; or None.
      allow_partial: whether published data sets may have another number of files than published.

    Returns:
      Dicts with `name`, `kind`, `height`, `width`, `path` (where it lies when prepared) and
      `origin` (what it is made of; None where data_dir is None and it is prepared already). Where
      `origin` is not None also `builder`, `spec`, `files` {split: {name: file}} and `available`
      {split: its part of `origin`}, both of all splits that there are, and `from`, the options
      that said where the files lie.

    Raises:
      FileNotFoundError: data_dir, or a folder in it, is missing.
      UserError: a data set has not the split that settings name or is not complete, or label
        maps to train with and to validate with have other classes.
    """
    wanted = needed(settings)
    _check_target(settings, data_dir, own)
    names = {name for name, _, _ in wanted} - ({"scenes", own.name} if own else {"scenes"})
    where = data_dir and sources.Sources(paths.of(data_dir, "--data_dir", paths.FOLDER), names)
    plans = []
    for (name, kind, size), splits in wanted.items():
        plan = _target(settings, name, kind, size)
        if name == "scenes":
            plan |= _scenes(settings, kind, splits)
        elif own and name == own.name:
            spec = own.spec if kind == "labels" else None
            states = folder_layout.fingerprint(own.files[kind])
            plan |= _files(name, kind, splits, own.files[kind], states, spec)
            plan["from"] = own.given
        elif not where:
            _check_prepared(settings, plan, splits)
        else:
            bases = _base_splits(splits, ["all"])
            found = where.find(name, kind, bases, allow_partial)
            spec = _spec(settings, name, found.folder) if kind == "labels" else None
            plan |= _files(name, kind, splits, found.files, found.states, spec)
            plan["from"] = {"data_dir": str(pathlib.Path(data_dir).expanduser().absolute())}
        plans.append(plan)
    _check_classes(settings, plans)
    return plans


def _check_target(settings, data_dir, own) -> None:
    """UserError where prepared data would lie among the files that it is made of."""
    target, inputs = locations.directory(settings), []
    if own:
        inputs += [(f"--{kind}", pathlib.Path(own.given[kind])) for kind in ("photos", "labels")]
    if data_dir:
        data_dir = paths.of(data_dir, "--data_dir", paths.FOLDER)
        names = [data_dir, *(data_dir / name for name, _, _ in needed(settings))]
        roots = [root for root in names if root.is_dir()]
        inputs += [
            ("--data_dir", found)
            for root in roots
            for kind in folder_layout.FOLDERS
            if (found := folder_layout.kind_folder(root, kind))
        ]
        if paths.real(target) == paths.real(data_dir):
            inputs.append(("--data_dir", data_dir))
    paths.check_not_an_input(target, "data.prepared_dir", inputs)


def _check_classes(settings, plans: list[dict]) -> None:
    """ValueError where the label maps of data.validation have not the classes of data.labels."""
    from usis_jax.data.datasets import base

    specs = {}
    for field, validation in (("labels", False), ("validation", True)):
        name, _ = schema.parse_data(getattr(settings.data, field))
        path = locations.location(settings, name, "labels", validation)
        plan = next(plan for plan in plans if plan["path"] == path)
        specs[field] = (
            plan["spec"] if plan["origin"] else label_spec.LabelSpec.load(path / base.SPEC_FILE)
        )
    spec_mapping.check_same(
        specs["labels"],
        specs["validation"],
        f"data.labels={settings.data.labels}",
        f"data.validation={settings.data.validation}",
    )


def _target(settings, name: str, kind: str, size) -> dict:
    """The part of a plan that says what to store and where."""
    path = locations.directory(settings) / name / locations.config_name(kind, *size)
    return {
        "name": name,
        "kind": kind,
        "height": size[0],
        "width": size[1],
        "path": path / locations.VERSION,
        "origin": None,
    }


def _check_prepared(settings, plan: dict, splits: set[str]) -> None:
    """FileNotFoundError where a plan without files is not prepared, or without a split."""
    size = plan["height"], plan["width"]
    validation = size != locations.size(settings)
    message = prepared_sets.missing_message(settings, plan["name"], plan["kind"], validation)
    if not locations.is_prepared(plan["path"]):
        raise FileNotFoundError(message)
    there = prepared_sets.splits(plan["path"])
    lacking = [split for split in _base_splits(splits, there) if split not in there]
    if lacking:
        raise FileNotFoundError(message.replace("is not prepared", f"has no {lacking[0]!r}", 1))


def _files(name: str, kind: str, splits: set[str], files: dict, states: dict, spec) -> dict:
    """The part of a plan that files, their states (see `sources.Found`) and label spec decide."""
    from usis_jax.data.datasets import registry

    chosen = _base_splits(splits, files)
    for part in chosen:
        if part not in files:
            raise UserError(
                f"data set {name!r} has no {kind} of split {part!r}, only of {', '.join(files)}; "
                "change data.photos, data.labels or data.validation, or let usis prepare "
                "--photos=DIR --labels=DIR hold out a part for validation"
            )
    origin = {
        "files": {split: states[split] for split in chosen},
        "spec": spec.to_dict() if spec else None,
    }
    return {
        "builder": registry.find(name),
        "origin": origin,
        "available": states,
        "files": files,
        "spec": spec,
    }


def _scenes(settings, kind: str, splits: set[str]) -> dict:
    """The part of a plan that the embedded data set decides."""
    from usis_jax.data.datasets import scenes

    if settings.data.label_spec and kind == "labels":
        raise UserError(
            f"data.label_spec is {settings.data.label_spec!r}; it must be empty for label maps of "
            "scenes"
        )
    available = {
        "train": settings.data.num_scenes,
        "validation": settings.data.num_validation,
        "test": settings.data.num_validation,
    }
    counts = {
        split: available[split] for split in _base_splits(splits, available) if split in available
    }
    return {
        "builder": scenes.Scenes,
        "origin": {"counts": counts, "seed": 0},
        "available": available,
        "files": {},
        "spec": lookup.get("scenes"),
    }


def _base_splits(splits: set[str], available) -> list[str]:
    """Names of whole splits, sorted, in expressions such as "train[:50%]+validation" or "all"."""
    names = {part.split("[")[0] for split in splits for part in split.split("+")}
    return sorted(names - {"all"} | (set(available) if "all" in names else set()))


def _spec(settings, name: str, source: pathlib.Path) -> label_spec.LabelSpec:
    """Label spec of a data set's files; one that data.label_spec names takes its classes over."""
    from usis_jax.data.specs import builtin_specs

    own, value = builtin_specs.SPECS.get(name), settings.data.label_spec
    if lookup.is_file(value):
        return lookup.find(value)
    if any((source / file).is_file() for file in label_spec.FILE_NAMES):
        own = folder_layout.find_spec(source)
    if not value:
        return own or folder_layout.find_spec(source)
    wanted = lookup.find(value)
    try:
        return spec_mapping.through(own, wanted) if own else wanted
    except ValueError as error:
        raise UserError(f"data.label_spec is {value!r}, for labels of {name!r}: {error}") from None


def must_build(plan: dict, overwrite: bool) -> bool:
    """Whether a plan is not prepared yet, lacks a split or a file, or must be built again.

    A plan that goes on from what is there gets the splits that were there before as well.

    Raises:
      UserError: it is prepared from other files or with another label spec.
    """
    from usis_jax.data.datasets import base

    if not locations.is_prepared(plan["path"]):
        return True
    if plan["origin"] is None:
        return False
    try:
        if prepared_sets.missing_shards(plan["path"]):
            return True
    except (ValueError, LookupError, TypeError):  # its description is damaged
        if overwrite:
            return True
    try:
        old = texts.read_json(plan["path"] / base.SOURCE_FILE)
    except (OSError, ValueError):
        old = {}
    new = json.loads(json.dumps(plan["origin"]))
    part = "files" if "files" in new else "counts"
    before, after, available = old.get(part, {}), new[part], plan["available"]
    changed = [key for key in new if key != part and old.get(key) != new[key]]
    if not before or any(available.get(split) != before[split] for split in before):
        changed.insert(0, part)
    if not changed:
        plan["origin"][part] = before | after
        return bool(set(after) - set(before))
    if overwrite:
        return True
    raise UserError(
        f"{plan['path']} was prepared from other data (different: {' and '.join(changed)}); add "
        "--overwrite to build it again, or choose another --config.data.prepared_dir"
    )


def counts(plan: dict) -> dict[str, int]:
    """Number of images that a plan stores, for each split."""
    origin = plan["origin"]
    return (
        origin["counts"]
        if "counts" in origin
        else {split: part["count"] for split, part in origin["files"].items()}
    )
