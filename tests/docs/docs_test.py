"""What README and docs/ name exists: commands, options, fields, configurations, files, links."""

import importlib.util
import re
import shlex

import pytest

from tests.support import places
from usis_jax.cli import main
from usis_jax.cli.commands import completion
from usis_jax.config import loading, settings

ROOT = places.REPOSITORY
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
FIELDS = settings.flatten(settings.Settings())
GROUPS = {name.partition(".")[0] for name in FIELDS if "." in name}
PARSERS = completion.commands_of(main.parser())
OPTIONS = {
    option
    for parser in PARSERS.values()
    for action in parser._actions
    for option in action.option_strings
} | {"--version"}
# Placeholders of prose, and files that a run or a user makes, not fields.
NO_FIELDS = {"--config.FIELD", "--config.field"}
NO_NAMES = re.compile(r"(evaluation|data|generator)\.(FID|FID_real|py|json|md)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def blocks(text, kind="bash"):
    """Lines of all blocks of a kind, continued ones joined."""
    bodies = [body for name, body in BLOCK.findall(text) if name == kind]
    return "\n".join(bodies).replace("\\\n", " ").splitlines()


def inline(text):
    """Code in running text, without blocks."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))


COMMANDS = sorted(
    {
        line.strip()
        for text in TEXTS.values()
        for line in blocks(text)
        if line.strip().startswith("usis ")
    }
)
INLINE = sorted({code for text in TEXTS.values() for code in inline(text)})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_understood_with_its_fields_and_configuration(command):
    words, changes = main.split_overrides(shlex.split(command, comments=True)[1:])
    values = main.parser().parse_args(words)
    name = getattr(values, "config", None) or "base"
    if name != "mine.py":
        config = loading.load_config(name)
        # Names of checkpoints and folders are the reader's, fields are not.
        loading.apply(config, [pair for pair in changes if pair[0] != "field"])


def test_pages_have_commands_to_check():
    assert len(COMMANDS) > 20 and len(INLINE) > 200


@pytest.mark.parametrize("page", TEXTS)
def test_commands_and_options_in_running_text_exist(page):
    scripts = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("launch", "benchmarks")
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".sh", ".py")
    )
    scripts += (ROOT / "launch/slurm.sbatch").read_text(encoding="utf-8")
    unknown = []
    for code in inline(TEXTS[page]):
        if match := re.match(r"usis ([a-z][a-z-]*)", code):
            unknown += [code] if match[1] not in PARSERS else []
        for option in re.findall(r"(?<![\w-])--[a-z][a-z_0-9]*(?![\w.-])", code):
            if option not in OPTIONS and option not in scripts and not _foreign(code):
                unknown.append(code)
    assert unknown == []


@pytest.mark.parametrize("page", TEXTS)
def test_fields_in_the_text_exist(page):
    named = set(re.findall(r"--config\.([A-Za-z_.]*[A-Za-z_])", TEXTS[page]))
    groups = "|".join(GROUPS)
    for code in inline(TEXTS[page]):
        named |= set(re.findall(rf"^((?:{groups})\.\w+)(?:=.*)?$", code))
    named = {name for name in named if not NO_NAMES.fullmatch(name)}
    assert {name for name in named if f"--config.{name}" not in NO_FIELDS} <= set(FIELDS)


@pytest.mark.parametrize("page", TEXTS)
def test_files_and_modules_in_the_text_exist(page):
    text = TEXTS[page]
    for path in re.findall(
        r"(?<![\w/.])((?:configs|launch|benchmarks|docs|tests|usis_jax)/[\w/]+\.\w+)", text
    ):
        if "NAME" not in path:
            assert (ROOT / path).is_file(), path
    for module in re.findall(r"python -m ([\w.]+)", text):
        if module.split(".")[0] in ("benchmarks", "tests", "usis_jax"):
            assert importlib.util.find_spec(module), module


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXTS["README.md"]):
        assert (ROOT / target).exists(), target


def test_every_page_of_the_navigation_exists():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = re.findall(r": ([\w]+\.md)$", text, re.M)
    assert len(pages) > 8
    assert [page for page in pages if not (ROOT / "docs" / page).is_file()] == []


def _foreign(code):
    """Whether a line of code runs another program's options."""
    return code.split()[0] in ("pip", "curl", "python", "nvidia-smi", "--ms", "--signal")
