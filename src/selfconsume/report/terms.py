"""What the metrics and verdicts of a report mean, on the page itself and, if the project has published them, in the docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

from selfconsume import registry
from selfconsume.errors import ConfigError

VERDICTS = {
    "stable": "From generation 1 on, the metric changes by less than the margin that would not matter (equivalence test).",
    "improved": "The metric moves for the better, generation after generation (trend test).",
    "drifting": "The metric moves for the worse, or away from real data where neither direction is better (trend test).",
    "collapsed": "The last third of the generations is over 4 times worse than generation 0, floor and margin (level test).",
    "diverged": "At least half of the seeds have values that are not finite.",
    "undecided": "Neither a trend nor its absence is shown: more seeds or more generations may show one.",
}
"""Meaning of each verdict in one sentence."""


class Term(NamedTuple):
    """A word of the page: its anchor, what it means, and where the docs say more (a URL, or a file of the project)."""

    name: str
    anchor: str
    meaning: str
    page: str


def terms(metrics: Sequence[Mapping[str, Any]], verdicts: Sequence[str]) -> list[Term]:
    """The metric kinds and the verdicts that a page shows, each once.

    Args:
        metrics: Tables of the study's metrics.
        verdicts: Words of its verdicts.
    """
    kinds = dict.fromkeys(metric["kind"] for metric in metrics)
    measured = [Term(kind, anchor("metric", kind), _meaning(kind), page("metrics.md")) for kind in kinds]
    shown = [name for name in VERDICTS if name in verdicts]
    return measured + [Term(name, anchor("verdict", name), VERDICTS[name], page("verdicts.md")) for name in shown]


def anchor(role: str, name: str) -> str:
    """The anchor of a term."""
    return f"{role}-{name}"


def page(name: str) -> str:
    """The address of a page of the docs: on the project's site if the package names one, else its file."""
    for line in metadata.metadata("selfconsume").get_all("Project-URL") or ():
        label, _, url = line.partition(", ")
        if label == "Documentation":
            return f"{url.rstrip('/')}/{name.removesuffix('.md')}.html"  # mkdocs.yml: use_directory_urls is false
    return f"docs/{name}"


def _meaning(kind: str) -> str:
    """A metric's docstring up to its fields, without displayed formulas."""
    try:
        text = inspect.getdoc(registry.find("metric", kind)) or ""
    except ConfigError:
        return "A metric that does not come with selfconsume and is not installed here."
    paragraphs = re.split(r"\n\s*\n|\n(?=\.\. )", re.split(r"\n(?:Attributes|References|Note):", text)[0])
    # Without its formula the sentence that continues it says nothing.
    plain = [part for part in paragraphs if not part.startswith((".. ", " ")) and not part[:1].islower()]
    return " ".join(" ".join(plain).replace(":math:", "").replace("`", "").split())
