"""`selfconsume evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import AsJson


def evaluate(
    real: Annotated[str, typer.Option(metavar="PATH", help="The real data: a file, a folder of pictures, or a kind.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory of results; run again to add to it.")],
    samples: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SAMPLES]...", help="Samples of generation 0, 1, ..., or a folder with gen_0, gen_1, ..."
        ),
    ] = None,
    generation: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Samples of one generation; once for each, from 0 on.")
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="A regime and its samples; several times."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A metric, such as frechet or inception.frechet; several times."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Compare so many examples of each set, a random subset.")] = None,
    generations: Annotated[
        int | None, typer.Option(help="Evaluate so many generations, generation 0 included.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Evaluate this seed only; several times.")] = None,
    bootstrap: Annotated[
        int | None, typer.Option(help="Resamples for intervals of a sequence without seeds; default 100, 0 for none.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A field of the real data, such as source.n_test=500."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Evaluate samples that another pipeline made: metrics of each generation against real data, and the verdict."""
    from selfconsume.cli.display import evaluation

    evaluation.evaluate(
        real,
        evaluation.places(generation or [], samples or [], run or []),
        out,
        metrics=metric,
        changes=changes or [],
        as_json=json,
        n=n,
        generations=generations,
        seeds=seed or None,
        **({} if bootstrap is None else {"bootstrap": bootstrap}),
    )
