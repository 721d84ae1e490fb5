"""Writes what follows from the lists of kinds: docs/kinds.md, and the imports that editors read in the packages of kinds.

make kinds
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from selfconsume import registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "kinds.md"
TITLES = {
    "source": "where real data comes from",
    "representation": "what families are fitted to in place of the examples",
    "family": "what is fitted",
    "regime": "how real and synthetic data are weighed",
    "curation": "which samples are published",
    "extractor": "what examples are turned into before metrics compare them",
    "metric": "what is measured in every generation",
}


def page() -> str:
    """docs/kinds.md with a table for each role: the kinds and the first lines of their classes."""
    tables = []
    for role, package in registry.PACKAGES.items():
        rows = [f"| `{kind}` | {_first_line(role, kind)} |" for kind in _kinds(role)]
        tables.append("\n".join([f"## {package.capitalize()}: {TITLES[role]}", "", "| kind | |", "|---|---|", *rows]))
    begin, end = "<!-- tables: make kinds -->\n", "<!-- end of tables -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    return head + begin + "\n" + "\n\n".join(tables) + "\n\n" + end + rest.split(end)[1]


def package_text(role: str) -> str:
    """A package's ``__init__.py`` with an import of each class, for editors and type checkers only."""
    package = f"selfconsume.{registry.PACKAGES[role]}"
    entries = [entry.split(":") for entry in importlib.import_module(package).KINDS.values()]
    entries.sort(key=lambda entry: (entry[0], not entry[1].isupper(), entry[1]))  # as ruff sorts imports
    lines = [f"    from {package}.{module} import {name} as {name}\n" for module, name in entries]
    text = _path(role).read_text(encoding="utf-8")
    return re.sub(r"(?<=^if TYPE_CHECKING:\n)(    .*\n)+", "".join(lines), text, count=1, flags=re.MULTILINE)


def write() -> None:
    """Writes the page and the packages."""
    PAGE.write_text(page(), encoding="utf-8")
    for role in registry.PACKAGES:
        _path(role).write_text(package_text(role), encoding="utf-8")


def _path(role: str) -> Path:
    return ROOT / "src" / "selfconsume" / registry.PACKAGES[role] / "__init__.py"


def _kinds(role: str) -> list[str]:
    return [kind for kind in registry.kinds(role) if registry.comes_along(role, kind)]


def _first_line(role: str, kind: str) -> str:
    text = (inspect.getdoc(registry.find(role, kind)) or "").splitlines()[0]
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    write()
