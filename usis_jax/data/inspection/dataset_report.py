"""What a configuration trains on: counts, sizes, shares of the classes, and a picture."""

import dataclasses

import numpy as np

from usis_jax.config import schema
from usis_jax.data.datasets.base import FIELDS
from usis_jax.data.pipeline import class_frequency, input_pipeline, record_source
from usis_jax.data.preparation import locations
from usis_jax.data.specs import spec_mapping
from usis_jax.display import image_grid
from usis_jax.errors import UserError

_ROWS = 4
_COLUMNS = 2
_EVALUATED_PHOTOS = 500


def describe(settings, progress: bool = True, evaluator=None) -> dict:
    """Counts, sizes and class shares of the prepared data that settings name.

    Args:
      settings: Settings.
      progress: whether to show progress on stderr where classes must be counted.
      evaluator: `segmentation_evaluator.Evaluator` of the same classes and size, or None: the
        shares that it predicts in up to 500 training photos stand beside those of the label maps.

    Returns:
      {"prepared_dir", "height", "width" (what networks see), "stored_height", "stored_width",
      "flip", "class_balance", "photos", "labels": list of sources, each {"source", "count",
      "share" of what is drawn, "passes" in the whole run}, "validation": {"source", "photos",
      "labels": counts}, "label_spec", "classes": see `class_frequency.summary`, each
      with "trained": share of the pixels in the label maps that training draws, and "evaluator":
      its name or None}.

    Raises:
      FileNotFoundError: a data set is not prepared; says what to run.
      UserError: a split is empty or unknown, or the evaluator knows other classes or another size.
    """
    data, spec = settings.data, input_pipeline.spec(settings)
    name, split = schema.parse_data(data.labels)
    folder = record_source.folder(settings, name, "labels")
    labels = _sources(settings, "labels", [(name, split, None)])
    pixels = class_frequency.of_split(folder, split, progress)
    classes = class_frequency.summary(pixels, spec, _predicted(settings, spec, evaluator))
    trained = class_frequency.expected(pixels, spec.void, data.class_balance)
    for entry, share in zip(classes, trained, strict=True):
        entry["trained"] = float(share)
    stored_height, stored_width = locations.size(settings)
    return {
        "prepared_dir": str(locations.directory(settings)),
        "height": data.height,
        "width": data.width,
        "stored_height": stored_height,
        "stored_width": stored_width,
        "flip": data.flip,
        "class_balance": data.class_balance,
        "photos": _sources(settings, "photos", schema.parse_sources(data.photos)),
        "labels": labels,
        "validation": _validation(settings),
        "label_spec": spec.name,
        "evaluator": evaluator.name if evaluator else None,
        "classes": classes,
    }


def lines(report: dict) -> list[str]:
    """A report of `describe` in words."""
    size = f"{report['height']}x{report['width']}"
    stored = f"{report['stored_height']}x{report['stored_width']}"
    cropped = "" if stored == size else f", cut at random out of {stored}"
    mirrored = ", mirrored at random" if report["flip"] else ""
    validation = report["validation"]
    counts = f"{validation['photos']:,} photos, {validation['labels']:,} label maps"
    rows = [
        f"data at {size}{cropped}{mirrored}, in {report['prepared_dir']}",
        *(_source_line("photos", source) for source in report["photos"]),
        *(_source_line("label maps", source) for source in report["labels"]),
        f"  {'validation':12s}{validation['source']:32s}{counts}",
    ]
    balance = report["class_balance"]
    evaluator = report["evaluator"]
    rows.append(f"classes of {report['label_spec']}, in the order of their pixels:")
    head = f"  {'':24s}{'pixels':>9s}{'maps':>9s}" + ("  when balanced" if balance else "")
    rows.append(head + ("  in photos" if evaluator else ""))
    ranked = sorted(report["classes"], key=lambda entry: -entry["pixels"])
    for entry in ranked:
        if entry["maps"]:
            shown = f"  {entry['name'][:23]:24s}{_percent(entry['pixels']):>9s}{entry['maps']:>9,}"
            shown += f"{_percent(entry['trained']):>15s}" if balance else ""
            shown += f"{_percent(entry['predicted']):>11s}" if evaluator else ""
            rows.append(shown + ("  void, does not count" if entry["void"] else ""))
    absent = [entry["name"] for entry in ranked if not entry["maps"] and not entry["void"]]
    if absent:
        rows.append(f"  in no label map: {', '.join(absent)}")
    if evaluator:
        rows.append(f"  in photos: as predicted by {evaluator}, which makes mistakes")
    return rows


