"""`usis evaluate`: measures the generated images of runs, with real images beside them."""

import importlib
import os
import pathlib
import sys

from usis_jax.cli.commands import arguments
from usis_jax.errors import UserError
from usis_jax.storage import cache_dir

_PRESETS = ("fid-published", "fid-clean")


def add(commands) -> None:
    """Adds the command to the subparsers `commands`."""
    parser = arguments.command(
        commands, "evaluate", run, "measure generated images, with real images beside them"
    )
    arguments.add_path(
        parser,
        "--workdir",
        arguments.RUN_FOLDER,
        metavar="DIR",
        help="folder that usis train wrote",
    )
    arguments.add_path(
        parser,
        "--compare",
        arguments.RUN_FOLDER,
        metavar="DIR",
        nargs="+",
        help="several such folders, side by side",
    )
    arguments.add_step(parser)
    arguments.add_path(
        parser,
        "--labels",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="label maps to generate from (default: the run's validation data)",
    )
    arguments.add_path(
        parser,
        "--photos",
        arguments.INPUT_FOLDER,
        metavar="DIR",
        help="real images (default: the run's validation data)",
    )
    arguments.add_path(
        parser, "--evaluator", arguments.INPUT, metavar="DIR|NAME",
        help="folder that usis train-evaluator wrote (mIoU, FD-evaluator), or a published network: "
        "drn-d-105, drn-d-105-ms, deeplabv2-resnet101-msc, upernet101",
    )  # fmt: skip
    arguments.add_path(
        parser,
        "--evaluator_weights",
        arguments.INPUT_FILE,
        metavar="FILE",
        nargs="+",
        help="weights of a published segmenter",
    )
    arguments.add_path(
        parser,
        "--inception",
        arguments.INPUT,
        metavar="PATH",
        help="file or folder with the weights of the FID's network "
        "(default: what usis get-weights inception got; without it no FID and KID)",
    )
    parser.add_argument(
        "--preset",
        choices=_PRESETS,
        default=_PRESETS[0],
        help="how images are resized for that network (default fid-published)",
    )
    parser.add_argument(
        "--perceptual", metavar="NAME", nargs="+",
        help="learned perceptual distances that measure diversity: st-lpips-vgg16, "
        "st-lpips-alexnet, lpips-vgg16, lpips-alexnet (default: those whose weights usis "
        "get-weights got; without any none)",
    )  # fmt: skip
    for name, least, default, text in (
        ("num_photos", 0, 0, "images generated and compared; 0 for all"),
        ("num_samples", 2, 20, "images of one label map compared for diversity"),
    ):
        parser.add_argument(
            f"--{name}", metavar="N", type=arguments.at_least(least), default=default,
            help=f"{text} (default {default})",
        )  # fmt: skip
    parser.add_argument(
        "--seed",
        metavar="N",
        type=arguments.seed,
        default=0,
        help="decides noise and random choices (default 0)",
    )
    parser.add_argument(
        "--controls", action="store_true", help="measure also what a person ranks at a glance: "
        "an untrained generator, blurred images, label maps in flat colours",
    )  # fmt: skip
    arguments.add_path(
        parser,
        "--markdown",
        arguments.OUTPUT_FILE,
        metavar="FILE",
        help="write the table as Markdown",
    )
    arguments.add_path(
        parser, "--plot", arguments.OUTPUT_PICTURE, metavar="FILE", help="draw the spectra as a PNG"
    )


def run(values) -> dict | None:
    """Measures; returns what is written as JSON, None where another process writes it."""
    if bool(values.workdir) == bool(values.compare):
        raise UserError("give --workdir=DIR for one run, or --compare DIR DIR for several")
    for name in ("markdown", "plot", "controls"):
        if getattr(values, name) and values.compare:
            raise UserError(f"--{name} is of one run; give --workdir instead of --compare")
    from usis_jax.config import suggestions
    from usis_jax.distributed import mesh
    from usis_jax.evaluation import tables
    from usis_jax.storage import atomic

    mesh.initialize()
    folders = values.compare or [values.workdir]
    _check_before(values, folders)
    arguments.use_of_run(folders[0])
    with _bar("Inception") as bar, _bar("evaluator") as evaluator_bar:
        inception = _inception(values, bar.update)
        chosen = _evaluator(values, evaluator_bar.update)
        learned = _perceptual(values)
        results = []
        for folder in folders:
            with suggestions.of_run(folder):
                results.append(_one(values, folder, chosen, inception, learned))
    if not mesh.is_first():
        return None
    if values.compare:
        lines, notes = tables.comparison(results)
        print("\n".join([*lines, *(f"note: {note}" for note in notes)]))
        return {"command": "evaluate", "runs": results}
    (result,) = results
    print("\n".join(tables.terminal(result["rows"])))
    for name, why in result["left_out"].items():
        print(f"  {name}: left out, {why}")
    if values.markdown:
        atomic.write_text(values.markdown, tables.markdown(result["rows"]))
    return result


