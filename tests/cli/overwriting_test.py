"""Outputs never take the place of what a command reads, nor of a device."""

import os
import stat
import subprocess
import sys

import pytest

from tests.data.images.image_files_test import Grey, label_map
from tests.support import own_files, tiny_run
from usis_jax.cli import main
from usis_jax.data.images import image_files
from usis_jax.data.preparation import build_plan
from usis_jax.errors import UserError
from usis_jax.inference import label_folders
from usis_jax.serving import examples
from usis_jax.storage import atomic, paths
from usis_jax.workdir import layout


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Folder with labels/, photos/, a run's work directory, and links to them."""
    for i in range(2):
        label_map(tmp_path / "labels" / f"m{i}.png")
        own_files.save(own_files.photo(i, (16, 16)), tmp_path / "photos" / f"p{i}.png")
    (tmp_path / "link").symlink_to("labels")
    (tmp_path / "run").mkdir()
    layout.save_settings(tmp_path / "run", tiny_run.settings())
    (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "run" / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    (tmp_path / "scores.json").write_text("{}")
    (tmp_path / "mine.py").write_text("x = 1\n")
    os.link(tmp_path / "scores.json", tmp_path / "hard.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    """Content of each file below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [
    "sample --labels=labels --out=labels",
    "sample --labels=labels --out=labels/generated",
    "sample --labels=labels --out=link",
    "sample --labels=link --out=labels/",
    "sample --labels=labels --out=./photos/../labels",
    "sample --labels=labels --out=run --workdir=run",
    "sample --labels=labels --out=run/samples --workdir=run",
    "sample --labels=labels --out=run/checkpoints/1 --workdir=run",
    "sample --labels=labels --out=out --json=labels/m0.png",
    "sample --labels=labels --out=out --json=labels/result.json",
    "sample --labels=labels --out=out --json=run/config.json --workdir=run",
    "export --workdir=w.safetensors --format=safetensors --out=w.safetensors",
    "export --workdir=run --format=stablehlo --out=run/config",
    "export --workdir=run --format=onnx --out=run/metrics.jsonl",
    "export --workdir=run --format=onnx --out=scores --scores=scores.json",
    "export --workdir=run --format=onnx --out=scores.json --scores=scores.json",
    "export --workdir=run --format=onnx --out=hard.json --scores=scores.json",
    "export-torch run run/config.json",
    "export-torch run run/checkpoints/g.pth",
    "report run --out=run/config.json",
    "report run --out=run/metrics.jsonl",
    "report run --out=report.png",
    "report --workdir=run --out=r.html --json=r.html",
    "inspect --labels=labels --picture=labels/m0.png",
    "inspect --photos=photos --labels=labels --picture=photos/new.png",
    "inspect --photos=photos --labels=labels --json=photos/p0.png",
    "evaluate --workdir=run --photos=photos --plot=photos/p0.png",
    "evaluate --workdir=run --markdown=run/config.json",
    "evaluate --workdir=run --markdown=t.md --json=t.md",
    "train --config=mine.py --workdir=run --json=mine.py",
    "train --config=configs/small.py --workdir=run --json=run/metrics.jsonl",
    "doctor --workdir=run --json=labels/m0.png",
])  # fmt: skip
def test_command_refuses_to_overwrite_what_it_reads(here, capsys, words):
    before = contents(here)
    assert main.main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("usis: ")
    assert said.count("\n") == 1
    assert any(part in said for part in ("the same as", "inside of", "are both", "of an image"))
    assert contents(here) == before


def test_photos_may_lie_around_the_label_maps_and_in_a_run(here):
    before = contents(here)
    (here / "out").mkdir()
    (here / "labels").rename(here / "out" / "labels")
    label_folders.sample_folder(Grey(), here / "out" / "labels", here / "out", num_samples=1)
    assert sorted(path.name for path in (here / "out").glob("*.png")) == [
        "contact_sheet.png",
        "m0_0.png",
        "m1_0.png",
    ]
    layout.check_not_its_own(here / "run" / "generated", "--out", here / "run")
    for path, content in before.items():
        moved = here / "out" / path.relative_to(here) if path.parent.name == "labels" else path
        assert moved.read_bytes() == content


def test_photos_of_nested_maps_do_not_fall_among_the_maps(here):
    label_map(here / "out" / "a" / "a" / "x.png")
    with pytest.raises(UserError, match=r"--out is .*out/a/x_0\.png, which is inside of --labels"):
        label_folders.sample_folder(Grey(), here / "out" / "a", here / "out", num_samples=1)
    assert not (here / "out" / "a" / "x_0.png").exists()


def test_function_refuses_the_folder_of_label_maps_as_the_command_does(here):
    before = contents(here)
    for out in ("labels", "link", "labels/new"):
        with pytest.raises(UserError, match="--out is"):
            label_folders.sample_folder(Grey(), "labels", out)
    assert contents(here) == before


@pytest.mark.parametrize("place", ["photos", "labels/prepared", "link"])
def test_data_is_not_prepared_into_its_own_files(here, monkeypatch, place):
    tiny_run.SPEC.save(here / "label_spec.toml")
    monkeypatch.setenv("TFDS_DATA_DIR", place)
    run = tiny_run.settings(
        data={
            "height": 16,
            "width": 16,
            "photos": "folder:train",
            "labels": "folder:train",
            "validation": "folder:train",
        }
    )
    with pytest.raises(UserError, match=r"data\.prepared_dir is .*--data_dir="):
        build_plan.all_plans(run, here)
    monkeypatch.setenv("TFDS_DATA_DIR", str(here))
    with pytest.raises(UserError, match="the same as --data_dir"):
        build_plan.all_plans(run, here)
    monkeypatch.setenv("TFDS_DATA_DIR", str(here / "prepared"))
    assert len(build_plan.all_plans(run, here)) == 2


def test_hard_links_and_case_of_links_are_one_file(here):
    for path in ("scores.json", "./run/../scores.json", "hard.json"):
        with pytest.raises(UserError, match="the same as"):
            paths.check_not_an_input(path, "--json", [("--scores", "scores.json")])
    paths.check_not_an_input("other.json", "--json", [("--scores", "scores.json")])


@pytest.mark.parametrize("option", ["--json", "--markdown", "--plot"])
def test_file_to_write_is_checked_before_the_work(here, capsys, option):
    assert main.main(["evaluate", "--workdir=run", f"{option}=none/x.png"]) == 2
    assert f"{option} is none/x.png; it must be a file in a folder" in capsys.readouterr().err


def test_pipe_is_written_into_and_stays(here):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert main.main(["completion", "bash", "--json=pipe"]) == 0
    assert b'"command": "completion"' in os.read(reader, 1 << 16)
    os.close(reader)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert [path for path in here.iterdir() if "pipe" in path.name] == [here / "pipe"]


def test_devices_are_streams_and_files_are_not(here):
    assert atomic.is_stream("/dev/null")
    assert atomic.is_stream("/dev/stdout")
    assert not atomic.is_stream("scores.json")
    assert not atomic.is_stream("new.json")
    assert main.main(["completion", "bash", "--json=/dev/null"]) == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_text_that_the_terminal_cannot_show_does_not_end_a_command():
    code = (
        "import sys; from usis_jax.display import terminal; terminal.show_anything();"
        "print('caf\\u00e9'); print('caf\\udce9', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout.strip() == rb"caf\xe9"
    assert rb"caf\udce9" in done.stderr


def test_label_maps_that_were_changed_are_not_drawn_over(here):
    folder = examples.write(Grey(), "generated")
    assert examples.write(Grey(), "generated") == folder
    (path,) = image_files.find(folder)
    label_map(path)
    with pytest.raises(
        UserError, match=r"was changed; generate from those there with --labels=generated/l"
    ):
        examples.write(Grey(), "generated")
    before = contents(here)
    with pytest.raises(UserError, match=r"labels/m0\.png is not a label map that"):
        examples.write(Grey(), ".")
    assert contents(here) == before


def test_files_beside_an_export_are_not_those_of_others(here, capsys):
    (here / "README.md").write_text("mine")
    (here / "package.json").write_text('{"name": "mine"}')
    before = contents(here)
    for name, beside in (("README", "README.md"), ("package", "package.json")):
        assert main.main(["export", "--workdir=run", "--format=onnx", f"--out={name}"]) == 2
        said = capsys.readouterr().err
        assert f"beside which {beside} would be written, but it is there" in said
    assert contents(here) == before
