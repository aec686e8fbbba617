"""Pages of the documentation site that are made of the program itself; a hook of mkdocs.yml.

The reference of functions, commands and configuration fields is written anew at each build, so it
cannot differ from the program.
"""

import ast
import json
import os
import pathlib

from mkdocs.structure.files import File

from usis_jax.cli import main
from usis_jax.cli.commands import completion
from usis_jax.config import settings

WORKER = "assets/search_worker.js"
ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "usis_jax"
ABOUT = {
    "usis_jax": "the top level: the version, the public names and the error for users",
    "aot": "compiling for devices that this machine lacks, and what a run would take on them",
    "checkpoint": "checkpoints, their checks, and which is the best",
    "cli": "the parser of usis, and its commands",
    "config": "the fields of a configuration, every check of them, files and overrides",
    "data": "label specs, data sets, how they are prepared and what training reads",
    "diagnostics": "the training diagnostics, their thresholds and what they mean",
    "display": "image grids, loss plots, progress, colours of the terminal",
    "distributed": "devices and hosts, who is alive and who was told to stop",
    "doctor": "what usis doctor looks at",
    "evaluation": "metrics, the networks that measure, the suite, tables",
    "export": "StableHLO, SavedModel, ONNX, PyTorch's files, model cards",
    "inference": "a trained generator and folders of label maps",
    "interop": "weights of the published code, to and from PyTorch's files",
    "layers": "spectral norm, SPADE, equalised learning rate",
    "methods": "the train step with its losses, optimizers and state",
    "models": "generators, segmentation network, discriminators, decoders",
    "ops": "Haar transform, resampling, convolutions of label maps",
    "report": "the page of a run",
    "runtime": "stored compiled programs, and memory",
    "serving": "the demo page and its server",
    "storage": "files that are written whole or not at all, locks, caches, full disks",
    "train": "a run from start to end",
    "workdir": "what lies in a work directory, and where a run's numbers go",
}


def on_config(config):
    """Names every page that the navigation lacks: new ones in docs/, and the generated ones."""
    guide, reference = config.nav[1]["Guide"], config.nav[2]["Reference"]
    named = {path for entry in guide for path in entry.values()} | {"index.md"}
    guide += [path.name for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in named]
    reference += [{"Commands": "reference/commands.md"}, {"Fields": "reference/fields.md"}]
    reference += [{name: f"reference/api/{name}.md"} for name in parts()]
    # The offline plugin wants a script from the network in its place.
    config.extra["polyfills"] = [WORKER]
    return config


def on_files(files, config):
    """Adds the generated pages, and the picture that the quickstart's folder has."""
    pages = {"commands": commands_page(), "fields": fields_page()}
    pages |= {f"api/{name}": modules_page(name, modules) for name, modules in parts().items()}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    picture = ROOT / "launch/quickstart.png"
    files.append(File.generated(config, "quickstart.png", abs_src_path=str(picture)))
    return files


def on_post_build(config):
    """Writes the script that lets the search run in pages opened from a disk.

    There a browser refuses to start a worker from a file; it is started from its text instead.
    """
    site = pathlib.Path(config.site_dir)
    [worker] = site.glob("assets/javascripts/workers/search.*.min.js")
    source = json.dumps(worker.read_text(encoding="utf-8"))
    (site / WORKER).write_text(
        'if (location.protocol === "file:") {\n'
        f"  const address = URL.createObjectURL(new Blob([{source}]));\n"
        "  window.Worker = class extends Worker { constructor() { super(address); } };\n"
        "}\n",
        encoding="utf-8",
    )


def parts() -> dict[str, list[str]]:
    """Modules with public names, by the page that they stand on: the top level, or a package."""
    found = {"usis_jax": []}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(ROOT).with_suffix("").parts
        if inside[-1] == "__main__" or not public_names(path):
            continue
        name = ".".join(inside[:-1] if inside[-1] == "__init__" else inside)
        found.setdefault(inside[1] if len(inside) > 2 else "usis_jax", []).append(name)
    return found


def public_names(path) -> list[str]:
    """Functions and classes of a module whose names have no underscore in front."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [
        node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")
    ]


def modules_page(name, modules) -> str:
    """Markdown of the reference of some modules."""
    title = "usis_jax" if name == "usis_jax" else f"usis_jax.{name}"
    about = ABOUT.get(name)
    lines = [f"# {title}", "", f"{about[0].upper()}{about[1:]}." if about else ""]
    for module in modules:
        lines += [
            "",
            f"## {module.removeprefix(title + '.')}",
            "",
            f"::: {module}",
            "    options: {show_root_heading: false, show_root_toc_entry: false}",
        ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Markdown with the help of every command."""
    os.environ["COLUMNS"] = "88"
    parser = main.parser()
    lines = ["# Commands", "", "```text", parser.format_help().rstrip(), "```"]
    for name, command in completion.commands_of(parser).items():
        # The fields are on a page of their own.
        text = command.format_help().split("\nfields (configs/base.py")[0].rstrip()
        lines += ["", f"## usis {name}", "", "```text", text, "```"]
        if text != command.format_help().rstrip():
            lines += ["", "`--config.FIELD=VALUE` changes one of the [fields](fields.md)."]
    return "\n".join(lines) + "\n"


def fields_page() -> str:
    """Markdown with every field, its default and the comment that `configs/base.py` has on it."""
    comments = field_comments(ROOT / "configs/base.py")
    lines = [
        "# Fields of a configuration",
        "",
        "Each is changed on the command line by `--config.FIELD=VALUE`, or in a file that "
        "starts from another one ([configuration](../configuration.md)). Defaults are the "
        "paper's. Made of `configs/base.py`.",
    ]
    group = None
    for name, value in settings.flatten(settings.Settings()).items():
        if name.rpartition(".")[0] != group:
            group = name.rpartition(".")[0]
            lines += [
                "",
                f"## {group or 'The run'}",
                "",
                "| field | default | what it does |",
                "|---|---|---|",
            ]
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        shown = f"`{text}`" if text else "empty"
        lines.append(f"| `{name}` | {shown} | {comments.get(name, '').replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def field_comments(path) -> dict[str, str]:
    """Comment above each key of the dicts that a configuration file builds, by dotted name."""
    text = path.read_text(encoding="utf-8")
    rows, tree = text.splitlines(), ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def returned(function):
        return next(node for node in ast.walk(functions[function]) if isinstance(node, ast.Dict))

    def above(line):
        lines = []
        while rows[line - 1].strip().startswith("#"):
            lines.insert(0, rows[line - 1].strip("# "))
            line -= 1
        return " ".join(lines)

    def walk(node, prefix):
        for key, value in zip(node.keys, node.values, strict=True):
            called = isinstance(value, ast.Call) and getattr(value.func, "id", "")
            inside = returned(called) if called in functions else value
            name = prefix + key.value if key is not None else prefix
            if isinstance(inside, ast.Dict):
                walk(inside, name if key is None else f"{name}.")
            found[name] = above(key.lineno - 1) if key is not None else ""

    found = {}
    walk(returned("get_config"), "")
    return {name: comment for name, comment in found.items() if comment}
