"""What is suspicious in a user's photos and label maps, what it means and what to do."""

import collections
import dataclasses
import unicodedata

from usis_jax.data.inspection.draft_spec import Draft
from usis_jax.data.inspection.label_files import Labels, channels
from usis_jax.data.inspection.photo_files import Photos
from usis_jax.data.specs.label_spec import LabelSpec

LEVELS = ("error", "warning", "note")
_STRETCH = 1.25


@dataclasses.dataclass
class Finding:
    """Something to know before preparing.

    Attributes:
      level: "error", which usis prepare refuses; "warning", which harms; "note".
      kind: "photos" or "labels".
      what: one word for programs.
      text: what it is, what it means, what to do.
      files: names of the files that it concerns, or of some of them.
      count: how many files it concerns, None if that was not counted.
    """

    level: str
    kind: str
    what: str
    text: str
    files: list[str]
    count: int | None


def of_all(
    photos: Photos | None, labels: Labels | None, draft: Draft | None, spec: LabelSpec | None
) -> tuple[int, list[Finding]]:
    """Number of pairs of one name, and all findings, errors first; see the functions below."""
    found, pairs = [], 0
    if photos:
        found += of_photos(photos)
    if labels:
        found += of_labels(labels, draft, spec)
    if photos and labels:
        pairs, more = of_pairs(photos, labels)
        found += more
    return pairs, sorted(found, key=lambda finding: LEVELS.index(finding.level))


def of_photos(photos: Photos) -> list[Finding]:
    """Findings on photos, the gravest first."""
    found = _unreadable("photos", photos.problems)
    for level, mark, text in (
        ("warning", "like_labels", "look like label maps, with few colours on flat areas; if they "
         "are, they belong into the folder of label maps"),
        ("warning", "dark", "have 16 bits a channel and no value above 32767; 65535 is read as "
         "white, so they will be dark: scale them up before"),
        ("note", "grey", "are grey; they are read as RGB, and the generator learns that some "
         "photos have no colour: leave them out if that is not meant"),
        ("note", "turned", "are stored rotated or mirrored and say so in EXIF; they are read "
         "upright"),
        ("note", "frames", "have several frames or pages; only the first one is read"),
        ("note", "profile", "have a colour profile other than sRGB "
         f"({_some(list(photos.profiles), 3)}); it is ignored, so colours are a little off: "
         "convert them to sRGB if that matters"),
        ("note", "cmyk", "are CMYK; they are read as RGB, without colour management"),
        ("note", "alpha", "have transparency; what is transparent is put on white"),
        ("note", "deep", "have 16 bits a channel; 65535 is read as white"),
    ):  # fmt: skip
        if photos.marked[mark]:
            found.append(_of_files(level, "photos", mark, text, photos.marked[mark]))
    small = photos.small()
    if small:
        text = (
            "are less than half as high or wide as most; enlarged they are blurred, and the "
            "generator learns that: leave them out"
        )
        found.append(_of_files("warning", "photos", "small", text, small))
    return found + _proportions("photos", photos.sizes)


def of_labels(labels: Labels, draft: Draft | None, spec: LabelSpec | None) -> list[Finding]:
    """Findings on label maps, the gravest first.

    Args:
      labels: sums over the files.
      draft: proposed spec, or None if there cannot be one.
      spec: the spec that lies in the folder already, or None.
    """
    found = _unreadable("labels", labels.problems)
    for level, mark, text in (
        ("error", "lossy", "are JPEG or another lossy format, which changes ids and colours at "
         "edges; export them again as PNG: converting these files does not bring the ids back"),
        ("error", "like_photo", "look like photos, with very many colours; label maps have one "
         "flat colour or id for each class"),
        ("error", "many", "have more than 4096 values; they may hold instance ids or distances "
         "instead of classes"),
        ("note", "alpha", "have transparency, which is ignored"),
    ):  # fmt: skip
        smoothed = mark == "many" and labels.smoothing()
        if labels.marked[mark] and not smoothed:
            found.append(_of_files(level, "labels", mark, text, labels.marked[mark]))
    found += _of_values(labels, draft)
    if spec:
        found += _unknown_to(spec, labels)
    return found + _proportions("labels", labels.sizes)


