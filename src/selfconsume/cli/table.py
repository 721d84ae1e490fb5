"""`selfconsume table`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import Results, TextFormat


def table(
    results: Results,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A .csv, .json or .parquet file.")] = None,
    differences: Annotated[
        bool, typer.Option("--differences", help="Add the paired value of the baseline, and the difference to it.")
    ] = False,
    form: TextFormat = None,
) -> None:
    """Write all measured values as one tidy table; without --out, as csv to standard output.

    Rows of a file also give the number of examples compared. With --format, print the last generation instead: means over
    seeds and half their 95 % intervals, a row for each cell.
    """
    from selfconsume.answers.summary import summary
    from selfconsume.cli.display import console
    from selfconsume.errors import ConfigError
    from selfconsume.results import provenance
    from selfconsume.results import table as tables
    from selfconsume.results.store import Store

    if form is not None and (out is not None or differences):
        raise ConfigError("table: --format prints a summary to standard output; drop --out and --differences")
    if out is not None:
        tables.check_path(out)
    store = Store(results)
    if form is not None:
        print(getattr(summary(store), form)(), end="")
        console.warn(store)
        return
    frame = tables.table(store, measured=out is not None)
    if differences:
        from selfconsume.analysis.compare import with_baseline

        frame = with_baseline(store, frame)
    console.describe_data(provenance.data_lines(store))
    console.warn(store)
    if out is None:
        sys.stdout.write(frame.write_csv())
    else:
        tables.save(frame, out)
