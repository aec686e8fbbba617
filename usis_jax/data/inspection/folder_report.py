"""What `usis inspect` found, as JSON values and in words."""

import pathlib

from usis_jax.data.inspection import draft_spec, label_files
from usis_jax.data.preparation import folder_layout

_ROWS = 40
_FILES = 3
_WORDS = {"photos": ("photo", "photos"), "labels": ("label map", "label maps")}
_SINGULAR = {"are": "is", "have": "has", "look": "looks", "cannot": "cannot"}


def of_kind(sums, kind: str, draft=None) -> dict | None:
    """JSON values on photos or label maps.

    Args:
      sums: Photos or Labels, or None.
      kind: "photos" or "labels".
      draft: Draft that names the classes of ids or colours, or None.

    Returns:
      {"folder", "count", "readable", "splits", "sizes", "modes"} and, of photos, "formats", of
      label maps, "in_colour" and "values"; None without sums.
    """
    if sums is None:
        return None
    sizes: dict[str, int] = {}
    for width, height in sums.sizes.values():
        sizes[f"{width}x{height}"] = sizes.get(f"{width}x{height}", 0) + 1
    report = {
        "folder": str(sums.root),
        "count": sums.count,
        "readable": len(sums.sizes),
        "splits": _splits(sums.root, kind),
        "sizes": dict(sorted(sizes.items(), key=lambda item: -item[1])),
        "modes": dict(sums.modes.most_common()),
    }
    if kind == "photos":
        return report | {"formats": dict(sums.formats.most_common())}
    return report | {"in_colour": sums.in_colour, "values": _values(sums, draft)}


def of_spec(draft, path: pathlib.Path, there) -> dict | None:
    """JSON values on a draft written to `path`; `there` is the spec that was there before."""
    if draft is None:
        return None
    return {
        "file": str(path),
        "there_already": str(there) if there else None,
        "classes": list(draft.spec.classes),
        "void": None if draft.spec.void is None else draft.spec.classes[draft.spec.void],
        "like": draft.like,
        "notes": draft.notes,
    }


def _splits(root: pathlib.Path, kind: str) -> dict[str, int]:
    try:
        return {split: len(files) for split, files in folder_layout.split_files(root, kind).items()}
    except ValueError:
        return {}


def _values(labels, draft) -> list[dict]:
    """Every id or colour, the most frequent first."""
    smoothed, total = labels.smoothing(), labels.pixels[labels.in_colour]
    names = draft_spec.names(draft, labels.in_colour)
    rows = []
    for value, entry in labels.ranked():
        colour = list(label_files.channels(value))
        rows.append(
            ({"colour": colour} if labels.in_colour else {"id": value})
            | {"class": names.get(value), "pixels": entry.pixels, "share": entry.pixels / total}
            | {"files": entry.files, "examples": entry.examples, "smoothed": value in smoothed}
        )
    return rows


def text(report: dict) -> str:
    """A report of `inspect.inspect` in words."""
    lines = [_kind_line(kind, report[kind]) for kind in ("photos", "labels") if report[kind]]
    if report["photos"] and report["labels"]:
        lines.append(
            f"pairs: {report['pairs']} photos have the name of a label map"
            if report["pairs"]
            else "pairs: none, no photo has the name of a label map; training does not need them"
        )
    if report["labels"]:
        lines += _table(report["labels"])
    if report["findings"]:
        lines.append("")
    lines += [_finding_line(finding) for finding in report["findings"]]
    lines.append("")
    spec = report["spec"]
    if spec:
        lines += [f"note: {note}" for note in spec["notes"]]
        before = f"; {spec['there_already']} is as it was" if spec["there_already"] else ""
        void = f", void is {spec['void']!r}" if spec["void"] else ", no void"
        lines.append(
            f"draft of a label spec: {spec['file']} ({len(spec['classes'])} classes{void}){before}"
        )
    elif report["labels"]:
        lines.append("no label spec can be drafted from these label maps; see the errors above")
    if report["picture"]:
        lines.append(f"picture: {report['picture']}")
    if report["next"]:
        lines.append(f"next: edit the label spec, then {report['next']}")
    return "\n".join(lines)


def _kind_line(kind: str, part: dict) -> str:
    splits = ", ".join(f"{count} {split}" for split, count in part["splits"].items())
    modes = ", ".join(_counted(part["modes"], part["readable"]))
    sizes = list(part["sizes"])
    if len(sizes) == 1:
        size = sizes[0]
    elif sizes:
        order = sorted(sizes, key=lambda s: tuple(map(int, s.split("x"))))
        usual = f"{sizes[0]} the commonest ({part['sizes'][sizes[0]] / part['readable']:.0%})"
        size = f"{len(sizes)} sizes, {order[0]} to {order[-1]}, {usual}"
    else:
        size = "none can be read"
    one, many = _WORDS[kind]
    count = f"{part['count']} {one if part['count'] == 1 else many}"
    formats = ", ".join(_counted(part.get("formats", {}), part["readable"]))
    words = [f"{kind}: {count} in {part['folder']}", splits and f"({splits})", "-", size]
    return " ".join(filter(None, [*words, modes and f"- {modes}", formats and f"- {formats}"]))


def _counted(counts: dict, total: int) -> list[str]:
    """Names of a count, with numbers where there are several."""
    return [name if count == total else f"{count} {name}" for name, count in counts.items()]


def _table(labels: dict) -> list[str]:
    """Ids or colours with their shares, the most frequent first."""
    values = [value for value in labels["values"] if not value["smoothed"]]
    if not values:
        return []
    head = "colour" if labels["in_colour"] else "id"
    lines = ["", f"{head:>15}  {'share':>7}  {'files':>6}  {'class':24}  such as"]
    for value in values[:_ROWS]:
        what = value.get("id", tuple(value.get("colour", ())))
        lines.append(
            f"{what!s:>15}  {value['share']:>7.2%}  {value['files']:>6}  "
            f"{value['class'] or '':24}  {value['examples'][0]}"
        )
    if len(values) > _ROWS:
        lines.append(f"{'':>15}  and {len(values) - _ROWS} more, which --json=FILE has")
    return lines


def _finding_line(finding: dict) -> str:
    one, many = _WORDS[finding["kind"]]
    count, said = finding["count"], finding["text"]
    if finding["what"] == "layout":
        return f"{finding['level']}: {said}"
    if count == 1:
        verb, _, rest = said.partition(" ")
        subject, said = f"1 {one}", f"{_SINGULAR[verb]} {rest}"
    else:
        subject = f"{count} {many}" if count else f"some {many}"
    files = finding["files"][:_FILES]
    more = (count or len(finding["files"])) - len(files)
    named = "; ".join(files) if finding["what"] == "unreadable" else ", ".join(files)
    named += f" and {more} more" if more > 0 else ""
    return f"{finding['level']}: {subject} {said}" + (f" ({named})" if named else "")
