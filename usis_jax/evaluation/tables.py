"""Results of evaluations as a table, for the terminal and as Markdown."""

from collections.abc import Sequence

_ARROWS = {"lower": "lower is better", "higher": "higher is better"}


def number(value: float | None) -> str:
    """A number as it is printed, with four significant digits; "-" for None."""
    return "-" if value is None else f"{value:.4g}"


def terminal(rows: Sequence[dict]) -> list[str]:
    """Lines of one run's results: generated, real, controls, and what each was measured with.

    Args:
      rows: dicts with the fields of rows.Row.

    Returns:
      Lines, the protocols below the numbers.
    """
    lines = _aligned(_cells(rows))
    lines += ["", "how each was measured:"]
    for row in rows:
        lines.append(f"  {row['measure']}: {row['protocol']}")
        if row.get("warning"):
            lines.append(f"    note: {row['warning']}")
    return lines


def comparison(results: Sequence[dict]) -> tuple[list[str], list[str]]:
    """Several runs side by side, each measure a line; only values of one protocol stand together.

    Args:
      results: what `usis evaluate --json` writes, one for each run.

    Returns:
      (lines of the table, notes on measures whose protocols differ between runs).
    """
    names = list(dict.fromkeys(row["id"] for result in results for row in result["rows"]))
    found = [{row["id"]: row for row in result["rows"]} for result in results]
    cells = [("measure", *(result["name"] for result in results), "real", "")]
    notes = []
    for name in names:
        own = [rows.get(name) for rows in found]
        present = [row for row in own if row]
        real = next((row["real"] for row in present if row["real"] is not None), None)
        label = present[0]["measure"]
        cells.append(
            (
                label,
                *(number(row["value"] if row else None) for row in own),
                number(real),
                _ARROWS[present[0]["better"]],
            )
        )
        protocols = {row["protocol"] for row in present}
        if len(protocols) > 1:
            notes.append(f"{label} was not measured alike: {'; or '.join(sorted(protocols))}")
    return _aligned(cells), notes


def markdown(rows: Sequence[dict]) -> str:
    """The results of one run as a Markdown table with the protocol in the last column.

    Args:
      rows: dicts with the fields of rows.Row.

    Returns:
      Markdown text.
    """
    cells = _cells(rows)
    lines = ["| " + " | ".join([*cells[0], "protocol"]) + " |", "|---" * (len(cells[0]) + 1) + "|"]
    for row, cell in zip(rows, cells[1:], strict=True):
        note = f" Note: {row['warning']}." if row.get("warning") else ""
        lines.append("| " + " | ".join([*cell, f"{row['protocol']}.{note}"]) + " |")
    return "\n".join(lines) + "\n"


def _cells(rows):
    """The table's cells, a header first: controls stand around generated and real images."""
    if not any(row.get("controls") for row in rows):
        return [
            ("measure", "generated", "real", ""),
            *(
                (row["measure"], number(row["value"]), number(row["real"]), _ARROWS[row["better"]])
                for row in rows
            ),
        ]
    first, *others = next(row["controls"] for row in rows if row.get("controls"))
    cells = [("measure", first, "generated", "real", *others, "better")]
    for row in rows:
        values = row["controls"]
        cells.append(
            (
                row["measure"],
                number(values[first]),
                number(row["value"]),
                number(row["real"]),
                *(number(values[name]) for name in others),
                row["better"],
            )
        )
    return cells


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of equal width: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
