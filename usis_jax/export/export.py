"""Writes a generator in one of the formats, tries it, and says beside it what it is."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np

from usis_jax.errors import UserError
from usis_jax.export import model_card, onnx_model, programs, saved_model, stablehlo
from usis_jax.inference import generator_file, sampling
from usis_jax.storage import atomic, paths, texts
from usis_jax.workdir import eval_records, layout

FORMATS = ("stablehlo", "saved_model", "onnx", "safetensors")
TOLERANCE = 1e-4


def export(
    workdir,
    form: str,
    out,
    *,
    step=None,
    best: bool = False,
    height: int | None = None,
    width: int | None = None,
    given: str = "noise",
    dtype: str = "float32",
    scores=None,
) -> dict:
    """Write the moving-average generator of a run, `out`.json and the model card `out`.md.

    Args:
      workdir: as of `Generator.load`.
      form: one of FORMATS.
      out: file, or folder of a SavedModel, to write.
      step, best: which checkpoint, as of `Generator.load`.
      height, width: of images, where they differ from those of training.
      given: "noise" or "seed", the second input.
      dtype: of safetensors' parameters, "float32" or "float16".
      scores: file that `usis evaluate --json` wrote; None for what is stored in the work directory.

    Returns:
      dict: file, format, step, bytes, height, width, inputs, largest_difference (None where the
      runtime is not installed), card, description.

    Raises:
      FileNotFoundError: there is no such checkpoint or folder.
      UserError: an option does not fit the format or the generator, a package is missing, or what
        was written generates other images.
    """
    out = paths.of(out, "--out")
    _check(form, out, height or width, given, dtype)
    _check_apart(out, workdir, scores)
    variables, meta = sampling.read(workdir, best, step)
    generator = sampling.Generator.of_meta(variables, meta)
    measured = (
        _scores(scores, meta["step"], generator.spec)
        if scores
        else _stored_scores(workdir, meta["step"])
    )
    meta = generator_file.described(meta) | ({"scores": measured} if measured else {})
    size = _size(generator, height, width)
    values = () if form == "safetensors" else programs.inputs(generator, *size, given)
    about = model_card.description(meta, form, values, *size)
    difference = None
    if form == "safetensors":
        generator_file.write(out, variables, meta, dtype)
        generator_file.check_written(out, variables, dtype)
    elif form == "saved_model":
        difference = _write_folder(out, generator, size, given, values)
    else:
        content, generate = _content(form, generator, size, given, values, about)
        difference = _difference(generate, generator, size, given, form)
        atomic.write_with(out, lambda file: file.write(content))
    beside = {name: out.with_name(f"{out.name}.{name}") for name in ("json", "md")}
    atomic.write_text(beside["json"], model_card.json_text(about))
    atomic.write_text(beside["md"], model_card.text(meta, form, out, values, difference))
    return {
        "file": str(out), "format": form, "step": meta["step"], "bytes": _bytes(out),
        "height": size[0], "width": size[1], "inputs": [value._asdict() for value in values],
        "largest_difference": difference, "card": str(beside["md"]),
        "description": str(beside["json"]),
    }  # fmt: skip


def _check_apart(out, workdir, scores):
    """UserError where the export, or what is written beside it, would take another file's place."""
    beside = [out.with_name(f"{out.name}.{name}") for name in ("json", "md")]
    for path in (out, *beside):
        if workdir is not None:
            layout.check_not_its_own(path, "--out", workdir)
        if scores is not None:
            paths.check_not_an_input(path, "--out", [("--scores", scores)])
    there = [path for path in beside if os.path.lexists(path)]
    if there and not model_card.is_description(beside[0]):
        raise UserError(
            f"--out is {out}, beside which {there[0].name} would be written, but it is "
            "there and not of usis export; give another name"
        )


