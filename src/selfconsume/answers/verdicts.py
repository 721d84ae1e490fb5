"""Verdicts of all cells on all metrics: a data frame that can be read as a table of texts."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import polars as pl

from selfconsume.analysis import verdicts
from selfconsume.answers.text_table import TextTable
from selfconsume.results import stored_study
from selfconsume.results.format import is_single_sequence
from selfconsume.results.store import Store

NOTE = (
    "change: over the tested generations, with a 95 % interval over {}; p: of the trend, Holm-corrected over all rows"
)
ONE_LOOK = "for one look at a study whose length was fixed before; `selfconsume watch` stays true while a study grows"
SINGLE = "one sequence, no seeds: examples are resampled (bootstrap); how much training varies cannot be seen"


class Verdicts(pl.DataFrame):
    """The verdict of every cell on every metric, columns as in `selfconsume.analysis.verdicts.verdicts`.

    What is derived from it, such as by ``filter``, is a plain data frame.
    """

    def __init__(self, frame: pl.DataFrame, labels: dict[str, list[str]], notes: tuple[str, ...]) -> None:
        super().__init__(frame)
        self._labels = labels
        self.notes = notes
        """What columns mean, in sentences."""

    def text(self) -> TextTable:
        """The verdicts as a table of texts: cell, metric, verdict, change, margin, p, seeds and reason."""
        heads = (*self._labels, "metric", "verdict", "change", "margin", "p", "seeds", "reason")
        rows = []
        for i, row in enumerate(self.iter_rows(named=True)):
            labels = (texts[i] for texts in self._labels.values())
            numbers = (_change(row), _number(row["margin"]), _number(row["p_holm"]), str(row["seeds"]))
            rows.append((*labels, row["metric"], row["verdict"], *numbers, row["reason"]))
        return TextTable(heads, tuple(rows), n_labels=len(self._labels) + 2)

    def markdown(self) -> str:
        """See `TextTable.markdown`."""
        return self.text().markdown()

    def latex(self) -> str:
        """See `TextTable.latex`."""
        return self.text().latex()

    def facts(self) -> list[dict[str, Any]]:
        """One mapping of plain values for each row, None for what is not a number: for JSON."""
        return [{name: _plain(value) for name, value in row.items()} for row in self.to_dicts()]

    def _repr_html_(self) -> str:
        return self.text().html() + f"<p><small>{' '.join(map(escape, self.notes))}</small></p>"


def of_store(store: Store) -> Verdicts:
    """The verdicts on the latest study in a directory.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    frame = verdicts.verdicts(store)
    axes = store.study["axes"]
    labels = {axis: [str(value) for value in frame[axis]] if len(frame) else [] for axis in axes}
    is_single = is_single_sequence(store.study)
    notes = (NOTE.format("examples"), SINGLE) if is_single else (NOTE.format("seeds"), ONE_LOOK)
    return Verdicts(frame, labels or {"regime": [stored_study.regime_label(store.study)] * len(frame)}, notes)


def _change(row: dict[str, Any]) -> str:
    if math.isnan(row["slope"]):
        return ""
    change, low, high = (row[name] * row["span"] for name in ("slope", "low", "high"))
    return f"{change:+.2g} [{low:.2g}, {high:.2g}]"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
