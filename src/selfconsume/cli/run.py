"""`selfconsume run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfconsume.cli.arguments import Changes, StudyFile


def run(
    study: StudyFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory of results; run again to continue.")],
    changes: Changes = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Compute damaged or missing generations again first; see `verify`.")
    ] = False,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER/COUNT",
            help="Compute one of COUNT shares, in a directory of its own in DIR; 'array' in a job array. Then `merge`.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be computed, and stop.")] = False,
) -> None:
    """Run a study, continue an interrupted one, or add seeds, generations, axes and metrics to a finished one."""
    from selfconsume.cli.display import console, final_table, study_run
    from selfconsume.execution import shares
    from selfconsume.study import toml_file

    text = toml_file.read(study)
    loaded = toml_file.parse(text, str(study), changes or [])
    part = shares.parse(share) if share else None
    out = shares.directory(out, part) if part else out
    if dry_run:
        study_run.plan(loaded, out, part)
        return
    store = study_run.execute(loaded, out, text=None if changes else text, repair=repair, share=part)
    if part:
        console.say(
            f"share {part.number} of {part.count} in {out}; next: selfconsume merge {out.parent}/share-* --out DIR"
        )
        return
    final_table.show(store)
    console.say(f"results in {out}; next: selfconsume report {out}")