def _check(form, out, sized, given, dtype):
    """ValueError where options contradict each other or `out` cannot be written."""
    if form not in FORMATS:
        raise UserError(f"--format is {form}; it must be one of {', '.join(FORMATS)}")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"--out is {out}; its folder does not exist")
    if not os.access(out.absolute().parent, os.W_OK):
        raise PermissionError(f"--out is {out}, and there is no permission to write there")
    if form == "saved_model":
        if out.exists() and not (out.name and (out / "saved_model.pb").is_file()):
            raise UserError(f"--out is {out}, which is there and no SavedModel; choose another")
    elif out.is_dir():
        raise UserError(f"--out is {out}, which is a folder; {form} is a file")
    if form == "safetensors" and out.suffix != generator_file.SUFFIX:
        raise UserError(
            f"--out is {out}; the name of weights must end with {generator_file.SUFFIX}"
        )
    if dtype != "float32" and form != "safetensors":
        raise UserError(f"--dtype is {dtype}; only --format=safetensors has another than float32")
    if given == "seed" and form in ("onnx", "safetensors"):
        raise UserError(
            f"--input=seed is of stablehlo and saved_model: {form} cannot draw the "
            "noise that JAX draws; leave it out"
        )
    if sized and form == "safetensors":
        raise UserError("weights generate images of every size; leave out --height and --width")


def _size(generator, height, width):
    data, stride = generator.settings.data, generator.settings.generator.stride
    size = (height or data.height, width or data.width)
    for name, value in zip(("height", "width"), size, strict=True):
        if value % stride:
            raise UserError(
                f"--{name} is {value}; it must be a multiple of the generator's stride {stride}"
            )
    return size


def _content(form, generator, size, given, values, about):
    """(bytes of the file, function that generates images with them)."""
    if form == "onnx":
        metadata = {"usis_jax": json.dumps(about)}
        content = onnx_model.model(generator, *size, metadata).SerializeToString()
        return content, lambda arguments: onnx_model.run(content, values, arguments)
    content = stablehlo.serialised(generator, *size, given)
    return content, lambda arguments: stablehlo.run(content, arguments)


def _difference(generate, generator, size, given, form):
    """Largest difference of an export's images from ours; None where it cannot be tried."""
    arguments, ours = programs.trial(generator, *size, given)
    image = generate(arguments)
    if image is None:
        return None
    largest = float(np.abs(image - ours).max())
    if not largest <= TOLERANCE:
        raise UserError(
            f"--format={form}: the exported generator's images differ from ours "
            f"by {largest:.1e}, where {TOLERANCE:.0e} is allowed; nothing was "
            "written; please report it"
        )
    return largest


def _write_folder(out, generator, size, given, values):
    """A SavedModel, whole or not at all, in the place of one that is there."""
    temporary = pathlib.Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}."))
    try:
        new, old = temporary / "new", temporary / "old"
        saved_model.write(new, generator, *size, given)
        difference = _difference(
            lambda arguments: saved_model.run(new, values, arguments),
            generator,
            size,
            given,
            "saved_model",
        )
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return difference


def _scores(file, step, spec) -> dict:
    """What `usis evaluate --json` measured of one run, in the parts that a card shows."""
    path = paths.of(file, "--scores", paths.FILE)
    try:
        found = texts.read_json(path)
        result = _shown(found)
        classes = [one["name"] for one in found.get("classes", [])] or list(spec.classes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--scores is {file}, which is no result of usis evaluate --workdir "
            f"--json ({type(error).__name__}: {error})"
        ) from None
    if result["step"] != step:
        raise UserError(
            f"--scores is {file}, which is of step {result['step']}; this is step "
            f"{step}: measure that one, or give --step"
        )
    for k, (own, other) in enumerate(itertools.zip_longest(spec.classes, classes)):
        if own != other:
            raise UserError(
                f"--scores is {file}, which is of another run: class {k} is {other!r} "
                f"there and {own!r} here"
            )
    return result


def _stored_scores(workdir, step) -> dict | None:
    """The newest stored result of `usis evaluate` for this step, or None."""
    found, _ = eval_records.read(workdir) if workdir and os.path.isdir(workdir) else ([], [])
    for one in reversed(found):
        if (one["command"], one["step"]) == ("evaluate", step):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return _shown(one)
    return None


def _shown(found) -> dict:
    """The parts of an evaluation that a card shows."""
    rows = [
        {
            key: row.get(key)
            for key in ("measure", "value", "real", "controls", "better", "protocol", "warning")
        }
        for row in found["rows"]
    ]
    return {
        "step": int(found["step"]),
        "label_maps": int(found["label_maps"]),
        "real_photos": int(found["real_photos"]["number"]),
        "rows": rows,
    }


def _bytes(path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
