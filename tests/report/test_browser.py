"""The page in a real browser, from disk and offline: nothing fails, nothing is fetched, and readers of all kinds can use it."""

from __future__ import annotations

import itertools
import shutil

import pytest

from selfconsume.analysis import verdicts
from selfconsume.report import findings, tabs
from selfconsume.report import page as report
from tests.report.stores import TABLES, filled

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
WIDTHS = (390, 1440)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra 'test'")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report of two cells with figures, verdicts and samples by generation."""
    store = filled(
        tmp_path_factory.mktemp("browser") / "out", {**TABLES, "metrics": [{"kind": "moments"}, {"kind": "frechet"}]}
    )
    runs = [cell["id"] for cell in store.study["cells"]]
    gathered = findings.gather(store)._replace(verdicts=dict(zip(runs, ("stable", "collapsed"), strict=True)))
    return report.write(store, findings=gathered)


@pytest.fixture
def opened(browser):
    """Opens a page; gives it with the list of what it requested and complained about."""
    contexts = []

    def open_page(path, width=1440, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, **options
        )
        contexts.append(context)
        page, trouble = context.new_page(), []
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url[:200]}"))
        own = path.as_uri()
        page.on("request", lambda request: request.url.startswith((own, "data:")) or trouble.append(request.url[:200]))
        page.goto(own)
        return page, trouble

    yield open_page
    for context in contexts:
        context.close()


LEAST_CONTRAST = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = element => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(background(element))].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < least[0]) least = [contrast, element.textContent.trim().slice(0, 60)];
  }
  return least;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_from_disk_offline_on_phones_and_desktops(opened, path, width, scheme):
    page, trouble = opened(path, width, scheme)
    assert not trouble
    # Wide tables scroll in their own box; the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.querySelector('#player').checkVisibility()")
    least, text = page.evaluate(LEAST_CONTRAST)
    assert least >= 4.5, f"contrast {least:.2f}: {text}"


def test_light_and_dark_follow_the_reader(opened, path):
    colour = "getComputedStyle(document.body).backgroundColor"
    line = "getComputedStyle(document.querySelector('.curves svg path[style*=\"0072b2\"]')).stroke"
    shown = {}
    for scheme in ("light", "dark"):
        page, _ = opened(path, scheme=scheme)
        shown[scheme] = page.evaluate(colour), page.evaluate(line)
    assert shown["light"] == ("rgb(255, 255, 255)", "rgb(0, 114, 178)")
    assert shown["dark"][0] == "rgb(21, 24, 28)" and shown["dark"][1] != shown["light"][1]


def test_the_slider_is_moved_by_the_keyboard(opened, path):
    page, trouble = opened(path)
    page.focus("#slider")
    source = "document.querySelector('[data-row=\"1\"] img').src"
    frames = {}
    page.keyboard.press("Home")
    for t in range(4):
        assert page.inner_text("#now") == page.get_attribute("#slider", "aria-valuetext") == f"generation {t}"
        assert page.get_attribute('[data-row="1"] img', "alt") == f"samples of replace, generation {t}"
        frames[t] = page.evaluate(source)
        page.keyboard.press("ArrowRight")
    assert len(set(frames.values())) == 4 and not trouble
    assert page.evaluate("document.querySelector('[data-row=\"1\"] img').naturalWidth") > 0
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#now').textContent === 'generation 3'", timeout=10_000)
    page.wait_for_function("document.querySelector('#play').textContent === 'Play'", timeout=10_000)


def test_images_have_texts_and_tables_have_headers(opened, path):
    page, _ = opened(path)
    images = page.query_selector_all("img")
    assert len(images) > 8 and all((image.get_attribute("alt") or "").strip() for image in images)
    figures = page.query_selector_all("svg")
    assert figures and all("replace from" in (figure.get_attribute("aria-label") or "") for figure in figures)
    heads = (
        "[...document.querySelectorAll('table')].map(table => [...table.querySelectorAll('th')].map(th => th.scope))"
    )
    scopes = page.evaluate(heads)
    assert scopes and all(scope in ("row", "col") for table in scopes for scope in table)
    assert all("row" in table for table in scopes)
    assert page.evaluate("document.documentElement.lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(head => +head.tagName[1])")
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_words_lead_to_their_meaning(opened, path):
    page, trouble = opened(path)
    targets = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(link => link.getAttribute('href').slice(1))"
    )
    assert {"metric-frechet", "metric-moments", "verdict-stable", "verdict-collapsed"} <= set(targets)
    for name in set(targets):
        assert page.evaluate("name => document.getElementById(name)?.nextElementSibling.textContent.length > 60", name)
    assert not trouble


def test_it_is_useful_without_scripts(opened, path):
    page, trouble = opened(path, java_script_enabled=False)
    assert not page.is_visible("#player") and page.is_visible(".strip img") and page.is_visible("table")
    assert page.locator(".strip img").count() == 2 * (1 + 4) and not trouble


def test_it_prints(opened, path):
    page, _ = opened(path, scheme="dark")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF") and 2 <= pdf.count(b"/Type /Page\n") <= 8
    page.emulate_media(media="print")
    assert not page.is_visible("#player")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_bound_reports_open_too(opened, path, tmp_path):
    bound = tabs.bind({"first": path, "second": path}, tmp_path / "both.html")
    page, trouble = opened(bound)
    page.focus("#tab-1")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('#tab-2').checked") and not trouble
    assert page.frames[2].is_visible("table")


def test_every_verdict_is_explained():
    from selfconsume.report import terms

    assert set(terms.VERDICTS) == set(verdicts.VERDICTS)
