"""The page: complete, self-contained, inert, whatever state the results are in."""

import html.parser
import json
import re
from email.message import Message
from pathlib import Path

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.plots import metric_curves
from selfconsume.report import findings, terms
from selfconsume.report import page as report
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study import validation
from selfconsume.study.study import Study
from tests.report.stores import EVERYTHING, NAMES, TABLES, filled

HOSTILE = "<script>alert('x')</script>\"><img src=http://e.org/x.png onerror=alert(2)> & $x^{2$"


class Page(html.parser.HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.scripts, self.tags, self.images, self.shown = [], [], [], [], []
        self.handlers = []
        self.ids = []
        self._inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("script", "style"):
            self._inside.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
                self.loads.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if self._inside and self._inside[-1] == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.shown.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.shown))


def opened(path):
    text = path.read_text()
    page = Page(text)
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert {load[1:] for load in page.loads if load.startswith("#")} <= set(page.ids)
    assert not page.handlers and "link" not in page.tags and "iframe" not in page.tags
    assert not re.search(r"url\((?!#)|@import", text)
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text).replace("http://e.org", "")
    assert "https://" not in text and len(text) < 8e6
    definitions = [name for name in page.ids if not name.startswith("p-")]
    assert len(definitions) == len(set(definitions))
    return page


def test_a_whole_study_end_to_end(tmp_path, layout):
    recipes = {role: validation.recipe(role, TABLES[role], role) for role in ("source", "family")}
    pages = []
    for keep in ("all", "generators"):
        study = Study(
            **recipes, regime={"kind": "replace"}, metrics=[{"kind": "moments"}], generations=2, seeds=2, keep=keep
        )
        page = opened(report.write(run_study.execute(study, tmp_path / keep, layout=layout)))
        for part in ("replace", "moments.mean_error", "moments.variance_ratio", "real against real", "2 runs"):
            assert part in page.text
        pages.append([image["src"] for image in page.images if image.get("src")])
    # Samples that were not kept are drawn again from the generators.
    assert pages[0] == pages[1] and len(pages[0]) == 1 + 2


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = report.write(
        filled(tmp_path_factory.mktemp("report") / "out", EVERYTHING, text="# What happens?\n[study]\n")
    )
    assert path.name == "report.html" and not list(path.parent.glob("*.tmp"))
    return opened(path)


def test_sentences_are_apart(tmp_path):
    """Jinja eats the newline behind a block: whatever follows one brings its own space."""
    store = filled(tmp_path / "out", EVERYTHING)
    run = store.study["cells"][0]["id"]
    found = findings.gather(store)._replace(verdicts={run: "stable"})
    text = opened(report.write(store, findings=found)).text
    assert "with its test. 2 more values" in text and not re.search(r"[a-z]\.\d+ (more|of)|[a-z]\.[A-Z]", text)


def test_every_cell_and_metric_is_there(page):
    # Of six covariances four are shown, variances first, and the rest is counted.
    shown = [*NAMES[:5], "covariance.0.0", "covariance.1.1", "covariance.2.2", "covariance.0.1"]
    for part in (*shown, "mix(ratio=0.5)", "replace", "real against real", "all cells at generation 0"):
        assert part in page.text
    assert "covariance.1.2" not in page.text and "2 more values" in page.text
    # And the differences of the primary metric.
    assert page.tags.count("svg") == len(shown) + 1
    assert "2 cells with 3 seeds each" in page.text and "# What happens?" in page.text


def test_the_page_opens_with_the_answer(page):
    """One sentence, the differences, the table and the primary metric come first; all other parts are folded."""
    parts = ["With ", "moments.mean_error minus generation 0", "secondary metrics", "Samples", "Last generation"]
    places = [page.text.index(part) for part in parts]
    assert places == sorted(places)
    assert page.tags.count("details") == 5


def test_every_generation_is_in_the_slider_or_the_strip(page):
    frames = json.loads(next(text for text in page.scripts if text.startswith("{")))
    assert frames["generations"] == [0, 1, 2, 3]
    for row in range(2):
        strip = {int(name.split("-")[2]) for name in page.ids if name.startswith(f"p-{row}-") and "real" not in name}
        assert strip | {int(t) for t in frames["rows"][row]} == {0, 1, 2, 3}
        assert f"p-{row}-real" in page.ids


def test_the_same_results_give_the_same_page(tmp_path):
    store = filled(tmp_path / "out")
    assert report.write(store).read_bytes() == report.write(Store(store.path)).read_bytes()


def test_hostile_text_stays_text(tmp_path):
    page = opened(report.write(filled(tmp_path / "<b>out", hostile=HOSTILE, text=f"# {HOSTILE}")))
    assert page.tags.count("script") == 2 and not any("alert" in text for text in page.scripts)
    assert page.text.count("<script>alert('x')</script>") > 8 and "<b>out" in page.text
    assert "img" in page.tags and "http://e.org" not in "".join(page.loads)


