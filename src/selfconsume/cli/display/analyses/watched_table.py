"""Anytime-valid statements on a growing study, as a table or JSON."""

from __future__ import annotations

import json

from rich.markup import escape
from rich.table import Table

from selfconsume.analysis.anytime import watch_stored
from selfconsume.cli.display.console import describe_data, say, show, warn
from selfconsume.results import provenance, stored_study
from selfconsume.results.store import Store


def watch(store: Store, *, primary: str | None, signs: bool, as_json: bool) -> None:
    """Prints for each cell whether harm has begun.

    Raises:
        ConfigError: The directory holds no study yet, or no metric can be watched.
    """
    rows = watch_stored(store, primary=primary, e_value="sign" if signs else "t").to_dicts()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    axes = store.study["axes"]
    table = Table(
        *map(escape, axes or ["regime"]), "metric", "harm", "since", "e", "p, at any look", "pairs", "last look"
    )
    for row in rows:
        labels = [str(row[axis]) for axis in axes] or [stored_study.regime_label(store.study)]
        table.add_row(
            *map(escape, labels),
            escape(row["metric"]),
            "[red]worse[/red]" if row["word"] == "worse" else "[dim]not shown[/dim]",
            "" if row["generation"] is None else str(row["generation"]),
            f"{row['e_value']:.3g}",
            f"{row['p_study']:.2g}",
            str(row["pairs"]),
            str(row["last_look"]),
        )
    show(table)
    say("true at every look: extend the study and ask again; in 5 % of studies at most any cell ever has a false alarm")
    say("not shown is no sign of safety: `selfconsume compare` answers at a generation that was fixed in advance")
    describe_data(provenance.data_lines(store))
    warn(store)
