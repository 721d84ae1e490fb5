"""`selfconsume compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from selfconsume.cli.arguments import AnswerFormat, AsJson, Results


def compare(
    results: Results,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="AXIS=VALUE", help='What to compare with, such as regime=real_only, or "generation 0".'),
    ] = None,
    primary: Annotated[
        str | None, typer.Option(metavar="METRIC", help="The metric that carries the answer; default: the first.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Difference of the primary metric that would not matter.", min=0.0)
    ] = None,
    generation: Annotated[
        int | None, typer.Option(help="The compared generation, to be fixed in advance; default: the last.")
    ] = None,
    json: AsJson = False,
    form: AnswerFormat = None,
) -> None:
    """Compare each cell with a baseline by pairs of seeds: equal, worse, better, undecided or diverged.

    Defaults are those of the study's [compare] table, then real data only (else generation 0) and the first metric.
    """
    from selfconsume.cli.display.analyses import comparison
    from selfconsume.results.store import Store

    options = {"baseline": baseline, "primary": primary, "margin": margin, "generation": generation}
    comparison.compare(Store(results), options, form="json" if json else form)
