"""Paired comparison of all cells with their baseline, as a table or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from selfconsume.analysis.compare import compare_stored
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import provenance, stored_study
from selfconsume.results.store import Store

COLOURS = {"equal": "green", "better": "green", "worse": "red", "diverged": "red"}


def compare(store: Store, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints the comparison of every cell on every metric, those of the primary metric first.

    Args:
        store: The directory of results.
        options: Arguments of `compare_stored`; the baseline as text, ``axis=value``.
        as_json: Whether to print JSON.

    Raises:
        ConfigError: The directory holds no study yet, no metric has a better direction, or an option is wrong.
    """
    comparison = compare_stored(store, **{**options, "baseline": _baseline(options["baseline"])})
    rows = comparison.table.to_dicts()
    if as_json:
        facts = {
            "baseline": comparison.baseline or "generation 0",
            "primary": comparison.primary,
            "generation": comparison.generation,
            "note": comparison.note,
            "comparisons": [{name: _plain(value) for name, value in row.items()} for row in rows],
        }
        print(json.dumps(facts, indent=2))
        return
    axes = store.study["axes"]
    table = Table(*map(escape, axes or ["regime"]), "metric", "compared", "difference", "margin", "p", "pairs", "")
    for row in rows:
        colour = COLOURS.get(row["word"], "dim")
        table.add_row(
            *(escape(str(row[name])) for name in axes),
            *([] if axes else [escape(stored_study.regime_label(store.study))]),
            escape(row["metric"]),
            f"[{colour}]{row['word']}[/{colour}]",
            _interval(row),
            _number(row["margin"]),
            _number(row["p_holm"]),
            str(row["pairs"]),
            escape(row["text"] or ""),
        )
    show(table)
    baseline = comparison.baseline or {}
    name = ", ".join(f"{axis} = {value}" for axis, value in baseline.items()) or "generation 0 of each run"
    say(
        f"generation {comparison.generation} minus {name}, by pairs of seeds, with a 95 % interval; {comparison.primary} "
        "carries the answer"
    )
    if comparison.note:
        say(comparison.note)
    describe_data(provenance.data_lines(store))
    warn(store)


def _baseline(text: str | None) -> dict[str, str] | str | None:
    """``axis=value`` as a mapping; anything else as it is."""
    axis, equals, value = (text or "").partition("=")
    return {axis.strip(): value.strip()} if equals else text


def _interval(row: dict[str, Any]) -> str:
    if row["difference"] is None or math.isnan(row["difference"]):
        return ""
    return f"{row['difference']:+.2g} [{row['low']:.2g}, {row['high']:.2g}]"


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2g}"


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
