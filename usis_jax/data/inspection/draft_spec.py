"""A first label spec from what label files hold, for a person to edit."""

import dataclasses
import pathlib

from usis_jax.data.inspection.label_files import Labels, Value, channels
from usis_jax.data.specs import builtin_specs, label_spec, spec_format
from usis_jax.storage import atomic

_BLACK = (0, 0, 0)
_LEAST_COLOURS = 4  # of a built-in spec, to be taken for it
_TELLING_IDS = 25  # so many ids are hardly those of another data set by chance
# Scenes are drawn by usis itself; nobody has files of them.
_KNOWN = [spec for spec in builtin_specs.SPECS.values() if spec.name != "scenes"]


@dataclasses.dataclass
class Draft:
    """A proposed label spec.

    Attributes:
      spec: LabelSpec that knows every id or colour found, but those that smoothing made.
      like: name of the built-in spec whose classes it has, or None.
      notes: what was guessed and why, a line each.
      shares: {class: what its pixels are, in words}.
    """

    spec: label_spec.LabelSpec
    like: str | None
    notes: list[str]
    shares: list[str]


def make(labels: Labels, name: str) -> Draft | None:
    """Proposes a label spec.

    Args:
      labels: sums over the label files.
      name: name of the data set; names of the folders around it are in it.

    Returns:
      Draft, or None where there is no value or more than 256, or ids that no spec can hold.
    """
    smoothed = labels.smoothing()
    values = [value for value, _ in labels.ranked() if value not in smoothed]
    if not 1 <= len(values) <= 256 or not all(-(2**15) <= v < 2**24 for v in values):
        return None
    if not labels.in_colour and max(values) >= 2**16:
        return None
    title = _printable(pathlib.PurePath(name).name) or "own"
    make_one = _of_colours if labels.in_colour else _of_ids
    spec, like, notes = make_one(labels, values, title, name.lower())
    if smoothed:
        notes.append(
            f"{len(smoothed)} values were left out, which smoothing or compression seems to have "
            "made; usis prepare refuses files that have them"
        )
    return Draft(spec, like, notes, _shares(spec, labels))


def _of_colours(labels: Labels, values: list[int], title: str, path: str):
    """Spec of colour images, name of the built-in one that it is, notes."""
    colours = [channels(value) for value in values]
    like = _match_colours(colours)
    if like:
        spec = dataclasses.replace(builtin_specs.SPECS[like], name=title)
        return spec, like, [_like_note(like, "colours")]
    void, notes = None, []
    if _BLACK in colours and len(colours) > 2:
        void = colours.index(_BLACK)
        share = labels.values[True][0].pixels / labels.pixels[True]
        notes.append(
            f"void (pixels that do not count) is guessed: black, {share:.1%} of the pixels; if it "
            "is a class of its own, such as a background, delete the line `void`"
        )
    names = ["void" if k == void else f"class_{k}" for k in range(len(colours))]
    return label_spec.LabelSpec(title, names, colours, void), None, notes


def _of_ids(labels: Labels, values: list[int], title: str, path: str):
    """Spec of files with one id a pixel, name of the built-in one that it is, notes."""
    ids = sorted(values)
    like = _match_ids(ids, path)
    if like:
        spec = dataclasses.replace(builtin_specs.SPECS[like], name=title)
        return spec, like, [_like_note(like, "ids")]
    void, notes = None, []
    if 255 in ids and set(ids) != {0, 255}:
        void = ids.index(255)
        notes.append(
            "void (pixels that do not count) is guessed: id 255; if it is a class of its own, "
            "delete the line `void`"
        )
    names = ["void" if k == void else f"class_{i}" for k, i in enumerate(ids)]
    palette = _palette(labels, ids)
    known = _match_colours(palette)
    if known:
        like = known
        colours = _file_colours(builtin_specs.SPECS[known])
        names = [builtin_specs.SPECS[known].classes[colours[c]] for c in palette]
        own_void = builtin_specs.SPECS[known].void
        void = next((k for k, c in enumerate(palette) if colours[c] == own_void), void)
        notes = [_like_note(known, "colours of the palette")]
    fitting = [
        spec.name for spec in _KNOWN
        if not like and set(ids) == {i for i, _ in spec.file_ids}
    ]  # fmt: skip
    if fitting:
        notes.append(
            f"the ids are also those of the built-in label spec {' and '.join(fitting)}; if that "
            f"is what they mean, leave this file and say --spec={fitting[0]}"
        )
    file_ids = [(i, k) for k, i in enumerate(ids)]
    return label_spec.LabelSpec(title, names, palette, void, file_ids), like, notes


def _like_note(like: str, what: str) -> str:
    return f"the {what} are those of the built-in label spec {like}, so its classes stand here"


