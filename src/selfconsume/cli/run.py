"""`selfconsume run`."""

from __future__ import annotations

import contextlib
import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from selfconsume.cli.arguments import Changes, StudyFile

UNFINISHED = 75
"""Exit code of a run whose budget is spent before the study is complete (`EX_TEMPFAIL`)."""


class Engines(enum.StrEnum):
    """Names of engines."""

    local = "local"
    ray = "ray"


Out = Annotated[Path, typer.Option(metavar="DIR", help="The directory of results; run again to continue.")]
Repair = Annotated[
    bool, typer.Option("--repair", help="Compute damaged or missing generations again first; see `verify`.")
]
ShareText = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER/COUNT",
        help="Compute one of COUNT shares, in a directory of its own in DIR; 'array' in an array job. Then `merge`.",
    ),
]
BudgetText = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Stop with a generation's end within this time (2h, 1h30m); exit code 75."),
]
EngineName = Annotated[
    Engines, typer.Option(help="Where it is computed: in this process, or on a cluster of Ray (extra 'ray').")
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The cluster of Ray, or 'auto'; default: one on this machine."),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        metavar="NAME[:PLACE]",
        help="Also log to tensorboard, mlflow or wandb (extras); by default to a folder DIR-NAME, without the network.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be computed and what it would take, and stop.")
]
Calibrate = Annotated[
    bool | None,
    typer.Option("--calibrate/--no-calibrate", help="With --dry-run: compute a few lanes to predict the time."),
]


def run(
    study: StudyFile,
    out: Out,
    changes: Changes = None,
    repair: Repair = False,
    share: ShareText = None,
    budget: BudgetText = None,
    engine: EngineName = Engines.local,
    address: Address = None,
    tracker: Trackers = None,
    dry_run: DryRun = False,
    calibrate: Calibrate = None,
) -> None:
    """Run a study, continue an interrupted one, or add seeds, generations, axes and metrics to a finished one."""
    from selfconsume.cli.display import console, final_table, plan, study_run
    from selfconsume.execution import budget as budgets
    from selfconsume.execution import shares
    from selfconsume.study import toml_file

    seconds = budgets.parse(budget) if budget else None
    part = shares.parse(share) if share else None
    start_engine = _engine(engine, address)
    text = toml_file.read(study)
    loaded = toml_file.parse(text, str(study), changes or [])
    out = shares.directory(out, part) if part else out
    with start_engine() as cluster:
        if dry_run:
            workers = cluster.workers if cluster else 1
            plan.show(loaded, out, share=part, workers=workers, budget=seconds, calibrates=calibrate)
            return
        text = None if changes else text
        store = study_run.execute(
            loaded, out, engine=cluster, text=text, repair=repair, share=part, budget=seconds, trackers=tracker or ()
        )
    if seconds is not None and (lacking := study_run.missing(loaded, store, part)):
        console.say(f"stopped after {budget}: {lacking}; run the same command again to continue")
        raise typer.Exit(UNFINISHED)
    if part:
        console.say(
            f"share {part.number} of {part.count} in {out}; next: selfconsume merge {out.parent}/share-* --out DIR"
        )
        return
    final_table.show(store)
    console.say(f"results in {out}; next: selfconsume report {out}")


def _engine(name: Engines, address: str | None) -> Any:
    """A function that starts the engine, as a context manager; None stands for this process."""
    if name == Engines.local:
        if address:
            from selfconsume.errors import ConfigError

            raise ConfigError("--address: expected with --engine ray; drop it, or add that")
        return contextlib.nullcontext
    from selfconsume.execution.engines import ray

    ray.keep_accelerators_free()
    return lambda: ray.RayEngine(address)
