"""Code blocks of the docs run, their commands are accepted, and the site builds without a warning and opens offline."""

from __future__ import annotations

import html
import posixpath
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

import selfconsume as sc
from selfconsume import registry
from selfconsume.cli.main import app
from selfconsume.errors import ConfigError
from selfconsume.study import toml_file, validation

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
OWN_TESTS = {
    path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path.name != Path(__file__).name
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[list[str]]:
    """Words after ``selfconsume`` in the page's blocks, without outlines of the syntax."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    text = "\n".join(body for language, body in found if language in ("", "bash", "console"))
    lines = re.findall(r"(?:^|&& |\s)selfconsume ([a-z]+\b[^\n|&]*)", re.sub(r"\\\n", " ", text))
    return [shlex.split(line, comments=True) for line in lines if " [-" not in line]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_are_accepted(page):
    group = typer.main.get_command(app)
    for words in commands(page):
        assert words[0] in group.commands, f"{page}: selfconsume {words[0]}"
        context = group.commands[words[0]].make_context(words[0], list(words[1:]), resilient_parsing=True)
        # Options are known, and everything else is an argument of the command.
        options, rest, _ = group.commands[words[0]].make_parser(context).parse_args(list(words[1:]))
        assert not rest and options is not None, f"{page}: selfconsume {shlex.join(words)}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_study_files_are_valid(page):
    """Whole studies as studies; parts of one as recipes of their roles. Kinds of one's own are made by their page's test."""
    for text in blocks(page, "toml"):
        tables = tomllib.loads(text)
        if "project" in tables:
            continue
        parts = [(role, tables[role]) for role in registry.roles() if role in tables]
        parts += [("metric", table) for table in tables.get("metrics", ())]
        if any(table.get("kind") not in registry.kinds(role) for role, table in parts):
            assert any(Path(page).name in content for content in OWN_TESTS.values()), page
            continue
        if {"study", "source", "family"} <= set(tables):
            assert toml_file.from_tables(tables).cells
        for role, table in parts:
            assert validation.recipe(role, table, role)


def table_of_measurements() -> None:
    rows = np.random.default_rng(0).normal(size=(8000, 2))
    np.savetxt("measurements.csv", rows, header="height,weight", delimiter=",", comments="")


def mix_study() -> None:
    (text,) = blocks("docs/theory.md", "toml")
    Path("mix.toml").write_text(text)
    small = ["study.seeds=20", "study.generations=4"]
    sc.run(sc.load("mix.toml", small), "results")


# Page -> what lies in the folder before its Python blocks run, one after the other.
PREPARED = {"docs/data.md": table_of_measurements, "docs/theory.md": mix_study, "docs/own-models.md": lambda: None}


@pytest.mark.parametrize("page", PREPARED)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    if page == "docs/own-models.md":
        pytest.importorskip("torch", reason="the class of the page is written in PyTorch")
    monkeypatch.chdir(tmp_path)
    PREPARED[page]()
    names: dict = {}
    for text in blocks(page, "python"):
        exec(compile(text, page, "exec"), names)
    assert len(names) > 3


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_every_page_with_code_is_run_by_a_test(page):
    assert page in PREPARED or any(Path(page).name in content for content in OWN_TESTS.values()), page


def test_the_class_of_the_page_is_that_of_the_example():
    shown = blocks("docs/own-models.md", "python")[1]
    assert shown[shown.index("class DDPM") :].strip() in (ROOT / "examples" / "pytorch_ddpm.py").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(name, reason=f"{name} comes with the extra 'docs'")
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}


def test_the_site_has_every_page_kind_and_name(site):
    start = site["index.html"]
    for page in PAGES[1:]:
        assert f'href="{Path(page).stem}.html"' in start or page == "docs/index.md", f"{page} is not in the navigation"
    for role in registry.roles():
        for kind in registry.kinds(role):
            assert not registry.comes_along(role, kind) or f"<code>{kind}</code>" in site[f"reference/{role}.html"]
    explained = site["api.html"] + site["reference/contract.html"]
    for name in set(sc.__all__) - set(registry.PACKAGES.values()):
        assert re.search(rf'id="selfconsume\.(types\.)?{name}"', explained), f"{name} is not explained"


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as the site and GitHub make them."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose), re.MULTILINE)
    return {re.sub(r"[\s]", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "RELEASE.md", "benchmarks/README.md"])
def test_links_to_sections_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", (ROOT / page).read_text()):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.suffix != ".md" or anchor in anchors(path.read_text()), f"{page}: {target}#{anchor}"


def test_a_heading_has_the_anchor_that_pages_link():
    assert "rates-of-stability" in anchors((ROOT / "docs" / "theory.md").read_text())
    assert anchors("# A `b`, [c](d.md)\n```\n# no heading\n```\n## E: f") == {"a-b-c", "e-f"}


def test_links_of_the_site_lead_to_pages_and_anchors(site):
    count = 0
    for name, text in site.items():
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', text):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = html.unescape(link).partition("#")
            place = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
            place = place.lstrip("/")  # the page for lost links names others from the root
            if place.endswith(".html"):
                assert place in site, f"{name}: {link}"
                assert not anchor or re.search(rf'\b(?:id|name)="{re.escape(html.escape(anchor))}"', site[place]), (
                    f"{name}: {link}"
                )
                count += bool(anchor)
    assert count > 100


def test_the_site_fetches_nothing(site):
    for name, text in site.items():
        outside = re.findall(r'<(?:script|img|link|iframe|source)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"', text)
        assert not [tag for tag in outside if 'rel="canonical"' not in tag], name


def test_formulas_are_set_without_scripts(site):
    assert site["theory.html"].count("<math") > 10 and site["reference/metric.html"].count("<math") >= 5
    for name, text in site.items():
        prose = re.sub(r"<(code|pre|annotation)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"\$\$|arithmatex|\.\. math|:math:", prose), name


def test_the_figure_of_the_error_rates_is_made_of_the_tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import verdict_calibration_figure as figures

    rows = figures.rows((ROOT / "docs" / "verdict-calibration.md").read_text())
    assert len(rows) == 14 * 4 and {row.truth for row in rows} == {"stationary", "stable", "ever slower", "drifts"}
    assert all(low <= share <= high for row in rows for share, low, high in (row.drifting, row.stable))
    labels = [text.get_text() for ax in figures.figure(rows).axes for text in ax.get_legend().get_texts()]
    assert labels == [*figures.STABLE, *(f"{n} generations" for n in (6, 11, 21, 51)), *figures.STABLE]


def test_a_recipe_that_a_page_gets_wrong_would_be_found():
    with pytest.raises(ConfigError):
        validation.recipe("regime", {"kind": "mix", "ratios": 1}, "regime")
