"""What stands beside an exported generator: a description for programs, and a card for people."""

import dataclasses
import json
import re

from usis_jax import __version__
from usis_jax.checkpoint import metadata
from usis_jax.config import settings as settings_lib
from usis_jax.config import suggestions
from usis_jax.evaluation import tables
from usis_jax.export import programs
from usis_jax.storage import texts

_NOISE = {
    "image": "standard normal, one vector an image",
    "pixel": "standard normal at every pixel",
    "mixed": "standard normal; the first half of the channels is the same at all pixels of an "
    "image, the others are drawn at every pixel",
}
_RUNTIMES = {
    "stablehlo": "jax and flatbuffers",
    "saved_model": "TensorFlow",
    "onnx": "onnxruntime",
    "safetensors": "safetensors and NumPy",
}


def description(meta: dict, form: str, values, height: int, width: int) -> dict:
    """What a program must know of an export.

    Args:
      meta: what is known of the generator, as `weights.described` leaves it.
      form: one of `export.FORMATS`.
      values: inputs, of `programs.inputs`; () for weights.
      height, width: of images.

    Returns:
      dict of JSON values.
    """
    run = settings_lib.from_json(meta["settings"])
    functions = {}
    if values:
        functions = {
            "inputs": [value._asdict() for value in values],
            "output": programs.output(height, width)._asdict(),
        }
    return {
        "format": form, "usis_jax": __version__, "step": meta["step"], "height": height,
        "width": width, **functions,
        "noise": {"kind": run.generator.noise, "channels": run.generator.z_dim,
                  "drawn": _NOISE[run.generator.noise]},
        "photo": "[-1, 1], red green blue; (photo + 1) * 127.5 rounded is 8 bits",
        "label_spec": meta["label_spec"], "settings": settings_lib.to_dict(run),
        "metrics": meta.get("metrics") or {}, "scores": meta.get("scores"),
    }  # fmt: skip


def training_command(settings) -> str:
    """The `usis train` command of settings: the bundled preset nearest to them, and what differs.

    Args:
      settings: Settings.

    Returns:
      One line; fields that do not change what is trained are left out.
    """
    name, changes = suggestions.nearest_config(settings)
    return suggestions.command_line("train", config=name, workdir="DIR", overrides=changes.items())


def text(meta: dict, form: str, file, values, checked: float | None) -> str:
    """The model card, Markdown, with places to fill in.

    Args:
      meta, form, values: as of `description`.
      file: pathlib.Path of the export.
      checked: largest difference from this package's images, or None.

    Returns:
      Markdown.
    """
    run, spec = settings_lib.from_json(meta["settings"]), metadata.restore_spec(meta)
    parts = [
        f"# {file.name}: images from label maps of {spec.name}\n",
        f"A generator of usis_jax {__version__} (unsupervised semantic image synthesis, arXiv "
        f"2109.14715), exported as {form}. It generates {run.data.height}x{run.data.width} images, "
        f"the size of its training, from label maps with {spec.num_classes} classes and noise. "
        f"Loading it takes {_RUNTIMES[form]}; `{file.name}.json` describes it to programs.\n",
        _interface(run, values, checked),
        _data(run, spec),
        _training(run, meta),
        _scores(meta),
        _FILL,
    ]
    return "\n".join(part for part in parts if part)


def _interface(run, values, checked) -> str:
    lines = ["## Inputs and output\n"]
    if values:
        lines += ["| name | type | shape |", "|---|---|---|"]
        lines += [f"| {value.name} | {value.dtype} | {_shape(value.shape)} |" for value in values]
        lines.append(f"\n`photo`, float32 in [-1, 1]. Noise is {_NOISE[run.generator.noise]}.")
        if checked is not None:
            lines.append(
                f"Checked after writing: differs by at most {checked:.1e} from usis_jax's images."
            )
    else:
        lines.append(
            "Weights under their names in usis_jax; `usis sample`, `usis demo` and "
            "`usis_jax.Generator.load` take the file as `--workdir`. Noise is "
            f"{_NOISE[run.generator.noise]}, {run.generator.z_dim} channels."
        )
    return "\n".join(lines) + "\n"


def _data(run, spec) -> str:
    lines = [
        "## Data\n",
        f"Photos: `{run.data.photos}`. Label maps: `{run.data.labels}`. They "
        "were never compared in pairs.\n",
        "| class | name | ids in files | colour |",
        "|---|---|---|---|",
    ]
    for number, (name, colour) in enumerate(zip(spec.classes, spec.colours.tolist(), strict=True)):
        ids = ", ".join(str(a) for a, b in spec.file_ids if b == number) or "none"
        void = " (void)" if number == spec.void else ""
        lines.append(f"| {number} | {_cell(name)}{void} | {ids} | {tuple(colour)} |")
    return "\n".join(lines) + "\n"


def _cell(name: str) -> str:
    """A class name as text of a cell of a Markdown table."""
    text = " ".join(name.split())
    return re.sub(r"[|<>`*\[\]\\]", lambda found: f"\\{found[0]}", text)


def _training(run, meta) -> str:
    lines = ["## Training\n"]
    if "imported" in meta:
        lines.append(f"Imported from `{meta['imported'].get('file')}`, not trained by usis_jax.")
        return "\n".join(lines) + "\n"
    command = training_command(dataclasses.replace(run, steps=max(meta["step"], 1)))
    config, changes = suggestions.data_config(run)
    changes = {name: value for name, value in changes.items() if name != "data.prepared_dir"}
    source = None if run.data.labels.startswith("scenes:") else "DIR"
    prepare = suggestions.command_line(
        "prepare", config=config, data_dir=source, overrides=changes.items()
    )
    lines += [
        f"{meta['step']} steps of batch {run.batch_size}, rule `{run.update}`, seed "
        f"{run.seed}; the moving average of the generator, decay {run.ema_decay}.\n",
        "```bash",
        prepare,
        command,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _scores(meta) -> str:
    lines, scores = ["## Scores\n"], meta.get("scores")
    if scores:
        lines.append(
            f"By `usis evaluate`, on {scores['label_maps']} label maps and "
            f"{scores['real_photos']} real images.\n"
        )
        lines.append(tables.markdown(scores["rows"]))
    elif meta.get("metrics"):
        lines += [
            "Measured while training, on the validation data.\n",
            "| measure | value |",
            "|---|---|",
        ]
        lines += [f"| {name} | {tables.number(value)} |" for name, value in meta["metrics"].items()]
    else:
        lines.append(
            "None were stored. After `usis evaluate --workdir=DIR` another `usis export` "
            "puts them here."
        )
    return "\n".join(lines) + "\n"


_FILL = """## To fill in

- Licence of these weights:
- Licence of the training photos, and who is on them:
- Licence of the label maps:
- Meant for, and not meant for:
- Contact:
"""


def _shape(shape) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "one number"


def is_description(file) -> bool:
    """Whether a file holds what `description` gave."""
    try:
        return {"format", "usis_jax", "label_spec"} <= set(texts.read_json(file))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def json_text(content: dict) -> str:
    """A description as the text of its file."""
    return json.dumps(content, indent=2) + "\n"