def picture(settings, report: dict) -> np.ndarray:
    """The first photos and label maps of training, as networks get them, and a legend.

    Args:
      settings: Settings.
      report: from `describe`.

    Returns:
      uint8 [H, W, 3].
    """
    spec, count = input_pipeline.spec(settings), _ROWS * _COLUMNS
    # Grain's batches are slices of one order, so another batch size shows the same images.
    batch = next(input_pipeline.training(dataclasses.replace(settings, batch_size=count)))
    kinds = (("photo", batch["photo"]), ("label map", spec.colour(batch["label"])))
    columns = [(title, images[i::_COLUMNS]) for title, images in kinds for i in range(_COLUMNS)]
    sheet = image_grid.grid(columns)
    entries = [
        (f"{entry['name']}: {_percent(entry['pixels'])}", tuple(colour.tolist()))
        for entry, colour in zip(report["classes"], spec.colours, strict=True)
        if entry["maps"]
    ]
    return np.concatenate([sheet, image_grid.legend(entries, sheet.shape[1])])


def _predicted(settings, spec, evaluator) -> np.ndarray | None:
    """Share of each class among the pixels of training photos, as an evaluator predicts it: [K]."""
    if evaluator is None:
        return None
    if evaluator.spec.classes != spec.classes:
        what = spec_mapping.differences(evaluator.spec, spec, "the evaluator", "the label maps")
        raise UserError(
            f"--evaluator knows the classes of {evaluator.spec.name!r} and the label maps those of "
            f"{spec.name!r} ({'; '.join(what)}); train an evaluator of the same classes"
        )
    read = evaluator.predict(input_pipeline.first_photos(settings, _EVALUATED_PHOTOS))
    return np.bincount(read.ravel(), minlength=spec.num_classes) / read.size


def _sources(settings, kind: str, sources) -> list[dict]:
    """Counts of sources (name, split, weight) and how often training goes through each."""
    counts = [
        len(record_source.open_split(record_source.folder(settings, name, kind), split, settings))
        for name, split, _ in sources
    ]
    weights = [weight or count for (*_, weight), count in zip(sources, counts, strict=True)]
    drawn = settings.steps * settings.batch_size
    return [
        {
            "source": f"{name}:{split}",
            "count": count,
            "share": weight / sum(weights),
            "passes": drawn * weight / sum(weights) / count,
        }
        for (name, split, _), count, weight in zip(sources, counts, weights, strict=True)
    ]


def _validation(settings) -> dict:
    """Counts of the photos and label maps of data.validation."""
    name, split = schema.parse_data(settings.data.validation)
    counts = {
        kind: len(
            record_source.open_split(
                record_source.folder(settings, name, kind, True), split, settings
            )
        )
        for kind in FIELDS
    }
    return {"source": settings.data.validation, **counts}


def _source_line(kind: str, source: dict) -> str:
    share = "" if source["share"] == 1 else f", {source['share']:.0%} of those drawn"
    passes = f"each seen about {source['passes']:,.0f} times"
    if source["passes"] < 1:
        passes = f"of which {source['passes']:.0%} are seen"
    return f"  {kind:12s}{source['source']:32s}{source['count']:,}{share}, {passes}"


def _percent(share: float) -> str:
    """A share with two digits that count, such as 23 %, 4.1 % or 0.03 %."""
    percent = 100 * share
    digits = next((d for d, least in ((0, 9.95), (1, 0.995), (2, 0.0995)) if percent >= least), 3)
    return f"{percent:.{digits}f} %"
