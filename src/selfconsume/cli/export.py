"""`selfconsume export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import Results


def export(
    results: Results,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="x.safetensors: the generator; x.npy, x.csv, x.parquet: samples; x: a folder of images; x.png: a picture.",
        ),
    ],
    run: Annotated[str | None, typer.Option(metavar="ID", help="The run, as `status` shows it, or a prefix.")] = None,
    seed: Annotated[int, typer.Option(help="The seed.")] = 0,
    generation: Annotated[int, typer.Option(help="The generation; -1 is the last one.")] = -1,
) -> None:
    """Write one generation's generator, usable as `initial` of another study, or its samples as pictures or an array."""
    from selfconsume.cli.display import console
    from selfconsume.report import export_samples
    from selfconsume.results import export_generator
    from selfconsume.results.store import Store

    store = Store(results)
    if out.suffix == ".safetensors":
        path = export_generator.generator(store, out, run=run, seed=seed, generation=generation)
    else:
        identity, t = export_generator.find_run(store, run, seed, generation)
        path = export_samples.write(store, out, (identity, seed), t)
    console.say(str(path))
