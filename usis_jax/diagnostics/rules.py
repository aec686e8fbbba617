"""The training diagnostics in words: each with a sentence, a status and its rule of thumb.

Thresholds are rules of thumb: they show where to look, they prove nothing.
"""

from usis_jax.diagnostics import loss_jumps
from usis_jax.diagnostics.diagnosis import BAD, FINE, LOOK, UNKNOWN, Diagnostic

# Classes whose IoU is below it count as missing from the generated images.
NOT_GENERATED = 0.02
_RECENT = 0.1
# With fewer logged values than this the status is UNKNOWN.
_ENOUGH = 5
_FEW_MAPS = 0.0001


def apply(series, evaluation=None, best="swd", better="lower"):
    """Applies the rules to what was logged and measured.

    Args:
        series: dict of name -> (steps, values), of display.loss_plot.read_metrics.
        evaluation: the newest dict of workdir.eval_records.record, or None.
        best: value that decides the best checkpoint, such as "swd".
        better: "lower" or "higher".
    Returns:
        list of Diagnostic, always the same ones in the same order.
    """
    rows = {row["id"]: row for row in (evaluation or {}).get("rows", ())}
    measured = (evaluation or {}).get("diagnostics", {})
    classes = (evaluation or {}).get("classes", ())
    return [
        _discriminator(series),
        _overfitting(measured),
        _segmenter(series, classes),
        _ignored(rows, classes),
        _frequencies(measured, rows),
        _variety(measured),
        _noise(measured),
        _getting_better(series, best, better),
        loss_jumps.diagnostic(series, classes),
        _finite(series),
    ]


def ignored_classes(row, classes):
    """Classes of the label maps that a segmenter hardly finds in generated images.

    Args:
        row: dict of protocol.Row with "iou" and "shares" of the classes in its details.
        classes: list of {"name"} in the order of their ids.
    Returns:
        (names of those with an IoU below NOT_GENERATED although they have 0.01% of the pixels or
        more and, where that is known, a segmenter finds them in real images; number of classes
        there).
    """
    details = row.get("details", {})
    found, present = [], 0
    real = details.get("iou_of_real")
    real = real if isinstance(real, list | tuple) else []
    for index, (name, iou, share) in enumerate(
        zip(
            (one["name"] for one in classes),
            details.get("iou") or (),
            details.get("shares") or (),
            strict=False,
        )
    ):
        if not isinstance(share, float) or share < _FEW_MAPS or not isinstance(iou, float):
            continue
        present += 1
        bound = real[index] if index < len(real) else None
        if iou < NOT_GENERATED and not (isinstance(bound, float) and bound < 2 * NOT_GENERATED):
            found.append(name)
    return found, present


def _discriminator(series):
    shares = [_recent(series, f"right_{kind}") for kind in ("real", "fake")]
    scores = [_recent(series, f"score_{kind}") for kind in ("real", "fake")]
    gap = None if None in scores else scores[0] - scores[1]
    rule, status, value = (
        "fine while D is right on 55 to 95% of the images, bad above 99%",
        UNKNOWN,
        "too little is logged",
    )
    if None not in shares:
        share = sum(shares) / 2
        status = _level(share, LOOK if share < 0.55 else FINE, (0.95, LOOK), (0.99, BAD))
        value = f"right on {shares[0]:.0%} of real and {shares[1]:.0%} of generated images"
        value += "" if gap is None else f"; scores {gap:.2f} apart"
    elif gap is not None:
        status = _level(gap, LOOK if gap < 0.1 else FINE, (6, LOOK), (12, BAD))
        value = f"scores {gap:.2f} apart"
        rule = "fine while mean scores are 0.1 to 6 apart, bad above 12"
    return Diagnostic(
        "D tells real from generated", value, status,
        "How well the discriminator separates the images it trains on: near guessing it teaches "
        "the generator nothing, and when it is always right its gradient vanishes.",
        rule, "D wins: raise r1_gamma, lower optimizer.discriminator_rate or add "
        "discriminator.augment; D guesses: the opposite, or give D more channels.",
        ("score_real", "score_fake", "right_real", "right_fake"),
    )  # fmt: skip