def _file_colours(spec) -> dict[tuple[int, int, int], int]:
    """Class of each colour that a spec knows in colour files."""
    return dict(reversed(spec.file_colours or [(c, k) for k, c in enumerate(spec.palette)]))


def _match_colours(colours) -> str | None:
    """Built-in spec that knows all of these colours, and of which they are the largest part."""
    found, best = set(colours), (0.0, None)
    for spec in _KNOWN:
        known = set(_file_colours(spec))
        if found <= known and len(found - {_BLACK}) >= _LEAST_COLOURS:
            best = max(best, (len(found) / len(known), spec.name))
    return best[1]


def _match_ids(ids, path: str) -> str | None:
    """Built-in spec that has these ids, if they are many, or the path has its name and all fit."""
    for spec in _KNOWN:
        known = {i for i, _ in spec.file_ids if i >= 0}
        telling = len(ids) >= max(_TELLING_IDS, 0.7 * len(known)) and set(ids) <= known
        if (telling and max(set(ids) - {255}) >= max(known - {255}) - 1) or (
            spec.name in path and set(ids) == known
        ):
            return spec.name
    return None


def _palette(labels: Labels, ids) -> list[tuple[int, int, int]]:
    """Colours of the ids in palette images, [] where there are none or they are of no use."""
    colours = [labels.palettes.get(i, ()) for i in ids]
    if labels.modes["P"] < labels.files[False] or any(len(c) != 1 for c in colours):
        return []
    colours = [next(iter(c)) for c in colours]
    grey = all(r == g == b for r, g, b in colours)
    return [] if grey or len(set(colours)) < len(colours) else colours


def _shares(spec, labels: Labels) -> list[str]:
    """For each class, its pixels in words."""
    values = labels.values[labels.in_colour]
    total, files = labels.pixels[labels.in_colour], labels.files[labels.in_colour]
    meaning = _meaning(spec, labels.in_colour)
    lines = []
    for k in range(spec.num_classes):
        entries = [values[v] for v, train_id in meaning if train_id == k and v in values]
        lines.append(_share(entries, total, files) if entries else "in no file")
    return lines


def _meaning(spec, in_colour: bool) -> list[tuple[int, int]]:
    """Pairs of id, or colour's code, and class."""
    if in_colour:
        return [(r << 16 | g << 8 | b, k) for (r, g, b), k in _file_colours(spec).items()]
    return list(spec.file_ids)


def _share(entries: list[Value], total: int, files: int) -> str:
    pixels = sum(entry.pixels for entry in entries)
    seen = max(entry.files for entry in entries)
    share = f"{pixels / total:.2%} of the pixels" if pixels * 10_000 > total else f"{pixels} pixels"
    return f"{share}, in {seen} of {files} files, such as {entries[0].examples[0]}"


def names(draft: Draft | None, in_colour: bool) -> dict[int, str]:
    """Class that a draft gives to each id, or to each colour's code."""
    if draft is None:
        return {}
    return {value: draft.spec.classes[k] for value, k in _meaning(draft.spec, in_colour)}


def free_path(path: pathlib.Path) -> pathlib.Path:
    """The path, or one beside it with "draft" in its name, at which there is no file yet."""
    free, number = path, 1
    while free.exists():
        free = path.with_name(f"{path.stem}.draft{number if number > 1 else ''}{path.suffix}")
        number += 1
    return free


def write(draft: Draft, path: pathlib.Path, command: str) -> None:
    """Writes a draft; a .toml file gets comments on what was found and guessed.

    Args:
      draft: what to write.
      path: file with a suffix of a label spec.
      command: what to run when the file is edited.
    """
    if path.suffix != ".toml":
        draft.spec.save(path)
        return
    content, toml = draft.spec.to_dict(), spec_format.toml_value
    lines = [
        "# Draft of usis inspect. Edit it: give the classes their names; ids that mean the same go",
        f"# into one class. Then run: {_printable(command)}",
        *(f"# Note: {_printable(note)}." for note in draft.notes),
        *(f"{k} = {toml(v)}" for k, v in _by_name(content).items() if k != "classes"),
    ]
    for entry, share in zip(content["classes"], draft.shares, strict=True):
        values = [f"{k} = {toml(v)}" for k, v in entry.items()]
        lines += ["", "[[classes]]", *values, f"# {_printable(share)}"]
    atomic.write_text(path, "\n".join(lines) + "\n")


def _printable(text: str) -> str:
    """A text that fits in one line of a file: names may have line ends, or be no UTF-8."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _by_name(content: dict) -> dict:
    """A spec's dict with void and flip pairs by name, which stay right when classes move."""
    names = [entry["name"] for entry in content["classes"]]
    if len(set(names)) < len(names):
        return content
    result = dict(content)
    if "void" in content:
        result["void"] = names[content["void"]]
    if "flip_pairs" in content:
        result["flip_pairs"] = [[names[a], names[b]] for a, b in content["flip_pairs"]]
    return result
