"""The collapse profile of a report: definition x cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from selfconsume.analysis.profile import profile_stored
from selfconsume.errors import ConfigError
from selfconsume.results import cell_labels
from selfconsume.results.store import Store

MAX_CELLS = 8
"""Columns of the table; `selfconsume profile` prints all."""


class Line(NamedTuple):
    """A definition, its reference and margin, and an answer with its statistic for each cell."""

    definition: str
    reference: str
    answers: list[tuple[str, str]]
    margin: str


class Profile(NamedTuple):
    """A table of answers; `unasked` are definitions that the study cannot answer, with the reason."""

    names: list[str]
    lines: list[Line]
    unasked: list[tuple[str, str]]
    cells: int


def gather(store: Store, names: Sequence[str]) -> Profile | None:
    """The profile of a directory; None if no definition can be asked.

    Args:
        store: The directory.
        names: Labels of its cells.
    """
    try:
        rows = profile_stored(store).to_dicts()
    except ConfigError:
        return None
    cells, axes = store.study["cells"], store.study["axes"]
    shown = cell_labels.selection([cell["labels"] for cell in cells], axes, MAX_CELLS)
    by_cell = {(row["run"], row["definition"], row["reference"]): row for row in rows}
    stored = {row["run"] for row in rows}
    shown = [i for i in shown if cells[i]["id"] in stored]  # An interrupted run may lack cells.
    lines, unasked = [], {}
    for definition, reference in dict.fromkeys((row["definition"], row["reference"]) for row in rows):
        answers = [by_cell[cells[i]["id"], definition, reference] for i in shown]
        if all(row["answer"] == "not asked" for row in answers):
            unasked[definition if not reference else f"{definition}, against {reference}"] = answers[0]["reason"]
            continue
        margin = next((f"{row['margin']:.3g}" for row in answers if not math.isnan(row["margin"])), "")
        lines.append(Line(definition, reference, [(row["answer"], _size(row)) for row in answers], margin))
    return Profile([names[i] for i in shown], lines, list(unasked.items()), len(cells)) if lines else None


def _size(row: dict[str, Any]) -> str:
    statistic = row["statistic"]
    return (
        "" if statistic is None or math.isnan(statistic) else f"{statistic:.2g} [{row['low']:.2g}, {row['high']:.2g}]"
    )
