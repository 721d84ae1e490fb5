"""The site's navigation, reference pages and formulas. The package index and the pages themselves are the only lists."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))

from selfconsume import registry  # noqa: E402 (the checkout's, whatever is installed)

SECTIONS = {
    "Start": ("index.md", "getting-started.md", "reading-a-report.md", "traps.md"),
    "Bring your own": (
        "own-models.md",
        "data.md",
        "own-samples.md",
        "images.md",
        "language-models.md",
        "checkpoints.md",
    ),
    "Studies": (
        "studies.md",
        "kinds.md",
        "choosing-a-regime.md",
        "metrics.md",
        "results.md",
        "clusters.md",
        "trackers.md",
    ),
    "Conclusions": ("verdicts.md", "verdict-calibration.md", "theory.md", "notation.md", "paper.md"),
    "Extending": ("extending.md", "reliability.md"),
}
"""Pages by section, where they exist. Other pages come last, so that none is lost."""
ROLES = {role: package.capitalize() for role, package in registry.PACKAGES.items()}
CONTRACT = (
    "# The contract\n\n::: selfconsume.types\n    options:\n      show_root_heading: false\n      heading_level: 2\n"
)


def on_files(files, config):
    """Adds a page for the contract, and for each role one with all of its kinds."""
    pages = {"reference/contract.md": CONTRACT}
    for role, title in ROLES.items():
        classes = [
            (kind, registry.find(role, kind)) for kind in registry.kinds(role) if registry.comes_along(role, kind)
        ]
        parts = [f"## `{kind}`\n\n{_reference(f'{cls.__module__}.{cls.__qualname__}')}" for kind, cls in classes]
        pages[f"reference/{role}.md"] = "\n".join([f"# {title}\n", *parts])
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    names = [file.src_uri for file in files.documentation_pages()]
    listed = {name for section in SECTIONS.values() for name in section} | {"api.md", *pages}
    nav = [{title: [name for name in section if name in names]} for title, section in SECTIONS.items()]
    nav.append({"Reference": ["api.md", *pages]})
    rest = sorted(set(names) - listed)
    config.nav = nav + [{"More": rest}] * bool(rest)
    return files


def on_page_markdown(markdown, page, config, files):
    """Files of the project outside of the site are named, not linked; the pages of names link to their docstrings."""
    markdown = re.sub(r"!?\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", markdown)
    if page.file.src_uri == "api.md":
        markdown = re.sub(r"^\| `(\w+)` \|", r"| [`\1`](#selfconsume.\1) |", markdown, flags=re.MULTILINE)
        names = re.findall(r"^\| \[`(\w+)`\]\(#selfconsume\.\w+\) \|", markdown, re.MULTILINE)
        packages = set(registry.PACKAGES.values())
        markdown = re.sub(r"\]\(#selfconsume\.(\w+)\)", lambda m: f"]({_place(m[1], packages)})", markdown)
        parts = [_reference(f"selfconsume.{name}") for name in names if name not in packages]
        markdown += "\n\n## In full\n\n" + "\n".join(part for part in parts if not _in_contract(part))
    return markdown


def _reference(path: str) -> str:
    """The docstring of a class or function, as a section of its own."""
    return f"::: {path}\n    options:\n      heading_level: 3\n"


def _in_contract(name: str) -> bool:
    match = re.search(r"selfconsume\.(\w+)", name)
    assert match
    return hasattr(sys.modules["selfconsume.types"], match[1])


def _place(name: str, packages: set[str]) -> str:
    """Where a public name is explained."""
    if name in packages:
        role = next(role for role, package in registry.PACKAGES.items() if package == name)
        return f"reference/{role}.md"
    page = "reference/contract.md#selfconsume.types" if _in_contract(f"selfconsume.{name}") else "#selfconsume"
    return f"{page}.{name}"


def on_page_content(content, page, config, files):
    """Formulas become MathML, which browsers set without scripts or fonts from elsewhere."""

    def mathml(match: re.Match) -> str:
        inline, display = match.groups()
        if inline is not None:
            return convert(html.unescape(inline), display="inline")
        return convert(html.unescape(display), display="block")

    span, block = r'<span class="arithmatex">\\\((.*?)\\\)</span>', r'<div class="arithmatex">\\\[(.*?)\\\]</div>'
    return re.sub(f"{span}|{block}", mathml, content, flags=re.DOTALL)


def on_post_page(output, page, config):
    """The site fetches nothing: without this script only the search needs a server, as by `python -m http.server`."""
    return re.sub(r'<script src="https://unpkg\.com/iframe-worker/shim"></script>', "", output)


def on_post_template(output, template_name, config):
    """The same for the page of links that lead nowhere."""
    return on_post_page(output, None, config)
