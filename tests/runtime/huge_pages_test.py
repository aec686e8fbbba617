"""Huge pages: when they are asked for, that it happens once, and that a person's choice is kept."""

import fnmatch
import os
import subprocess
import sys

import pytest

from benchmarks import sample, step, turns
from tests.support import places
from usis_jax import __main__ as program
from usis_jax.cli import main
from usis_jax.doctor import machine
from usis_jax.doctor.finding import NOTE, OK
from usis_jax.runtime import huge_pages

ROOT = places.REPOSITORY
ASKED = "glibc.malloc.hugetlb=1"
# Says what a start of the program has in its environment, on a system made up to be of use.
START = f"""
import os, sys
from usis_jax.cli import main as cli
from usis_jax.runtime import huge_pages
huge_pages.mode, huge_pages._libc_asks = lambda: "madvise", lambda: True
cli.main = lambda: print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), sys.argv[1:],
                         sys.flags.dont_write_bytecode, "{huge_pages._RESTARTED}" in os.environ)
from usis_jax import __main__
__main__.main()
"""


@pytest.fixture(autouse=True)
def system(monkeypatch, tmp_path):
    """A Linux that gives huge pages to who asks, and nothing asked for; returns a setter."""

    def be(mode="always [madvise] never", libc="glibc 2.36", given=None, platform="linux"):
        file = tmp_path / "enabled"
        file.write_text(f"{mode}\n")
        monkeypatch.setattr(huge_pages, "_MODE", str(file) if mode else str(tmp_path / "none"))
        monkeypatch.setattr(huge_pages.sys, "platform", platform)

        def confstr(name):
            if libc is None:
                raise ValueError("unrecognized configuration name")
            return libc

        monkeypatch.setattr(huge_pages.os, "confstr", confstr)
        monkeypatch.delenv(huge_pages._RESTARTED, raising=False)
        monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
        if given is not None:
            monkeypatch.setenv("GLIBC_TUNABLES", given)

    be()
    return be


@pytest.fixture
def starts(monkeypatch):
    """Notes new starts of the process instead of starting."""
    noted = []
    monkeypatch.setattr(huge_pages.os, "execve", lambda *call: noted.append(call))
    return noted


@pytest.mark.parametrize("given, value", [
    (None, ASKED), ("", ASKED),
    ("glibc.malloc.arena_max=2", f"glibc.malloc.arena_max=2:{ASKED}"),
])  # fmt: skip
def test_new_start_has_the_tunable_beside_others_and_all_else_as_it_was(
    system, starts, given, value
):
    system(given=given)
    huge_pages.ask()
    [(file, words, environment)] = starts
    assert file == sys.executable and words == [sys.executable, *sys.orig_argv[1:]]
    assert environment.pop("GLIBC_TUNABLES") == value
    assert environment.pop(huge_pages._RESTARTED)
    assert environment == {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}


@pytest.mark.parametrize("other", [
    {"given": "glibc.malloc.hugetlb=0"}, {"given": f"glibc.malloc.arena_max=2:{ASKED}"},
    {"mode": "[always] madvise never"}, {"mode": "always madvise [never]"}, {"mode": ""},
    {"mode": "nonsense"}, {"libc": "glibc 2.34"}, {"libc": "musl 2.40"}, {"libc": None},
    {"libc": ""}, {"libc": "glibc new"}, {"platform": "darwin"},
])  # fmt: skip
def test_nothing_is_asked_for_where_it_is_of_no_use_or_decided(system, starts, other):
    system(**other)
    huge_pages.ask()
    assert starts == [] and huge_pages.variables() == {}


@pytest.mark.parametrize("platforms, plugin, devices, cpus", [
    ("cpu", True, ["/dev/nvidia0"], True), ("cuda,cpu", False, [], False),
    ("tpu", False, [], False), (None, True, [], True), (None, False, ["/dev/nvidia0"], True),
    (None, True, ["/dev/nvidia0"], False), (None, True, ["/dev/accel0"], False),
])  # fmt: skip
def test_accelerators_are_told_from_cpus_before_jax_is_there(
    monkeypatch, starts, platforms, plugin, devices, cpus
):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if platforms:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(huge_pages.importlib.util, "find_spec", lambda name: plugin or None)
    monkeypatch.setattr(
        huge_pages.glob,
        "glob",
        lambda pattern: [device for device in devices if fnmatch.fnmatch(device, pattern)],
    )
    assert huge_pages.computes_on_cpus() is cpus
    huge_pages.ask()
    assert bool(starts) is cpus


