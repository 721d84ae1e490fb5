"""Figures inside web pages, as SVG: in the page's font, in colours that follow the reader's preference, with a description."""

from __future__ import annotations

import html
import io
import re

import matplotlib
from matplotlib.figure import Figure

from selfconsume.plots import colours

_COLOUR = re.compile(r"(?<=: )#([0-9a-f]{6})\b")
_VARIABLE = re.compile(r"var\(--x([0-9a-f]{6}), ")


def svg(figure: Figure, description: str) -> str:
    """The figure as an ``<svg>`` element for a web page.

    Text stays text in the font of the page. Colours are variables such as ``--x0072b2``; `dark_colours` defines them.

    Args:
        figure: Any figure.
        description: What it shows, for readers who do not see it. It also distinguishes internal names from those of the
            page's other figures.
    """
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description or "selfconsume"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    body = text.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>", "", body[body.index("<svg") :], flags=re.DOTALL)
    # Only definitions are referenced; names of groups would collide between figures.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = _COLOUR.sub(r"var(--x\1, #\1)", body)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1)


def dark_colours(page: str) -> str:
    """Declarations of all colours of a page's figures on a dark background."""
    names = sorted(set(_VARIABLE.findall(page)))
    return " ".join(f"--x{name}: {colours.on_dark(f'#{name}')};" for name in names)
