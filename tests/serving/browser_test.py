"""The demo's page in a real browser: Chromium driven by Playwright, where both are installed.

With USIS_BROWSER_WORKDIR=DIR the page shows the run in DIR, not a tiny untrained one, and with
USIS_BROWSER_SHOTS=DIR pictures of the page are left in DIR.
"""

import contextlib
import io
import os
import pathlib
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from tests.serving.interactive_test import make
from usis_jax.inference import sampling
from usis_jax.serving import examples, interactive, server

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip
WORKDIR = os.environ.get("USIS_BROWSER_WORKDIR")
SHOTS = os.environ.get("USIS_BROWSER_SHOTS")


@pytest.fixture(scope="module")
def running():
    """A server that answers in a thread, every size compiled."""
    if WORKDIR:
        generator = sampling.Generator.load(WORKDIR)
    else:
        generator = make("mixed", (32, 128), 1)
        to_rgb = generator.variables["params"]["to_rgb"]
        generator.variables["params"]["to_rgb"] = {**to_rgb, "kernel": 100 * to_rgb["kernel"]}
    sampler = interactive.InteractiveSampler(generator)
    for program in sampler.programs()[:2]:
        sampler.prepare(program)
    with server.Server(sampler, examples.label_maps(generator), rate=1000, burst=1000) as found:
        found.start()
        yield found


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Page:
    """The demo's page, with what the tests do on it.

    Args:
        browser: browser of Playwright.
        running: server.
        options: of the browser's context.

    `faults` are errors of the page, `left` addresses elsewhere that it asked for.
    """

    def __init__(self, browser, running, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        self.page = self.context.new_page()
        self.faults, self.left = [], []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", self._ask)
        self.own = (running.url, f"blob:{running.url}", "data:")
        self.page.goto(running.url)
        self.wait_for_image(0)

    def _note(self, message):
        if message.type == "error" and "400 (Bad Request)" not in message.text:
            self.faults.append(message.text)

    def _ask(self, request):
        if not request.url.startswith(self.own):
            self.left.append(request.url)

    def count(self):
        """Number of images that were shown."""
        return int(self.page.get_attribute("#image", "data-count") or 0)

    def wait_for_image(self, before):
        """Waits until more than `before` images were shown and no other one comes."""
        end, last = time.monotonic() + 60, None
        while time.monotonic() < end:
            now = self.count()
            if now > before and now == last:
                return
            last = now
            self.page.wait_for_timeout(300)
        raise AssertionError("no image within a minute")

    @contextlib.contextmanager
    def new_image(self):
        """Waits at the end for the image of what was done."""
        before = self.count()
        yield
        self.wait_for_image(before)

    def saved(self, button):
        """Array of a file of the download menu."""
        self.page.click("#downloads summary")
        with self.page.expect_download() as found:
            self.page.click(button)
        return np.asarray(Image.open(io.BytesIO(pathlib.Path(found.value.path()).read_bytes())))

    def image_pixels(self):
        """The large image, int [H, W, 3], as it is downloaded."""
        return self.saved("#save-image").astype(int)

    def tool(self, name):
        """Chooses a tool or a class by the name that people see."""
        shown = re.compile(rf"^{name}\d?$")
        self.page.locator("#tools label").filter(has_text=shown).click()

    def drag(self, places, target="#map"):
        """Draws a stroke through places, shares of width and height."""
        box = self.page.locator(target).bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up()

    def load(self, name, array):
        """Chooses a file to load."""
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG")
        self.page.set_input_files(
            "#file", {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}
        )

    def shot(self, name):
        """Keeps a picture of the page, if somebody wants it."""
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png")


@pytest.fixture
def page(browser, running):
    """A fresh page; afterwards it must have had no fault and asked for nothing elsewhere."""
    found = Page(browser, running)
    yield found
    assert (found.faults, found.left) == ([], [])
    found.context.close()


def _classes(running):
    """Names of three classes: one to fill everything with, and two to draw on it."""
    names, street = running.answers.spec.classes, ("building", "road", "sky")
    return street if set(street) <= set(names) else tuple(names[1:4])


def test_first_view_is_an_image_and_its_map(page, running):
    height, width = next(iter(running.answers.sampler.sizes.values()))
    assert page.image_pixels().shape == (height, width, 3)
    assert page.page.locator("#palette label").count() == len(running.answers.spec.classes)
    facts = page.page.inner_text("#facts")
    assert re.fullmatch(rf"[0-9.]+ m?s · {width} \u00d7 {height} \u00b7 seed 0", facts)
    page.shot("first")


def test_drawing_changes_map_and_image_where_it_was_drawn(page, running):
    spec = running.answers.spec
    background, *classes = _classes(running)
    page.tool(background)
    with page.new_image():
        page.page.click("#clear")
    before, ids_before = page.image_pixels(), page.saved("#save-ids")
    assert len(np.unique(ids_before)) == 1
    for name, row in zip(classes, (0.85, 0.15), strict=True):
        page.tool(name)
        with page.new_image():
            page.drag([(0.05, row), (0.3, row)])
        spot = int(row * ids_before.shape[0]), int(0.15 * ids_before.shape[1])
        ids, image = page.saved("#save-ids"), page.image_pixels()
        train = spec.to_train_ids(ids, "download")
        assert spec.classes[train[spot]] == name
        near = np.s_[spot[0] - 2 : spot[0] + 3, spot[1] - 4 : spot[1] + 5]
        assert np.abs(image - before)[near].mean() > 1
    drawn = ids != ids_before
    changed = np.abs(image - before).max(-1)
    print(f"drew on {drawn.mean():.1%} of the map; mean change {changed[drawn].mean():.1f} "
          f"there, {changed[~drawn].mean():.2f} elsewhere")  # fmt: skip
    assert not drawn[:, int(0.6 * ids.shape[1]) :].any()
    page.shot("drawn")
    with page.new_image():
        page.page.keyboard.press("Control+z")
    with page.new_image():
        page.page.keyboard.press("Control+z")
    np.testing.assert_array_equal(page.saved("#save-ids"), ids_before)
    np.testing.assert_array_equal(page.image_pixels(), before)
    with page.new_image():
        page.page.keyboard.press("Control+Shift+Z")
    assert (page.saved("#save-ids") != ids_before).any()


def test_new_noise_for_a_part_changes_no_pixel_beyond_its_reach(page, running):
    # Noise counts at every pixel at full size, and at every 16th or 2nd where the image starts.
    settings = running.answers.sampler.generator.settings.generator
    assert settings.spade_kernel == 1
    stride = settings.stride
    finer = sum(2 * stride // 2**n for n in range(1, stride.bit_length()))
    reach = 3 * stride + (stride - 1) + finer + 1
    before, ids = page.image_pixels(), page.saved("#save-ids")
    height, width = ids.shape
    page.tool("Noise brush")
    edge = 0.04
    with page.new_image():
        page.drag([(edge, 0.2), (edge, 0.8)])
    page.shot("noise")
    after = page.image_pixels()
    changed = np.flatnonzero((after != before).any(axis=(0, 2)))
    brush = round(max(height, width) ** 0.5 / 2**0.5) / 2
    last = int(edge * width + brush) + 1
    print(f"noise of columns 0 to {last} renewed: columns {changed.min()} to {changed.max()} of "
          f"{width} differ; reach {reach}")  # fmt: skip
    assert set(range(2, int(edge * width))) <= set(changed)
    assert changed.max() <= last + reach
    if not WORKDIR:
        assert last + reach < width - 1
    np.testing.assert_array_equal(page.saved("#save-ids"), ids)
    with page.new_image():
        page.page.click("#same-noise")
    np.testing.assert_array_equal(page.image_pixels(), before)


def test_class_and_area_get_noise_of_their_own(page, running):
    before = page.image_pixels()
    page.tool("Noise area")
    with page.new_image():
        page.drag([(0.5, 0.5)])
    area = page.image_pixels()
    assert (area != before).any()
    page.page.locator("#palette label:not(.absent)").first.click()
    with page.new_image():
        page.page.keyboard.press("c")
    assert (page.image_pixels() != area).any()
    assert re.match("[12] parts? ha", page.page.inner_text("#parts"))
    with page.new_image():
        page.page.click("#same-noise")
    np.testing.assert_array_equal(page.image_pixels(), before)


def test_label_map_is_loaded_or_refused_with_the_reason(page, running):
    ids = page.saved("#save-ids")
    colours = page.saved("#save-colours")
    other = ids[:, ::-1]
    with page.new_image():
        page.load("mirrored.png", other)
    np.testing.assert_array_equal(page.saved("#save-ids"), other)
    with page.new_image():
        page.load("colours.png", colours)
    np.testing.assert_array_equal(page.saved("#save-ids"), ids)
    page.load("wrong.png", np.full_like(ids, 77))
    message = page.page.wait_for_selector("#message.bad")
    assert f"label id 77 on {ids.size} pixels outside label spec" in message.inner_text()
    page.shot("refused")
    np.testing.assert_array_equal(page.saved("#save-ids"), ids)


def test_seeds_samples_and_interpolation(page):
    before = page.image_pixels()
    page.page.click("#others")
    page.page.wait_for_selector("#samples:not(.stale) button:nth-child(4) img[src]")
    page.shot("samples")
    with page.new_image():
        page.page.locator("#samples button").nth(2).click()
    chosen = page.image_pixels()
    assert (chosen != before).any()
    with page.new_image():
        page.page.locator("#mix").fill("1")
    far = page.image_pixels()
    assert (far != chosen).any()
    with page.new_image():
        page.page.locator("#seed").fill("1")
        page.page.locator("#seed").press("Enter")
        page.page.locator("#mix").fill("0")
    np.testing.assert_array_equal(page.image_pixels(), far)


def test_other_size_resizes_the_same_map(page, running):
    height, width = list(running.answers.sampler.sizes.values())[1]
    with page.new_image():
        page.page.select_option("#size", f"{height}x{width}")
    assert page.image_pixels().shape == (height, width, 3)
    assert page.saved("#save-ids").shape == (height, width)
    with page.new_image():
        page.page.click("#undo")
    assert page.page.input_value("#size") != f"{height}x{width}"


def test_keys_draw_too(page, running):
    ids = page.saved("#save-ids")
    page.page.focus("#map")
    with page.new_image():
        for key in ("2", "ArrowLeft", "ArrowUp", " "):
            page.page.keyboard.press(key)
    changed = running.answers.spec.to_train_ids(page.saved("#save-ids"), "download")[
        page.saved("#save-ids") != ids
    ]
    assert set(changed) <= {1}
    for key, tool in (("f", "fill"), ("e", "eraser"), ("n", "noise-brush"), ("b", "brush")):
        page.page.keyboard.press(key)
        assert page.page.locator(f"#tool-list [value={tool}]").is_checked()
    page.page.keyboard.press("?")
    assert page.page.locator("#hints").is_visible()
    page.shot("help")


def test_everything_has_a_name_for_screen_readers(page):
    # Buttons, fields and pictures without text, label or title
    nameless = page.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, summary, img, canvas")]
        .filter((each) => !each.closest("[hidden], [aria-hidden=true]") && !each.hidden)
        .filter((each) => !(each.labels?.length || each.ariaLabel || each.alt || each.title ||
                            each.textContent.trim())).map((each) => each.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("size", [(390, 844), (844, 390), (1280, 800), (1920, 1080)])
def test_page_fits_the_screen(browser, running, size):
    width, height = size
    options = {"is_mobile": True, "has_touch": True} if min(size) < 500 else {}
    page = Page(browser, running, viewport={"width": width, "height": height}, **options)
    page.shot(f"screen_{width}x{height}")
    overflow = page.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    for picture in ("#image", "#map"):
        box = page.page.locator(picture).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["width"] >= (250 if width > 500 else 330) or box["height"] >= 100
    if width >= 1280:
        assert box["y"] + box["height"] <= height
    if options:
        with page.new_image():
            box = page.page.locator("#map").bounding_box()
            page.page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        assert not page.page.locator("#undo").is_disabled()
    assert page.faults == []
    page.context.close()


def test_several_people_use_it_at_once(browser, running):
    pages = [Page(browser, running) for _ in range(3)]
    for number, page in enumerate(pages):
        page.page.locator("#seed").fill(str(number))
        page.page.locator("#seed").press("Enter")
    for page in pages:
        page.wait_for_image(0)
    images = [page.image_pixels() for page in pages]
    assert (images[0] != images[1]).any() and (images[1] != images[2]).any()
    assert all(not page.faults for page in pages)
    for page in pages:
        page.context.close()