def test_start_that_is_not_possible_is_done_without(monkeypatch, capsys):
    tried = []

    def refuse(*call):
        tried.append(call)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(huge_pages.os, "execve", refuse)
    monkeypatch.setattr(main, "main", lambda: 7)
    assert program.main() == 7 and len(tried) == 1
    assert capsys.readouterr() == ("", "")


def test_second_start_leads_to_no_third_and_tells_its_children_nothing(monkeypatch, starts):
    # The system took GLIBC_TUNABLES away, else it would end here for that reason.
    monkeypatch.setenv(huge_pages._RESTARTED, "1")
    huge_pages.ask()
    assert starts == [] and huge_pages._RESTARTED not in os.environ


def test_library_call_of_the_command_line_starts_nothing_anew(starts):
    with pytest.raises(SystemExit):
        main.main(["--version"])
    assert starts == []


@pytest.mark.skipif(os.name != "posix", reason="a new start keeps the process number on POSIX")
def test_process_starts_anew_with_number_flags_and_arguments_kept():
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    command = [sys.executable, "-B", "-c", START, "a b", "--c=d"]

    def said(**more):
        process = subprocess.Popen(
            command, cwd=ROOT, env={**environment, **more}, stdout=subprocess.PIPE, text=True
        )
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        number, rest = out.strip().split(" ", 1)
        assert int(number) == process.pid
        return rest

    kept = "['a b', '--c=d'] 1 False"
    assert said() == f"{ASKED} {kept}"
    assert said(GLIBC_TUNABLES="glibc.malloc.hugetlb=0") == f"glibc.malloc.hugetlb=0 {kept}"


def test_program_asks_before_it_imports_anything_of_the_command_line():
    code = (
        "import sys\nfrom usis_jax.runtime import huge_pages\n"
        "huge_pages.ask = lambda: sys.exit('usis_jax.cli.main' in sys.modules)\n"
        "from usis_jax import __main__\n__main__.main()\nsys.exit(2)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_installed_program_is_the_one_that_asks():
    assert '"usis = usis_jax.__main__:main"' in (ROOT / "setup.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("other, state, words", [
    ({"given": ASKED}, OK, "yes, asked for"),
    ({"mode": "[always] madvise never"}, OK, "gives them to all"),
    ({"mode": "always madvise [never]"}, NOTE, "switched off in"),
    ({"mode": ""}, NOTE, "not on this system"),
    ({"libc": "glibc 2.31"}, NOTE, "not glibc 2.35"),
    ({"given": "glibc.malloc.hugetlb=0"}, NOTE, "switched off by GLIBC_TUNABLES"),
    ({"given": "glibc.malloc.arena_max=2"}, NOTE, "not asked for"),
])  # fmt: skip
def test_doctor_says_whether_and_why_not(system, other, state, words):
    system(**other)
    found = machine.pages()
    assert (found.part, found.state) == ("memory", state) and words in found.text


def test_benchmarks_ask_for_ours_and_the_tuned_twins_only(monkeypatch, tmp_path):
    given = {}

    class Worker:
        def __init__(self, python, module, environment, log):
            given[log.stem] = environment.get("GLIBC_TUNABLES")

    monkeypatch.setattr(turns.workers, "Worker", Worker)
    monkeypatch.setattr(step.settings_lib, "to_json", lambda settings: "")
    monkeypatch.setattr(step.dataclasses, "replace", lambda settings, **changes: settings)
    values = type("Values", (), {"torch_python": "python"})
    plan = {"classes": 3, "void": 0}
    for name in (*step.OURS, *step.TWINS):
        turns.Contender(**step._specification(name, None, plan, "labels", values), folder=tmp_path)
    for name in (sample.OURS, *sample.TWINS):
        turns.Contender(
            **sample._specification(name, None, plan, "labels", [1], values), folder=tmp_path
        )
    plain = {"published", "published-attached", "eager"}
    assert {name for name, value in given.items() if value is None} == plain
    assert {value for name, value in given.items() if name not in plain} == {ASKED}
