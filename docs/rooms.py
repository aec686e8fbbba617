"""Draws docs/rooms.svg, the packages and who may import whom, from the contract in pyproject.toml.

Use: python docs/rooms.py
"""

import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/rooms.svg"
HOLDS = {
    "cli": "usis COMMAND",
    "train": "run, loop, resume",
    "serving": "demo page, HTTP API",
    "export": "StableHLO, ONNX, PyTorch",
    "aot": "compile for other chips",
    "doctor": "checks of the machine",
    "evaluation": "metrics, evaluators, tables",
    "report": "the HTML report",
    "inference": "generator, label folders",
    "diagnostics": "rules, thresholds, meanings",
    "interop": "PyTorch's files",
    "methods": "losses, optimizers, the step",
    "models": "generators, discriminators",
    "checkpoint": "Orbax, checks, the best",
    "workdir": "layout, metric writers",
    "runtime": "compiled programs, memory",
    "layers": "SPADE, spectral norm",
    "data": "specs, data sets, pipeline",
    "distributed": "devices, hosts, signals",
    "ops": "Haar, resampling, kernels",
    "display": "grids, plots, progress",
    "config": "fields and their checks",
    "storage": "atomic writes, lock, cache",
}
WIDTH, MARGIN, BOX, GAP = 960, 20, 46, 16


def floors() -> list[list[str]]:
    """Packages from the top down, a list for each level, as pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = [
        [name.strip().removeprefix("usis_jax.") for name in layer.split("|")] for layer in layers
    ]
    return [[name for name in names if name in HOLDS] for names in named if set(names) & set(HOLDS)]


def svg() -> str:
    """The picture: one row of boxes a level, an arrow at the side."""
    rows = floors()
    height = 2 * MARGIN + len(rows) * (BOX + GAP) - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" text-anchor="middle">',
        "<title>The packages of usis_jax: each imports only from levels below its own</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    left = MARGIN + 40
    for number, names in enumerate(rows):
        top = MARGIN + number * (BOX + GAP)
        box = (WIDTH - left - MARGIN - (len(names) - 1) * GAP) / len(names)
        for place, name in enumerate(names):
            x = left + place * (box + GAP)
            middle = x + box / 2
            parts += [
                f'<rect x="{x:.1f}" y="{top}" width="{box:.1f}" height="{BOX}" rx="5" '
                'fill="#e0f2f1" stroke="#00796b"/>',
                f'<text x="{middle:.1f}" y="{top + 20}" font-size="15" font-weight="bold" '
                f'fill="#263238">{name}/</text>',
                f'<text x="{middle:.1f}" y="{top + 37}" font-size="11" fill="#455a64">'
                f"{HOLDS[name]}</text>",
            ]
    bottom = height - MARGIN
    parts += [
        f'<path d="M {MARGIN + 14} {MARGIN} V {bottom - 10}" stroke="#00796b" stroke-width="2"/>',
        f'<path d="M {MARGIN + 7} {bottom - 12} h 14 l -7 12 z" fill="#00796b"/>',
        f'<text transform="translate({MARGIN + 5} {height / 2:.0f}) rotate(-90)" font-size="12" '
        'fill="#00796b">imports</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