def of_pairs(photos: Photos, labels: Labels) -> tuple[int, list[Finding]]:
    """Number of photos that have the name of a label map, and findings on those pairs."""
    sizes = [
        {unicodedata.normalize("NFC", name.rpartition(".")[0]): size
         for name, size in part.sizes.items()}
        for part in (photos, labels)
    ]  # fmt: skip
    shared = sizes[0].keys() & sizes[1].keys()
    other = sorted(
        n for n in shared
        if sizes[0][n][0] * sizes[1][n][1] != sizes[0][n][1] * sizes[1][n][0]
    )  # fmt: skip
    found = []
    if other:
        text = (
            "have the name of a label map of other proportions; both are stretched to the size of "
            "training, so measuring on these pairs is off"
        )
        found.append(_of_files("warning", "photos", "pair_proportions", text, other))
    folded = {name.casefold() for name in sizes[1].keys() - shared}
    nearly = sorted(name for name in sizes[0].keys() - shared if name.casefold() in folded)
    if nearly:
        text = (
            "have the name of a label map but for capital letters, so they do not count as its "
            "pair; give both the same name if they belong together"
        )
        found.append(_of_files("note", "photos", "pair_capitals", text, nearly))
    return len(shared), found


def _unreadable(kind: str, problems: list[str]) -> list[Finding]:
    if not problems:
        return []
    text = "cannot be read; repair or remove them, or prepare with --skip_bad"
    return [_of_files("error", kind, "unreadable", text, problems)]


def _of_files(level: str, kind: str, what: str, text: str, files: list[str]) -> Finding:
    return Finding(level, kind, what, text, files, len(files))


def _of_values(labels: Labels, draft: Draft | None) -> list[Finding]:
    """Findings on ids and colours."""
    ranked, found = labels.ranked(), []
    if not ranked:
        return found
    words = "colours" if labels.in_colour else "ids"
    files, everything = labels.files[labels.in_colour], labels.pixels[labels.in_colour]
    smoothed = labels.smoothing()
    kept = [(value, entry) for value, entry in ranked if value not in smoothed]
    if labels.files[True] and labels.files[False]:
        found.append(_mixed(labels))
    if smoothed:
        made = {value: entry for value, entry in ranked if value in smoothed}
        share = sum(entry.pixels for entry in made.values()) / everything
        text = (
            f"have {words} that smoothed edges or lossy compression made: {len(smoothed)} of "
            f"{len(ranked)} {words}, on {share:.2%} of the pixels; export the label maps again "
            "without anti-aliasing, and resize them with nearest neighbour only"
        )
        found.append(Finding("error", "labels", "smoothed", text, _examples(made), None))
    elif draft is None:
        text = (
            f"have {len(ranked)} {words} together; a label spec holds 256 classes, and ids up to "
            "65535: these may be instance ids"
        )
        found.append(Finding("error", "labels", "too_many", text, _examples(dict(ranked)), files))
    if {value for value, _ in kept} == ({0, 0xFFFFFF} if labels.in_colour else {0, 255}):
        text = "are masks of two values, 0 and 255; the draft makes a class of each"
        found.append(Finding("note", "labels", "mask", text, _examples(dict(kept)), files))
    return found + _rare(kept, labels) + _palettes(labels) + _single_class(kept, labels, draft)


