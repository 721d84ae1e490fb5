"""Collapse profile, definition x cell, as a table or JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.markup import escape
from rich.table import Table

from selfconsume.analysis.profile import profile_stored
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import cell_labels, provenance, stored_study
from selfconsume.results.store import Store

COLOURS = {"yes": "red", "no": "green", "undecided": "yellow", "not asked": "dim"}


def profile(store: Store, *, primary: str | None, as_json: bool) -> None:
    """Prints the collapse profile of a directory.

    Raises:
        ConfigError: The directory holds no study yet, or the primary metric is unknown.
    """
    rows = profile_stored(store, primary=primary).to_dicts()
    if as_json:
        print(json.dumps([{name: _plain(value) for name, value in row.items()} for row in rows], indent=2))
        return
    axes = store.study["axes"]
    cells = [{"run": cell["id"], **cell["labels"]} for cell in store.study["cells"]]
    names = cell_labels.labels(cells, axes)
    if len(set(names)) == 1:
        names = [stored_study.regime_label(store.study)] * len(cells)
    stored = {row["run"] for row in rows}  # An interrupted run may lack cells.
    names = [name for cell, name in zip(cells, names, strict=True) if cell["run"] in stored]
    cells = [cell for cell in cells if cell["run"] in stored]
    questions = list(dict.fromkeys((row["definition"], row["reference"]) for row in rows))
    by_cell = {(row["run"], row["definition"], row["reference"]): row for row in rows}
    table = Table("collapse as", "against", *map(escape, names), "margin")
    for definition, reference in questions:
        answers = [by_cell[cell["run"], definition, reference] for cell in cells]
        margin = next((f"{row['margin']:.3g}" for row in answers if row["margin"] == row["margin"]), "")
        table.add_row(definition, reference, *map(_entry, answers), margin)
    show(table)
    for definition, reason in dict.fromkeys((row["definition"], row["reason"]) for row in rows if _is_unasked(row)):
        say(f"{definition}: {reason}")
    metrics = dict.fromkeys(row["metric"] for row in rows if row["metric"])
    say(
        f"from {', '.join(metrics) or 'no metric'}; each single yes and each single no is wrong in 5 % of studies at most"
    )
    describe_data(provenance.data_lines(store))
    warn(store)


def _is_unasked(row: dict[str, Any]) -> bool:
    return row["answer"] == "not asked"


def _entry(row: dict[str, Any]) -> str:
    size = "" if row["statistic"] is None or math.isnan(row["statistic"]) else f" {row['statistic']:.2g}"
    return f"[{COLOURS[row['answer']]}]{row['answer']}[/]{size}"


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
