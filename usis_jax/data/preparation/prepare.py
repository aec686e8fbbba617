"""Builds the prepared data sets that a run's settings name: PNGs in ArrayRecord, by TFDS."""

import contextlib
import io
import json
import pathlib
import sys

from usis_jax.data.preparation import build_plan, locations, prepared_sets, staging
from usis_jax.storage import texts


def prepare(
    settings,
    data_dir=None,
    progress: bool = True,
    overwrite: bool = False,
    own=None,
    skip_bad: bool = False,
    allow_partial: bool = False,
) -> dict:
    """Builds every data set that `settings.data` names and that is not there yet.

    All are built in a temporary folder and moved into place together, so after an error nothing
    half-written is left.

    Args:
      settings: Settings.
      data_dir: folder of the user's files: photos/ and labels/, or what the owners of a published
        data set distribute; in it or in a folder NAME of it for each data set. Not needed for
        scenes.
      progress: whether to show progress on stderr.
      overwrite: whether to build again what is prepared, of these files or of others.
      own: OwnFolders, the files of the data set of that name; or None.
      skip_bad: whether to leave out files that cannot be used, instead of refusing them all.
      allow_partial: whether published data sets may have another number of files than published.

    Returns:
      {"prepared_dir": str, "datasets": [{"name", "kind", "height", "width", "path",
      "splits": {split: count}, "built": bool, "skipped": [why a file was left out], "message"}]}.

    Raises:
      FileNotFoundError: data_dir, or a folder in it, is missing.
      ValueError: a file cannot be used, a published data set is not complete, the data were
        prepared from other files, or the target cannot be written. Each bad file is named, up to
        ten.
    """
    root = locations.directory(settings)
    entries = build_plan.all_plans(settings, data_dir, own, allow_partial)
    to_build = [plan for plan in entries if build_plan.must_build(plan, overwrite)]
    if overwrite and not to_build:  # nothing is known to be wrong, but somebody wants it new
        to_build = [plan for plan in entries if plan["origin"] is not None]
    if to_build:
        with staging.folder(root, _bytes(to_build)) as temporary:
            _build(to_build, temporary, progress, skip_bad)
            for plan in to_build:
                new = temporary / plan["path"].relative_to(root)
                staging.move(new, plan["path"], temporary)
    result = {"prepared_dir": str(root), "datasets": [_summary(p, p in to_build) for p in entries]}
    if progress:
        for entry in result["datasets"]:
            print(entry["message"], file=sys.stderr)
    return result


def _build(entries: list[dict], folder: pathlib.Path, progress: bool, skip_bad: bool) -> None:
    """Builds all plans below `folder`; reports the bad files of all of them in one error."""
    import tensorflow_datasets as tfds
    import tqdm

    from usis_jax.data.datasets import base
    from usis_jax.data.pipeline import class_frequency

    tfds.disable_progress_bar()
    problems, empty = [], []
    total = sum(sum(build_plan.counts(plan).values()) for plan in entries)
    bar = tqdm.tqdm(total=total, disable=not progress, unit="image", desc="prepare")
    with bar, _quiet():
        for plan in entries:
            counts = build_plan.counts(plan)
            config = base.DataConfig(
                files={split: files for split, files in plan["files"].items() if split in counts},
                **{k: plan[k] for k in ("kind", "height", "width", "spec", "origin")},
            )
            one = plan["builder"](data_dir=str(folder), config=config)
            one.on_image, one.skip_bad = bar.update, skip_bad
            one.download_and_prepare(file_format="array_record")
            stored = plan["origin"] | {"from": plan.get("from", {})}
            if one.problems and skip_bad and not one.empty:
                stored["skipped"] = one.problems
            else:
                problems += one.problems
                empty += [f"{plan['kind']} of {plan['name']}:{split}" for split in one.empty]
            (one.data_path / base.SOURCE_FILE).write_text(json.dumps(stored, indent=1))
            if plan["kind"] == "labels" and not problems:
                class_frequency.store(one.data_path, progress)
    if problems:
        advice = "--skip_bad goes on without them"
        if empty:
            advice = f"no file is good of {', '.join(empty)}, which must have one"
        raise base.BadFiles(problems, advice)


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


def _bytes(entries: list[dict]) -> int:
    """Upper estimate of the space that plans need: all images without compression."""
    pixels = {"photos": 3, "labels": 1}
    return sum(
        sum(build_plan.counts(p).values()) * p["height"] * p["width"] * pixels[p["kind"]]
        for p in entries
    )


def _summary(plan: dict, built: bool) -> dict:
    splits = prepared_sets.splits(plan["path"])
    what = f"{plan['name']} {plan['kind']} {plan['height']}x{plan['width']}"
    counts = ", ".join(f"{n} {split}" for split, n in splits.items())
    state = "prepared" if built else "already prepared, nothing to do"
    skipped = _skipped(plan["path"])
    if skipped:
        counts += f"; {len(skipped)} bad file{'s' * (len(skipped) > 1)} left out"
    return {
        **{key: plan[key] for key in ("name", "kind", "height", "width")},
        "path": str(plan["path"]),
        "splits": splits,
        "built": built,
        "skipped": skipped,
        "message": f"{what}: {state} ({counts}) in {plan['path']}",
    }


def _skipped(path: pathlib.Path) -> list[str]:
    """Why files were left out of a prepared data set, a line for each."""
    from usis_jax.data.datasets import base

    try:
        return texts.read_json(path / base.SOURCE_FILE).get("skipped", [])
    except (OSError, ValueError):
        return []