def _check_before(values, folders):
    """Raises what would otherwise come when all is measured: runs and files that cannot be used."""
    from usis_jax import errors
    from usis_jax.checkpoint import manager
    from usis_jax.workdir import layout

    for name in ("markdown", "plot"):
        file = getattr(values, name)
        folder = file and pathlib.Path(file).absolute().parent
        if folder and (not folder.is_dir() or pathlib.Path(file).is_dir()):
            raise errors.UserError(f"--{name} is {file}; it must be a file in a folder that exists")
        if folder and not os.access(folder, os.W_OK):
            raise errors.UserError(
                f"--{name} is {file}, and there is no permission to write there; choose another"
            )
    if values.plot:
        try:
            importlib.import_module("matplotlib.figure")
        except Exception as error:
            raise errors.UserError(
                f"--plot needs matplotlib, which cannot be used ({error}): pip install matplotlib"
            ) from None
    for folder in folders if values.compare else ():
        layout.load_settings(folder)
        with manager.Checkpoints(folder, read_only=True) as checkpoints:
            checkpoints.meta(**arguments.checkpoint(values))


def _bar(text):
    """A progress bar of images, shown by the first process only."""
    import tqdm

    from usis_jax.distributed import mesh

    return tqdm.tqdm(desc=text, unit="image", file=sys.stderr, delay=1, disable=not mesh.is_first())


def _evaluator(values, advance):
    """The evaluator that --evaluator names, or None."""
    from usis_jax.evaluation.evaluators import published_segmenters, segmentation_evaluator

    if values.evaluator in published_segmenters.KNOWN:
        return published_segmenters.load(values.evaluator, values.evaluator_weights, advance)
    if values.evaluator_weights:
        raise UserError(
            "--evaluator_weights belongs to a published segmenter; give --evaluator="
            f"{' or '.join(published_segmenters.KNOWN)} with it"
        )
    return segmentation_evaluator.Evaluator.load(values.evaluator) if values.evaluator else None


def _inception(values, advance):
    """The FID's network, or None where its weights were neither named nor fetched."""
    from usis_jax.evaluation.evaluators import inception_features, pretrained_weights

    if not values.inception and not pretrained_weights.are_there("inception"):
        return None
    network = inception_features.inception(values.inception)
    return inception_features.Extractor(
        network, values.preset, cache=cache_dir.folder("features"), advance=advance
    )


def _perceptual(values):
    """The learned distances that --perceptual names, or those in the cache."""
    from usis_jax.evaluation.metrics import perceptual

    return [perceptual.load(name) for name in values.perceptual or perceptual.in_cache()]


def _one(values, folder, evaluator, inception, learned):
    from usis_jax.diagnostics import measurements
    from usis_jax.distributed import mesh
    from usis_jax.evaluation import baselines, eval_inputs, suite
    from usis_jax.evaluation.metrics import spectrum
    from usis_jax.workdir import eval_records

    sizes = eval_inputs.Sizes(
        photos=values.num_photos, samples=values.num_samples, seed=values.seed
    )
    with _bar("generating") as bar:

        def advance(number, total=None):
            bar.total = total or bar.total
            bar.update(number)

        found = eval_inputs.collect(
            folder, values.labels, values.photos, sizes, advance, **arguments.checkpoint(values)
        )
    tools = {"evaluator": evaluator, "inception": inception, "perceptual": learned}
    rows, left_out = suite.rows_of(found, **tools)
    if values.controls:
        with _bar("controls") as bar:
            rows = baselines.add(rows, found, advance=bar.update, **tools)
    if values.plot and mesh.is_first():
        spectrum.plot(values.plot, suite.spectra(found))
    result = eval_records.record(
        "evaluate", found.step, found.generator.spec, len(found.labels), rows,
        measurements.measure(found, rows), left_out, name=found.name, workdir=str(folder),
        real_photos={"number": len(found.real), "hash": eval_inputs.digest(found.real)},
    )  # fmt: skip
    if mesh.is_first():
        _save(folder, result)
    return result


def _save(folder, result):
    """Saves a result in the work directory, and writes its report again, if that can be written."""
    from usis_jax.report import reporting
    from usis_jax.workdir import eval_records

    try:
        eval_records.write(folder, result)
    except OSError as error:
        print(
            f"usis: not saved in {folder}/{eval_records.FOLDER}: {error.strerror}", file=sys.stderr
        )
        return
    try:
        reporting.write(folder)
    except Exception as error:  # hours of measuring must not be lost for a page
        print(f"usis: no {reporting.FILE} written in {folder}: {error}", file=sys.stderr)
