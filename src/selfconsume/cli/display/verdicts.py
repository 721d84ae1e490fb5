"""Verdicts of all cells on all metrics, as a table or JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.markup import escape
from rich.table import Table

from selfconsume.analysis.verdicts import verdicts
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import provenance, stored_study
from selfconsume.results.format import is_single_sequence
from selfconsume.results.store import Store

COLOURS = {"stable": "green", "improved": "green", "drifting": "yellow", "collapsed": "red", "diverged": "red"}


def verdict(store: Store, as_json: bool) -> None:
    """Prints the verdict of every cell on every metric.

    Raises:
        ConfigError: The directory holds no study yet.
    """
    if as_json:
        print(json.dumps(facts(store), indent=2))
        return
    rows = verdicts(store).to_dicts()
    if not rows:
        say("no metric of this study can be judged: none has a noise floor or a better direction")
        return
    axes, single = store.study["axes"], is_single_sequence(store.study)
    first = axes or ["regime"]
    regime = stored_study.regime_label(store.study)
    table = Table(*map(escape, first), "metric", "verdict", "change", "margin", "p", "seeds", "")
    for row in rows:
        colour = COLOURS.get(row["verdict"], "dim")
        table.add_row(
            *(escape(str(row[name])) for name in axes or []),
            *([] if axes else [escape(regime)]),
            escape(row["metric"]),
            f"[{colour}]{row['verdict']}[/{colour}]",
            _change(row),
            _number(row["margin"]),
            _number(row["p_holm"]),
            str(row["seeds"]),
            escape(row["reason"]),
        )
    table.columns[len(first) + 1].no_wrap = True
    show(table)
    say(
        f"change: over the tested generations, with a 95 % interval over {'examples' if single else 'seeds'}; p: of the trend, "
        "Holm-corrected over all rows"
    )
    if single:
        say("one sequence, no seeds: examples are resampled (bootstrap); how much training varies cannot be seen")
    describe_data(provenance.data_lines(store))
    warn(store)


def facts(store: Store) -> list[dict[str, Any]]:
    """The verdicts as JSON holds them."""
    return [{name: _plain(value) for name, value in row.items()} for row in verdicts(store).to_dicts()]


def _change(row: dict[str, Any]) -> str:
    if math.isnan(row["slope"]):
        return ""
    change, low, high = (row[name] * row["span"] for name in ("slope", "low", "high"))
    return f"{change:+.2g} [{low:.2g}, {high:.2g}]"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"


def _plain(value: Any) -> Any:
    """JSON knows no nan and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
