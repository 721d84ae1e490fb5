"""Several reports bound into one file that opens offline: a page for each, behind tabs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import jinja2


def bind(pages: Mapping[str, Path], out: Path) -> Path:
    """Writes one file that holds whole reports, whole or not at all.

    Args:
        pages: Name of the tab -> a report's path.
        out: The file to write.

    Returns:
        Its path.
    """
    loader = jinja2.PackageLoader("selfconsume.report", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    texts = {name: path.read_text(encoding="utf-8") for name, path in pages.items()}
    temporary = out.with_suffix(".tmp")
    temporary.write_text(environment.get_template("pages.html").render(pages=texts), encoding="utf-8")
    os.replace(temporary, out)
    return out
