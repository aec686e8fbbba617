"""`usis report`: the page of a run, whole and damaged; in a browser where there is one."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.support import tiny_run
from usis_jax.checkpoint import checksums
from usis_jax.cli import main
from usis_jax.data.specs.label_spec import LabelSpec
from usis_jax.evaluation import suite
from usis_jax.report import reporting
from usis_jax.storage import atomic
from usis_jax.workdir import eval_records, layout, provenance

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip
WORKDIR = os.environ.get("USIS_BROWSER_WORKDIR")
SHOTS = os.environ.get("USIS_BROWSER_SHOTS")


def rows(step):
    """Rows of an evaluation with everything that a chart shows."""
    iou = {
        "iou": [None, 0.9, 0.5, 0.0],
        "recall": [None, 0.95, 0.6, 0.0],
        "shares": [0.0, 0.5, 0.4, 0.1],
        "iou_of_real": [None, 0.95, 0.9, 0.7],
    }
    spectra = {
        "frequencies": [0.1, 0.2, 0.4],
        "generated": [9.0, 3.0, 0.5],
        "validation": [10.0, 4.0, 1.0],
    }
    return [
        suite.Row("swd", "SWD", 50.0 - step, 10.0, "lower", "patches </script><b>"),
        suite.Row("consistency_miou", "consistency mIoU", 0.5, None, "higher", "S", None, iou),
        suite.Row("spectral_distance", "spectral distance", 3.0, 1.0, "lower", "power", None,
                     {"spectra": spectra, "bands": {"1/LH": -1.5, "1/HL": 2.0, "1/HH": 0.1}}),
    ]  # fmt: skip


@pytest.fixture
def workdir(tmp_path):
    """A work directory as training leaves it."""
    folder = tmp_path / "my run"
    folder.mkdir()
    layout.save_settings(folder, tiny_run.settings(steps=20))
    lines = []
    for step in range(1, 11):
        lines.append(
            {
                "step": step,
                "loss_real": 0.7,
                "loss_generator": 1.0 + step,
                "score_real": 0.5,
                "score_fake": -0.5,
                "right_real": 0.8,
                "right_fake": 0.6,
                "speed/images_per_second": 8.0,
            }
        )
        lines += [{"step": step, "evaluation/swd": 50.0 - step, "evaluation/swd_real": 10.0}] * (
            step % 5 == 0
        )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step in (5, 10):
        grid = np.full((40, 60, 3), 10 * step, np.uint8)
        atomic.write_png(folder / f"samples/step_{step:06d}.png", grid)
        diagnostics = {"diagnostics/overfitting": 0.9, "diagnostics/score_training": 1.0}
        eval_records.write(
            folder, eval_records.record("train", step, tiny_run.SPEC, 3, rows(step), diagnostics)
        )
    provenance.note_start(folder, 0)
    (folder / "checkpoints/10/meta").mkdir(parents=True)
    meta = {"best": {"measure": "swd"}, "metrics": {"swd": 40.0, "swd_16": 50.0}}
    (folder / "checkpoints/10/meta/metadata").write_text(
        json.dumps(meta | {"checksum": checksums.of_json(meta)})
    )
    return folder


def data(path):
    """What the page holds as JSON."""
    text = path.read_text()
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def test_page_holds_the_whole_run_and_asks_for_nothing(workdir, capsys):
    assert main.main(["report", str(workdir), f"--json={workdir / 'r.json'}"]) == 0
    result = json.loads((workdir / "r.json").read_text())
    assert (result["step"], result["pictures"], result["notes"]) == (10, 2, [])
    assert {s["name"]: s["status"] for s in result["diagnostics"]}["D overfits"] == "bad"
    shown = capsys.readouterr().out
    assert "bad           D overfits: 0.90" in shown and "Classes not generated: car" in shown
    found, text = data(workdir / "report.html"), (workdir / "report.html").read_text()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert text.count("</script>") == 2
    assert found["series"]["losses/generator"] == [list(range(1, 11)), [2.0 + x for x in range(10)]]
    assert found["best"] == {"measure": "swd", "better": "lower", "step": 10, "value": 40.0}
    assert ["steps", "20", "100000"] in found["config"]
    generator = found["charts"][0]
    assert generator["curves"][0] == ["losses/generator", "adversarial"]
    assert {row["id"] for row in found["evaluations"][-1]["rows"]} == {
        "swd",
        "consistency_miou",
        "spectral_distance",
    }
    assert found["checkpoints"][0]["metrics"] == {"swd": 40.0}
    assert found["starts"][0]["packages"]["jax"]


def test_damaged_and_missing_parts_are_named_and_the_rest_is_shown(workdir):
    with open(workdir / "metrics.jsonl", "a") as file:
        file.write('{"step": 11, "loss_re\n[1]\n')
    (workdir / "samples/step_000005.png").write_bytes(b"no picture")
    (workdir / "evaluations/step_000005_train.json").write_text("{")
    (workdir / "evaluations/step_000010_train.json").write_text('{"step": 10, "rows": [{}, 3]}')
    (workdir / "environment.json").write_text("[")
    result = reporting.write(workdir)
    assert result["pictures"] == 1 and result["step"] == 10
    text = " ".join(result["notes"])
    for words in ("2 lines of metrics.jsonl", "samples/step_000005.png", "environment.json",
                  "evaluations/step_000005_train.json"):  # fmt: skip
        assert words in text
    shutil.rmtree(workdir / "samples")
    (workdir / "metrics.jsonl").unlink()
    assert reporting.write(workdir)["pictures"] == 0


def test_bad_use_is_one_line(tmp_path, workdir, capsys):
    (tmp_path / "empty").mkdir()
    for words, text in (
        ([str(tmp_path / "empty")], "is not a work directory"),
        ([], "give one work directory"),
        ([str(workdir), f"--out={tmp_path}"], "must be a file"),
    ):
        assert main.main(["report", *words]) == 2
        shown = capsys.readouterr().err
        assert text in shown and shown.count("\n") == 1


def test_failing_report_is_said_once_and_raises_nothing(tmp_path):
    said, report = [], reporting.Background(tmp_path)
    report.begin(said.append)
    report.end(said.append)
    assert len(said) == 1 and "no report.html could be written" in said[0]


def test_diagnostic_that_turns_bad_is_said_once_while_training(workdir):
    said, report = [], reporting.Background(workdir)
    report.begin(said.append)
    report.end(said.append)
    (line,) = [text for text in said if text.startswith("D overfits")]
    assert ": bad (rule of thumb: fine below 0.4" in line and "knows its images by heart" in line


def test_evaluations_of_another_kind_stand_beside_each_other(tmp_path):
    for command, step, measure in (("evaluate", 3, 1), ("evaluate", 3, 2), ("train", 3, 1),
                                   ("train", 9, 1), ("evaluate", 3, 2)):  # fmt: skip
        eval_records.write(
            tmp_path,
            eval_records.record(
                command,
                step,
                tiny_run.SPEC,
                3,
                rows(0)[:measure],
                {"diagnostics/spread": float("nan")},
            ),
        )
    found, faults = eval_records.read(tmp_path)
    assert [(one["command"], one["step"]) for one in found].count(("evaluate", 3)) == 2
    assert len(found) == 4 and not faults and found[0]["diagnostics"] == {}
    eval_records.drop_after(tmp_path, 3)
    assert max(one["step"] for one in eval_records.read(tmp_path)[0]) == 3


def test_label_spec_without_colours_has_some_in_the_report(tmp_path):
    spec = LabelSpec("plain", ("a", "b", "c"))
    found = eval_records.record("train", 1, spec, 3, [], {})
    assert len({tuple(one["colour"]) for one in found["classes"]}) == 3
    eval_records.write(tmp_path, found)


def test_many_starts_and_a_damaged_file_do_not_matter(tmp_path):
    (tmp_path / "environment.json").write_text('{"starts": 3}')
    for step in (0, 7):
        provenance.note_start(tmp_path, step)
    assert [start["step"] for start in provenance.read(tmp_path)] == [0, 7]
    assert provenance.memory()["speed/memory_gib"] > 0.01


@pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
def test_page_works_in_a_browser_without_a_network(workdir):
    playwright = pytest.importorskip("playwright.sync_api")
    page_file = workdir / "report.html"
    reporting.write(WORKDIR or workdir, page_file)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        faults, asked = [], []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        elsewhere = [url for url in asked if not url.startswith(("data:", "file:"))]
        assert not elsewhere and not faults
        _play(page)
        _hover(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/report_{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/report_narrow.png", full_page=True)
        assert not faults and not [u for u in asked if not u.startswith(("data:", "file:"))]
        browser.close()


def _play(page):
    """The slider shows other pictures and says their steps."""
    last = page.get_attribute("#grid", "src"), page.inner_text("#shown-step")
    page.focus("#slider")
    page.keyboard.press("Home")
    first = page.get_attribute("#grid", "src"), page.inner_text("#shown-step")
    assert first[0] != last[0] and first[1] != last[1]
    assert page.evaluate("document.getElementById('grid').naturalWidth") > 0
    page.keyboard.press("End")
    assert page.get_attribute("#grid", "src") == last[0]


def _hover(page):
    """Charts have axes with names, tell values under the pointer, and hide curves."""
    chart = page.locator("#loss-charts svg").first
    assert "step" in chart.text_content() and "loss" in chart.text_content()
    chart.hover()
    tip = page.inner_text("#tip")
    assert "adversarial: " in tip and tip.startswith("step ")
    assert page.locator("#bars .class").count() or WORKDIR
    before = page.locator("#loss-charts svg").first.locator("path").count()
    page.locator("#loss-charts .legend button").first.click()
    assert page.locator("#loss-charts svg").first.locator("path").count() < before
    page.locator("#loss-charts .legend button").first.click()