def _single_class(ranked, labels: Labels, draft: Draft | None) -> list[Finding]:
    """Label maps that know one class only, besides void."""
    number = len(ranked)
    if draft is not None:
        number = len(draft.spec.classes) - (draft.spec.void is not None)
    if number != 1:
        return []
    text = (
        "have a single class: all of them say the same, so the segmenter learns nothing, mIoU is "
        "always 1, and the generator sees only noise; where a class is missing, look "
        "whether its pixels got the id of another one, or void"
    )
    return [
        Finding(
            "warning",
            "labels",
            "single_class",
            text,
            _examples(dict(ranked)),
            labels.files[labels.in_colour],
        )
    ]


def _mixed(labels: Labels) -> Finding:
    """Colour images among files with ids, or the other way round."""
    fewer = labels.files[True] <= labels.files[False]
    text = (
        f"are {'colour images' if fewer else 'images of one id a pixel'}, unlike the others; the "
        "draft knows the values of the others only: make all files of one kind, or add to each "
        "class its ids and its colour"
    )
    files = _examples(labels.values[fewer])
    return Finding("warning", "labels", "mixed", text, files, labels.files[fewer])


def _palettes(labels: Labels) -> list[Finding]:
    """Palette images in which an id does not always have one colour."""
    differing = [i for i, colours in labels.palettes.items() if len(colours) > 1]
    if not differing:
        return []
    text = (
        f"are palette images whose palettes differ: id {differing[0]} has several colours. The "
        "ids are read, not the colours; if the colours carry the meaning, convert the files to RGB"
    )
    files = labels.values[False][differing[0]].examples
    return [Finding("warning", "labels", "palettes", text, files, labels.modes["P"])]


def _rare(ranked, labels: Labels) -> list[Finding]:
    """Values that are in one file only, of three or more."""
    single = [(v, e) for v, e in ranked if e.files == 1]
    if labels.files[labels.in_colour] < 3 or not single:
        return []
    what = [f"{_value(v, labels.in_colour)} on {e.pixels} pixels" for v, e in single]
    word = "a colour" if labels.in_colour else "an id"
    text = (
        f"have {word} that no other file has: {_some(what, 6)}; a slip of the pen, or a class too "
        "rare to learn: correct it, or let it join another class in the label spec"
    )
    files = list(dict.fromkeys(e.examples[0] for _, e in single))
    return [Finding("warning", "labels", "single", text, files, len(files))]


def _unknown_to(spec: LabelSpec, labels: Labels) -> list[Finding]:
    """Values that the spec in the folder does not know."""
    if labels.in_colour:
        pairs = spec.file_colours or [(c, k) for k, c in enumerate(spec.palette)]
        known = {r << 16 | g << 8 | b for (r, g, b), _ in pairs}
    else:
        known = {i for i, _ in spec.file_ids}
    unknown = [(value, entry) for value, entry in labels.ranked() if value not in known]
    if not unknown:
        return []
    what = [_value(v, labels.in_colour) for v, _ in unknown]
    text = (
        f"have values that the label spec in the folder does not know: {_some(what, 10)}; add "
        "them to its classes"
    )
    return [Finding("error", "labels", "unknown", text, _examples(dict(unknown)), None)]


def _proportions(kind: str, sizes: dict[str, tuple[int, int]]) -> list[Finding]:
    """Files whose proportions are far from the commonest ones."""
    ratios = {name: width / height for name, (width, height) in sizes.items()}
    if not ratios:
        return []
    ((usual, _),) = collections.Counter(round(r, 2) for r in ratios.values()).most_common(1)
    odd = [name for name, r in ratios.items() if not usual / _STRETCH <= r <= usual * _STRETCH]
    if not odd:
        return []
    text = (
        f"have other proportions than most (width / height {usual:g}); all are stretched to one "
        "size: crop them before if that matters"
    )
    return [_of_files("warning", kind, "proportions", text, odd)]


def _value(value: int, colour: bool) -> str:
    return str(channels(value)) if colour else str(value)


def _some(items: list[str], limit: int) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def _examples(values) -> list[str]:
    """Names of files that have one of the values."""
    return list(dict.fromkeys(name for entry in values.values() for name in entry.examples))