def _overfitting(measured):
    value, status = measured.get("diagnostics/overfitting"), UNKNOWN
    text = (
        "not measured"
        if "diagnostics/score_training" not in measured
        else "D does not tell training images from generated ones, so there is no scale"
    )
    if value is not None:
        status = _level(value, FINE, (0.4, LOOK), (0.8, BAD))
        text = (
            f"{value:.2f}; held-out real images taken for real: "
            f"{measured.get('diagnostics/right_validation', 0):.0%}, training images: "
            f"{measured.get('diagnostics/right_training', 0):.0%}"
        )
    return Diagnostic(
        "D overfits", text, status,
        "Where the score of real images that D never saw lies between that of its training "
        "images (0) and that of generated ones (1): towards 1 it knows its images by heart.",
        "fine below 0.4, bad above 0.8 (r_v of Karras et al. 2020)",
        "Use discriminator.augment, more photos, a larger r1_gamma, or stop earlier. It also "
        "rises where the held-out images are of other places than the training images.",
        ("diagnostics/overfitting", "diagnostics/score_training", "diagnostics/score_validation",
         "diagnostics/score_generated"),
    )  # fmt: skip


def _segmenter(series, classes):
    number = sum(not one.get("void") for one in classes) or 10
    value, status, text = _recent(series, "class_accuracy"), UNKNOWN, "too little is logged"
    name = "class_accuracy"
    if value is None and _recent(series, "pixel_accuracy") is not None:
        name, value = "pixel_accuracy", _recent(series, "pixel_accuracy")
    if value is not None:
        most = max(_smooth(series[name][1]))
        kind = "the pixels of a class, mean over classes" if name == "class_accuracy" else "pixels"
        text = f"reads {value:.0%} of {kind}"
        chance = 1 / number
        status = _enough(value, 3 * chance, 1.5 * chance)
        if value < 0.7 * most:
            status, text = max(status, LOOK, key=_RANKS.index), f"{text}, {most:.0%} before"
    return Diagnostic(
        "S reads generated images", text, status,
        "How much of the label map the segmenter recovers from the images that the generator has "
        "just generated: if it stays near chance, the generator ignores the map.",
        f"fine above 3 times chance (here {3 / number:.0%}), bad below 1.5 times, look where it "
        "fell below 70% of its best",
        "In the first hundreds of steps low is normal. Later: optimizer.discriminator_warmup, a "
        "larger loss.segmentation, or a lower rate.",
        ("class_accuracy", "pixel_accuracy", "loss_segmentation"),
    )  # fmt: skip


def _ignored(rows, classes):
    texts, status = [], UNKNOWN
    for measure, who in (("consistency_miou", "S"), ("miou", "the evaluator")):
        names, present = ignored_classes(rows.get(measure, {}), classes)
        if not present:
            continue
        level = FINE if not names else BAD if len(names) > present / 4 else LOOK
        status = level if status == UNKNOWN else max(status, level, key=_RANKS.index)
        listed = ", ".join(names) if names else "none"
        texts.append(f"{listed} of {present} classes, as {who} reads")
    return Diagnostic(
        "Classes not generated", "; ".join(texts) or "not measured", status,
        "Classes in the label maps that a segmenter does not find in the generated images: the "
        "generator puts something else there.",
        f"IoU below {NOT_GENERATED:.0%}: look where there is one, bad where it is more than a "
        "quarter of the classes",
        "Rare classes come last: train longer, or set data.class_balance; tiny ones may need "
        "larger images.",
        ("evaluation/consistency_miou", "diagnostics/segmenter_class_accuracy"),
    )  # fmt: skip


def _frequencies(measured, rows):
    value = measured.get("diagnostics/high_frequencies_db")
    status, text = UNKNOWN, "not measured"
    if value is not None:
        status = _level(abs(value), FINE, (3, LOOK), (6, BAD))
        text = f"{10 ** (value / 10):.0%} of the power of real images ({value:+.1f} dB)"
        floor = rows.get("spectral_distance", {}).get("details", {}).get("high_of_training")
        if isinstance(floor, float):
            text += f"; real training images: {10 ** (floor / 10):.0%}"
    return Diagnostic(
        "High frequencies", text, status,
        "Fine detail (from a quarter cycle a pixel on) in generated images against real ones: less "
        "is blur, more is noise or a grid.",
        "fine within 3 dB (50 to 200%), bad beyond 6 dB (25 to 400%)",
        "Blur often goes with longer training; a grid that stays speaks for another "
        "discriminator.name or decoder.weight.",
        ("diagnostics/high_frequencies_db",),
    )  # fmt: skip


