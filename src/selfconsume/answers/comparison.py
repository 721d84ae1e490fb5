"""The paired comparison of all cells with their baseline, which can be read as a table of texts."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from selfconsume.analysis import compare
from selfconsume.answers.text_table import TextTable
from selfconsume.results import stored_study
from selfconsume.results.store import Store


class Comparison(compare.Comparison):
    """The comparison of `selfconsume.analysis.compare`, with its table as Markdown, LaTeX, HTML and plain values.

    Attributes:
        regime: What a row is called where the study has no axes.
    """

    regime: str = ""

    @property
    def caption(self) -> str:
        """What is compared with what, in one line."""
        pairs = (self.baseline or {}).items()
        baseline = ", ".join(f"{axis} = {value}" for axis, value in pairs) or "generation 0 of each run"
        return (
            f"generation {self.generation} minus {baseline}, by pairs of seeds, with a 95 % interval; {self.primary} carries "
            "the answer"
        )

    def text(self) -> TextTable:
        """The comparison as a table of texts: cell, metric, word, difference, margin, p, pairs and what would decide."""
        axes = self.table.columns[1 : self.table.columns.index("metric")]
        heads = (*(axes or ["regime"]), "metric", "compared", "difference", "margin", "p", "pairs", "note")
        rows = []
        for row in self.table.iter_rows(named=True):
            labels = [str(row[axis]) for axis in axes] or [self.regime]
            numbers = (_interval(row), _number(row["margin"]), _number(row["p_holm"]), str(row["pairs"]))
            rows.append((*labels, row["metric"], row["word"], *numbers, row["text"] or ""))
        return TextTable(heads, tuple(rows), self.caption, n_labels=len(heads) - 5)

    def markdown(self) -> str:
        """See `TextTable.markdown`."""
        return self.text().markdown()

    def latex(self) -> str:
        """See `TextTable.latex`."""
        return self.text().latex()

    def facts(self) -> dict[str, Any]:
        """Plain values, None for what is not a number: for JSON."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in self.table.iter_rows(named=True)]
        return {
            "baseline": self.baseline or "generation 0",
            "primary": self.primary,
            "generation": self.generation,
            "note": self.note,
            "comparisons": rows,
        }

    def __str__(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        return self.text().html() + (f"<p><small>{escape(self.note)}</small></p>" if self.note else "")


def of_store(store: Store, **settings: Any) -> Comparison:
    """The comparison of a directory of results; see `selfconsume.analysis.compare.compare_stored`."""
    comparison = Comparison._make(compare.compare_stored(store, **settings))
    comparison.regime = stored_study.regime_label(store.study)
    return comparison


def _interval(row: dict[str, Any]) -> str:
    if row["difference"] is None or math.isnan(row["difference"]):
        return ""
    return f"{row['difference']:+.2g} [{row['low']:.2g}, {row['high']:.2g}]"


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2g}"


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
