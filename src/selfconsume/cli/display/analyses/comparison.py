"""Paired comparison of all cells with their baseline, as a table, for a paper or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from selfconsume.answers import comparison
from selfconsume.cli.display import claim
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import provenance
from selfconsume.results.store import Store

COLOURS = {"equal": "green", "better": "green", "worse": "red", "diverged": "red"}


def compare(store: Store, options: Mapping[str, Any], *, form: str | None = None) -> None:
    """Prints the comparison of every cell on every metric, the primary one first, and whether the study file's claim holds.

    Args:
        store: The directory of results.
        options: Arguments of `compare_stored`; the baseline as text, ``axis=value``.
        form: "latex" or "markdown": the table of a paper alone; "json": plain values.

    Raises:
        ConfigError: The directory holds no study yet, no metric has a better direction, or an option is wrong.
    """
    answer = comparison.of_store(store, **{**options, "baseline": _baseline(options["baseline"])})
    if form == "json":
        stated = claim.facts(store)
        print(json.dumps(answer.facts() | ({} if stated is None else {"claim": stated}), indent=2))
        return
    if form is not None:
        print(getattr(answer, form)().rstrip("\n"))
        return
    text = answer.text()
    table = Table(*map(escape, text.columns[:-1]), "")
    word = text.n_labels - 1
    for row in text.rows:
        colour = COLOURS.get(row[word], "dim")
        table.add_row(*(f"[{colour}]{cell}[/{colour}]" if i == word else escape(cell) for i, cell in enumerate(row)))
    show(table)
    say(answer.caption)
    if answer.note:
        say(answer.note)
    claim.describe(store)
    describe_data(provenance.data_lines(store))
    warn(store)


def _baseline(text: str | None) -> dict[str, str] | str | None:
    """``axis=value`` as a mapping; anything else as it is."""
    axis, equals, value = (text or "").partition("=")
    return {axis.strip(): value.strip()} if equals else text