def _variety(measured):
    value = measured.get("diagnostics/spread")
    text = "not measured" if value is None else f"{value:.0%} of what real images differ by"
    return Diagnostic(
        "Images differ from each other", text, _enough(value, 0.6, 0.35),
        "How far generated images of different label maps differ in each pixel, against real ones: "
        "if they become alike, the generator has collapsed.",
        "fine from 60% on, bad below 35%",
        "Go back to an earlier checkpoint; raise r1_gamma or lower the rates.",
        ("diagnostics/spread",),
    )  # fmt: skip


def _noise(measured):
    value, text = measured.get("diagnostics/noise_difference"), "not measured"
    if value is not None:
        text = f"other noise changes a pixel by {value:.1f} of 255 grey levels"
    return Diagnostic(
        "Noise changes the image", text, _enough(value, 3, 0.5),
        "How far two images of one label map differ: near 0 there is only one image for each map.",
        "fine from 3 grey levels on, bad below 0.5",
        "generator.noise=mixed or pixel gives the noise more to do.",
        ("diagnostics/noise_difference",),
    )  # fmt: skip


def _getting_better(series, best, better):
    steps, values = series.get(f"evaluation/{best}", ([], []))
    status, text = UNKNOWN, f"{len(values)} measurements of {best}"
    if len(values) >= 3:
        sign = 1 if better == "lower" else -1
        place = min(range(len(values)), key=lambda i: sign * values[i])
        ratio = values[-1] / values[place] if values[place] else 1.0
        worse = ratio if better == "lower" else 1 / ratio if ratio else float("inf")
        late = steps[place] >= 0.7 * steps[-1]
        status = BAD if worse > 1.5 else FINE if late or worse < 1.1 else LOOK
        text = f"best {best} {values[place]:.4g} at step {steps[place]:,}, now {values[-1]:.4g}"
    return Diagnostic(
        "Still getting better", text, status,
        "Whether the measure that chooses the best checkpoint still falls or rises as it should; "
        "it is only as good as that measure (docs/evaluation.md).",
        "fine if the best is among the last 30% of the steps or now within 10% of it, bad if now "
        "more than 1.5 times worse",
        "Look at the sample grids of both steps; stop, or lower the rates.",
        (f"evaluation/{best}",),
    )  # fmt: skip


def _finite(series):
    times = len(series.get("data_order", ([], []))[1])
    known = any(name.startswith("loss_") for name in series)
    return Diagnostic(
        "Losses are finite",
        f"went back {times} times" if times else "yes" if known else "nothing logged",
        UNKNOWN if not known else FINE if not times else LOOK if times < 3 else BAD,
        "How often the run went back to a checkpoint because a loss was not finite.",
        "look from once on, bad from 3 times on",
        "Lower the rates, or use compute_dtype=float32.",
        ("data_order",),
    )


_RANKS = (UNKNOWN, FINE, LOOK, BAD)


def _level(value, status, *limits):
    """The status, or that of the last limit which the value is above."""
    for limit, above in limits:
        status = above if value > limit else status
    return status


def _enough(value, fine, bad):
    """The status of a value of which more is better: fine from one limit on, bad below another."""
    if value is None:
        return UNKNOWN
    return BAD if value < bad else LOOK if value < fine else FINE


def _recent(series, name):
    """Mean of the last tenth of what was logged, of 5 to 50 values; None where there are fewer."""
    values = series.get(name, ([], []))[1]
    number = min(50, max(_ENOUGH, int(_RECENT * len(values))))
    return sum(values[-number:]) / number if len(values) >= _ENOUGH else None


def _smooth(values):
    """Running means over as many values as `_recent` takes."""
    number = min(len(values), 50, max(_ENOUGH, int(_RECENT * len(values))))
    return [sum(values[i : i + number]) / number for i in range(len(values) - number + 1)]