def test_one_seed_has_no_interval(tmp_path):
    page = opened(report.write(filled(tmp_path / "out", {**TABLES, "study": {"generations": 4, "seeds": 1}})))
    assert "one seed: no interval" in page.text and "Student" not in page.text


def test_diverged_lanes_are_counted(tmp_path):
    def dying(cell, seed, t):
        return np.nan if cell == 1 and t > seed else 1 + 0.1 * seed + t

    page = opened(report.write(filled(tmp_path / "out", value=dying)))
    assert "3 of 6 runs (50 %) diverged" in page.text and "3 of 3 seeds diverged" in page.text
    assert "replace × 3/3" in page.text and "diverged" in page.text
    blanks = json.loads(next(text for text in page.scripts if text.startswith("{")))
    assert "diverged" in blanks["rows"][1].values()


def test_a_single_generation(tmp_path):
    page = opened(report.write(filled(tmp_path / "out", {**TABLES, "study": {"generations": 1, "seeds": 3}})))
    assert "script" not in page.tags and page.tags.count("svg") == 1
    assert sum("src" in image for image in page.images) == 4


def test_no_metrics(tmp_path):
    page = opened(report.write(filled(tmp_path / "out", {**TABLES, "metrics": []})))
    assert "No metric has been measured" in page.text and "svg" not in page.tags and page.images


def test_no_axes_names_the_regime(tmp_path):
    tables = {k: v for k, v in TABLES.items() if k != "axes"} | {"regime": {"kind": "window", "size": 2}}
    page = opened(report.write(filled(tmp_path / "out", tables)))
    assert "window(size=2)" in page.text and "from " in page.text


def test_unfinished_and_mixed_layouts_are_said(tmp_path):
    page = opened(report.write(filled(tmp_path / "out", last=1, layouts=2)))
    assert "Unfinished: 2 of 2 cells" in page.text and "to generation 1" in page.text
    assert "2 different layouts" in page.text and "layout 2" in page.text


def test_values_that_never_change_are_said_not_drawn(tmp_path):
    page = opened(report.write(filled(tmp_path / "out", value=lambda *_: 0.25)))
    assert "svg" not in page.tags and "frechet = 0.25" in page.text


def test_predictions_and_verdicts(tmp_path):
    store = filled(tmp_path / "out")
    run = store.study["cells"][0]["id"]
    prediction = metric_curves.PredictedCurve("Proposition 1", range(4), [1.0, 2.0, 3.0, 4.0], run)
    found = findings.gather(store)._replace(predictions={"frechet": [prediction]}, verdicts={run: "stable"}, about={})
    page = opened(report.write(store, findings=found))
    assert "dashed: Proposition 1" in page.text and "verdict" in page.text and "stable" in page.text


def test_a_source_that_has_moved(tmp_path):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))
    source = {"kind": "arrays", "path": str(tmp_path / "data.npy"), "n": 20}
    store = filled(tmp_path / "out", {**TABLES, "source": source})
    assert any(image["alt"].startswith("real data") for image in opened(report.write(store)).images)
    (tmp_path / "data.npy").unlink()
    page = opened(report.write(Store(store.path)))
    assert "could not be read again" in page.text and "p-0-0" in page.ids and "p-0-real" not in page.ids


def test_kinds_that_do_not_come_along_are_named(tmp_path):
    """Whoever wants to make it again needs them; whoever lacks them is told why there is no real data."""
    store = filled(tmp_path / "out")
    assert "do not come with selfconsume" not in opened(report.write(store)).text
    tables = json.loads(json.dumps(store.study["tables"]))
    tables["source"]["kind"], tables["metrics"][0]["features"] = "ring", {"kind": "polar"}
    store.study["tables"] = tables
    text = opened(report.write(store)).text
    assert "It needs source 'ring', extractor 'polar': kinds that do not come with selfconsume." in text
    assert "could not be read again here (source.kind: unknown 'ring'; " in text


def test_what_cannot_be_reported_gets_one_line(tmp_path):
    with Writer(tmp_path / "empty"):
        pass
    with pytest.raises(ConfigError, match="holds no study yet"):
        report.write(Store(tmp_path / "empty"))
    store = filled(tmp_path / "out")
    (store.path / "report.html").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        report.write(store)
    assert not list(store.path.glob("*.tmp"))


def test_links_to_the_docs_are_pages_of_the_built_site(monkeypatch):
    root = Path(__file__).parents[2]
    assert "use_directory_urls: false" in (root / "mkdocs.yml").read_text()
    shown = terms.terms([{"kind": "frechet"}, {"kind": "kid"}], list(terms.VERDICTS))
    assert all((root / term.page).is_file() for term in shown)
    message = Message()
    message["Project-URL"] = "Documentation, https://docs.example/"
    monkeypatch.setattr(terms.metadata, "metadata", lambda name: message)
    for term in terms.terms([{"kind": "frechet"}], ["stable"]):
        name = term.page.removeprefix("https://docs.example/")
        assert name.endswith(".html") and (root / "docs" / name).with_suffix(".md").is_file()
